"""The servers that are compared, each in a process of its own on a free port, and what they use."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Box, Serve, start_process

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 30.0
CLIENT = "acme"


class Server:
    """A server that runs, and the key that its client signs in with."""

    name: str
    user: str
    port: int
    key: Path
    folder: Path  # where what is put can be seen, and thrown away
    pid: int

    @abstractmethod
    def stop(self) -> None: ...

    def cpu_s(self) -> float:
        """Tell how much CPU the server has used, with the children that it waited for (proc(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS_A_SECOND

    def memory_bytes(self, field: str = "VmHWM") -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{field}:"))

    def sftp(self, *options: str) -> list[str]:
        """Give the command of the stock sftp, with its own choice of algorithms."""
        settings = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        own = [f"-oPort={self.port}", f"-oIdentityFile={self.key}", "-oIdentitiesOnly=yes"]
        return ["sftp", "-q", *own, *(f"-o{one}" for one in settings), *options, "-b", "-", f"{self.user}@127.0.0.1"]


class Ours(Server):
    """`ctsftp serve`; settings are given as in the environment, without their prefix."""

    name = "ctsftp"
    user = CLIENT

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir()
        self.box = Box(folder)
        self.box.launch = start_process
        self.box.env |= {f"CTSFTP_{name}": str(value) for name, value in settings.items()}
        self.key = self.box.add_client(CLIENT)
        self.start()
        self.folder = folder / "data" / "clients" / CLIENT / "home"

    def start(self) -> None:
        self.serve: Serve = self.box.start()
        self.port, self.pid = self.serve.port, self.serve.process.pid

    def stop(self) -> None:
        self.serve.stop()

    def wait_for_verdict(self, name: str, since: int = 0, state: str = "loaded") -> dict[str, Any]:
        found = self.serve.wait_for("verdict", lambda event: event["file"] == name, since=since)
        assert found["state"] == state, found
        return found


class OpenSsh(Server):
    """Debian's sshd with its internal-sftp and its defaults; it accepts as many logins at once as it is asked to."""

    name = "OpenSSH"
    user = os.environ.get("USER", "root")

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.key, self.port = folder / "key", free_port()
        for name in ("key", "host_key"):
            make_key(folder / name)
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": folder / "host_key",
            "AuthorizedKeysFile": folder / "key.pub",
            "PidFile": "none",
            "StrictModes": "no",
            "PermitRootLogin": "yes",
            "MaxStartups": 1000,
            "Subsystem": f"sftp internal-sftp -d {folder}",
        }
        config = folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        Path("/run/sshd").mkdir(exist_ok=True)
        self.process = start(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], self.port)
        self.pid, self.folder = self.process.pid, folder

    def stop(self) -> None:
        end(self.process)


class Rclone(Server):
    """`rclone serve sftp`."""

    name = "rclone"
    user = CLIENT

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.key, self.port = folder / "files", folder / "key", free_port()
        self.folder.mkdir()
        make_key(self.key)
        make_key(folder / "host_key")
        command = ["rclone", "serve", "sftp", str(self.folder), "--addr", f"127.0.0.1:{self.port}"]
        keys = ["--authorized-keys", f"{self.key}.pub", "--key", str(folder / "host_key")]
        self.process = start([*command, *keys, "--config", "/dev/null"], self.port)
        self.pid = self.process.pid

    def stop(self) -> None:
        end(self.process)


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def start(command: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start a program and wait until it listens."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.02)
        else:
            return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_S)


def describe_machine() -> str:
    """Say what this was measured on, and how busy it was."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    versions = [
        f"Python {sys.version.split()[0]}",
        subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0],
        subprocess.run(["rclone", "version"], capture_output=True, text=True, check=True).stdout.splitlines()[0],
        f"sqlite3 {subprocess.run(['sqlite3', '--version'], capture_output=True, text=True, check=True).stdout[:6]}",
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({cpu.partition(': ')[2]}), {memory} GiB; {', '.join(versions)}; load {load:.1f}"


def children_cpu_s() -> float:
    """Tell how much CPU the programs that were started and have ended used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
