// Sends a file as Node programs do. Arguments: port, user, private key, file, name.
const fs = require("fs");
const Client = require("ssh2-sftp-client");

async function main([port, username, key, file, name]) {
  const sftp = new Client();
  await sftp.connect({ host: "127.0.0.1", port, username, privateKey: fs.readFileSync(key) });
  try {
    await sftp.put(file, name);
  } finally {
    await sftp.end();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
