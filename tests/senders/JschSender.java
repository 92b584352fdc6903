import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.util.Properties;

/** Sends files as old Java jobs do. Arguments: port, user, private key, then commands, each with its own arguments. */
public final class JschSender {
    public static void main(String[] args) throws Exception {
        JSch jsch = new JSch();
        jsch.addIdentity(args[2]);
        Session session = jsch.getSession(args[1], "127.0.0.1", Integer.parseInt(args[0]));
        Properties config = new Properties();
        config.put("StrictHostKeyChecking", "no");
        session.setConfig(config);
        session.connect(30_000);
        try {
            ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
            sftp.connect(30_000);
            int next = 3;
            while (next < args.length) {
                next = run(sftp, args, next);
            }
        } finally {
            session.disconnect();
        }
    }

    /** Runs the command at this place and gives the place of the one after it. */
    private static int run(ChannelSftp sftp, String[] args, int at) throws Exception {
        switch (args[at]) {
            case "put":
                sftp.put(args[at + 1], args[at + 2], ChannelSftp.OVERWRITE);
                return at + 3;
            case "resume":
                sftp.put(args[at + 1], args[at + 2], ChannelSftp.RESUME);
                return at + 3;
            case "append":
                sftp.put(args[at + 1], args[at + 2], ChannelSftp.APPEND);
                return at + 3;
            case "rename":
                sftp.rename(args[at + 1], args[at + 2]);
                return at + 3;
            case "remove":
                sftp.rm(args[at + 1]);
                return at + 2;
            case "stat":
                System.out.println(sftp.stat(args[at + 1]).getSize());
                return at + 2;
            case "list":
                for (Object entry : sftp.ls(".")) {
                    System.out.println(((ChannelSftp.LsEntry) entry).getFilename());
                }
                return at + 1;
            default:
                throw new IllegalArgumentException(args[at]);
        }
    }
}
