"""The programs that senders use, each behind the same few verbs.

A verb is what a person or a job does with the program in one run of it, and fails the test if the program
says that it failed. `put_and_...` does the second thing in the same session wherever the program can, so
that nothing but the answer to CLOSE stands between the two.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import asyncssh
import paramiko

from ..e2e.conftest import require_program
from .fuse import require_fuse
from .post import HOST, RECEIPTS, Account


class Program(Protocol):
    """What each sender can do."""

    def __init__(self, account: Account) -> None: ...

    def put(self, file: Path, name: str) -> None:
        """Send a file, over whatever has that name."""

    def list(self) -> set[str]:
        """Give the names in the home, but for the receipts."""

    def put_and_stat(self, file: Path, name: str) -> int:
        """Send a file and give the size that the server then says it has, in bytes."""

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        """Send a file under its first name and rename it."""

    def resume(self, file: Path, name: str) -> None:
        """Send what the server does not have yet of a file."""

    def put_and_remove(self, file: Path, name: str) -> None:
        """Send a file and remove it."""


def ssh_options(account: Account) -> list[str]:
    """Give the options of OpenSSH's ssh and sftp: nothing but the account's key, and any host key."""
    settings = {
        "Port": account.port,
        "IdentityFile": account.keys.ed25519,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
    }
    return ["-F/dev/null", *(f"-o{name}={value}" for name, value in settings.items())]


def size_in_listing(listing: str, name: str) -> int:
    """Read the size from a line of `ls -l`."""
    [line] = [line for line in listing.splitlines() if line.startswith("-") and line.endswith(name)]
    return int(line.split()[4])


class OpenSsh:
    """OpenSSH's sftp."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._sftp = require_program("sftp")

    def batch(self, *commands: str, code: int = 0) -> str:
        options = ssh_options(self._account)
        return self._account.execute(
            self._sftp, "-b", "-", *options, f"{self._account.client}@{HOST}", stdin="\n".join(commands), code=code
        )

    def put(self, file: Path, name: str) -> None:
        self.batch(f"put {file} {name}")

    def list(self) -> set[str]:
        return {line for line in self.batch("-ls -1").splitlines() if not line.startswith("sftp>")} - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        return size_in_listing(self.batch(f"put {file} {name}", f"ls -ln {name}"), name)

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        self.batch(f"put {file} {first}", f"rename {first} {name}")

    def resume(self, file: Path, name: str) -> None:
        self.batch(f"reput {file} {name}")

    def put_and_remove(self, file: Path, name: str) -> None:
        self.batch(f"put {file} {name}", f"rm {name}")


class Scp:
    """OpenSSH's scp, which speaks SFTP since its version 9.0."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._scp = require_program("scp")

    def put(self, file: Path, name: str) -> None:
        options = ssh_options(self._account)
        self._account.execute(self._scp, "-s", *options, str(file), f"{self._account.client}@{HOST}:{name}")


class Lftp:
    """lftp, over OpenSSH's ssh."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lftp = require_program("lftp")

    def script(self, *commands: str) -> str:
        connect = " ".join(["ssh", "-a", "-x", *ssh_options(self._account)])
        account = f"sftp://{self._account.client}:@{HOST}:{self._account.port}"
        settings = ["set cmd:fail-exit true", "set net:max-retries 1", f'set sftp:connect-program "{connect}"']
        script = "; ".join([*settings, f"open {account}", *commands])
        return self._account.execute(self._lftp, "--norc", "-c", script)

    def put(self, file: Path, name: str) -> None:
        self.script(f"put {file} -o {name}")

    def list(self) -> set[str]:
        return set(self.script("recls -1").splitlines()) - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        return size_in_listing(self.script(f"put {file} -o {name}", f"recls -l {name}"), name)

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        self.script(f"put {file} -o {first}", f"mv {first} {name}")

    def resume(self, file: Path, name: str) -> None:
        self.script(f"put -c {file} -o {name}")

    def put_and_remove(self, file: Path, name: str) -> None:
        self.script(f"put {file} -o {name}", f"rm {name}")


class Rclone:
    """rclone, which looks at each file again after it sent it; it has no session over several commands."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._rclone = require_program("rclone")

    def run(self, *command: str) -> str:
        where = ["--sftp-host", HOST, "--sftp-port", str(self._account.port), "--sftp-user", self._account.client]
        options = ["--config", "", "--retries", "1", "--sftp-key-file", str(self._account.keys.ed25519)]
        return self._account.execute(self._rclone, *command, *where, *options)

    def put(self, file: Path, name: str) -> None:
        self.run("copyto", str(file), f":sftp:{name}")

    def list(self) -> set[str]:
        return set(self.run("lsf", ":sftp:").splitlines()) - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        self.put(file, name)
        return int(self.run("lsl", f":sftp:{name}").split()[0])

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        self.put(file, first)
        self.run("moveto", f":sftp:{first}", f":sftp:{name}")

    def resume(self, file: Path, name: str) -> None:
        raise NotImplementedError

    def put_and_remove(self, file: Path, name: str) -> None:
        self.put(file, name)
        self.run("deletefile", f":sftp:{name}")


class Curl:
    """curl, over libssh2."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._curl = require_program("curl")

    def run(self, name: str, *options: str) -> str:
        login = ["--user", f"{self._account.client}:", "--key", str(self._account.keys.ed25519), "--insecure"]
        url = f"sftp://{HOST}:{self._account.port}/{name}"
        return self._account.execute(self._curl, "--silent", "--show-error", *login, *options, url)

    def put(self, file: Path, name: str) -> None:
        self.run(name, "--upload-file", str(file))

    def list(self) -> set[str]:
        return set(self.run("", "--list-only").splitlines()) - {".", ".."} - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        self.put(file, name)
        return size_in_listing(self.run(""), name)

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        self.run(first, "--upload-file", str(file), "--quote", f"-rename /{first} /{name}")

    def resume(self, file: Path, name: str) -> None:
        self.run(name, "--upload-file", str(file), "--continue-at", "-")

    def put_and_remove(self, file: Path, name: str) -> None:
        self.run(name, "--upload-file", str(file), "--quote", f"-rm /{name}")


class Putty:
    """What PuTTY's programs have in common: they read keys of PuTTY's own form."""

    name: str

    def __init__(self, account: Account) -> None:
        self._account = account
        self._program = require_program(self.name)
        self._key = account.folder / "key.ppk"
        account.execute(require_program("puttygen"), str(account.keys.ed25519), "-O", "private", "-o", str(self._key))

    def execute(self, *arguments: str) -> str:
        options = ["-batch", "-P", str(self._account.port), "-i", str(self._key)]
        for fingerprint in host_fingerprints(self._account):
            options += ["-hostkey", fingerprint]
        return self._account.execute(self._program, *options, *arguments)


class Pscp(Putty):
    """PuTTY's pscp."""

    name = "pscp"

    def put(self, file: Path, name: str) -> None:
        self.execute("-sftp", str(file), f"{self._account.client}@{HOST}:{name}")


class Psftp(Putty):
    """PuTTY's psftp."""

    name = "psftp"

    def batch(self, *commands: str) -> str:
        script = self._account.file("psftp.txt", "".join(f"{command}\n" for command in commands).encode())
        return self.execute("-b", str(script), f"{self._account.client}@{HOST}")

    def put(self, file: Path, name: str) -> None:
        self.batch(f"put {file} {name}")

    def list(self) -> set[str]:
        return {line.split()[-1] for line in self.batch("ls").splitlines() if line.startswith("-")}

    def put_and_stat(self, file: Path, name: str) -> int:
        return size_in_listing(self.batch(f"put {file} {name}", f"ls {name}*"), name)

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        self.batch(f"put {file} {first}", f"mv {first} {name}")

    def resume(self, file: Path, name: str) -> None:
        self.batch(f"reput {file} {name}")

    def put_and_remove(self, file: Path, name: str) -> None:
        self.batch(f"put {file} {name}", f"rm {name}")


class Sshfs:
    """sshfs: the home as a folder of the sender's own machine."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._sshfs = require_program("sshfs")
        require_fuse()

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        place = self._account.folder / "mounted"
        place.mkdir(exist_ok=True)
        options = [option.removeprefix("-o") for option in ssh_options(self._account)[1:]]
        flags = [part for option in ["ssh_command=ssh -F/dev/null", *options] for part in ("-o", option)]
        self._account.execute(self._sshfs, f"{self._account.client}@{HOST}:/", str(place), *flags)
        try:
            yield place
        finally:
            self._account.execute("fusermount3", "-u", str(place))

    def wait_for_close(self, name: str) -> None:
        """Keep the home mounted until CLOSE arrived: the kernel sends it some time after close(2), or not at all."""
        self._account.event("upload landed", path=f"/{name}")

    def put(self, file: Path, name: str) -> None:
        with self.mounted() as home:
            shutil.copyfile(file, home / name)
            self.wait_for_close(name)

    def list(self) -> set[str]:
        with self.mounted() as home:
            return {place.name for place in home.iterdir()} - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        with self.mounted() as home:
            shutil.copyfile(file, home / name)
            size = (home / name).stat().st_size
            self.wait_for_close(name)
        return size

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        with self.mounted() as home:
            shutil.copyfile(file, home / first)
            (home / first).rename(home / name)

    def resume(self, file: Path, name: str) -> None:
        with self.mounted() as home:
            with (home / name).open("ab") as there:
                there.write(file.read_bytes()[there.tell() :])
            self.wait_for_close(name)

    def put_and_remove(self, file: Path, name: str) -> None:
        with self.mounted() as home:
            shutil.copyfile(file, home / name)
            (home / name).unlink()


class Paramiko:
    """paramiko's SFTP client."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @contextmanager
    def session(self) -> Iterator[Any]:
        with paramiko.SSHClient() as ssh:
            ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            ssh.connect(
                HOST,
                self._account.port,
                self._account.client,
                key_filename=str(self._account.keys.ed25519),
                allow_agent=False,
                look_for_keys=False,
            )
            with ssh.open_sftp() as sftp:
                yield sftp

    def put(self, file: Path, name: str) -> None:
        with self.session() as sftp:
            sftp.put(str(file), name)

    def list(self) -> set[str]:
        with self.session() as sftp:
            return set(sftp.listdir()) - RECEIPTS

    def put_and_stat(self, file: Path, name: str) -> int:
        with self.session() as sftp:
            sftp.put(str(file), name, confirm=False)
            return int(sftp.stat(name).st_size)

    def put_and_rename(self, file: Path, first: str, name: str) -> None:
        with self.session() as sftp:
            sftp.put(str(file), first)
            sftp.rename(first, name)

    def resume(self, file: Path, name: str) -> None:
        with self.session() as sftp, sftp.open(name, "ab") as there:
            there.write(file.read_bytes()[sftp.stat(name).st_size :])

    def put_and_remove(self, file: Path, name: str) -> None:
        with self.session() as sftp:
            sftp.put(str(file), name)
            sftp.remove(name)


def host_fingerprints(account: Account) -> list[str]:
    """Give the fingerprints of the server's host keys."""
    keys = (account.post.box.folder / "keys" / "host").glob("ssh_host_*_key")
    return [asyncssh.read_private_key(key).get_fingerprint() for key in sorted(keys)]
