"""Sending: one large file, many small ones, a few of medium size, each by the stock sftp."""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

from .exports import write_export
from .servers import OpenSsh, Ours, Rclone, Server
from .table import Row, seconds

_numbers = count(1)


@dataclass
class Measured:
    """What one server took, a figure a round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


def put(server: Server, file: Path, name: str, *options: str) -> None:
    done = subprocess.run(
        server.sftp(*options), input=f'put "{file}" "{name}"\n', capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (server.name, done.stderr)


def put_at_once(server: Server, file: Path, files: int, senders: int) -> None:
    """Put a file so many times, each by an sftp of its own."""
    names = [new_name() for _ in range(files)]
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(lambda name: put(server, file, name), names))


def new_name() -> str:
    """Name no segment file: what is measured here is the transfer alone, and `.bin` is only kept."""
    return f"list {next(_numbers)}.bin"


def in_turns(servers: Sequence[Server], work: Callable[[Server], None], rounds: int) -> list[Measured]:
    """Measure the work with each server in turns, after a first round that does not count."""
    measured = [Measured() for _ in servers]
    for number in range(rounds + 1):
        for server, found in zip(servers, measured, strict=True):
            cpu, began = server.cpu_s(), time.monotonic()
            work(server)
            took = time.monotonic() - began
            if number:
                found.wall_s.append(took)
                found.cpu_s.append(_settled_cpu_s(server) - cpu)
            _forget(server)
    return measured


def put_rows(folder: Path, rows: int) -> list[Row]:
    file = write_export(folder / "large.csv", rows)
    size = file.stat().st_size
    servers = [Ours(folder / "ours"), OpenSsh(folder / "openssh")]
    ours, theirs = in_turns(servers, lambda server: put(server, file, new_name()), rounds=5)
    stop(servers)
    gigabytes = size / 1e9
    return [
        Row(
            f"put of a {size / 1e6:.0f} MB file by stock sftp, durable at the answer",
            "OpenSSH internal-sftp, which does not fsync",
            f"{size / median(ours.wall_s) / 1e6:.0f} MB/s",
            f"{size / median(theirs.wall_s) / 1e6:.0f} MB/s",
            median(theirs.wall_s) / median(ours.wall_s),
            1.2,
        ),
        Row(
            "the same, CPU of the server",
            "OpenSSH",
            f"{median(ours.cpu_s) / gigabytes:.2f} s/GB",
            f"{median(theirs.cpu_s) / gigabytes:.2f} s/GB",
            median(ours.cpu_s) / median(theirs.cpu_s),
            0.9,
            at_most=True,
        ),
    ]


def small_rows(folder: Path) -> list[Row]:
    """Hundred logins, files and fsyncs."""
    file = write_export(folder / "small.csv", 40_000 // 39)
    servers = [Ours(folder / "ours"), OpenSsh(folder / "openssh"), Rclone(folder / "rclone")]
    ours, openssh, rclone = in_turns(servers, lambda server: put_at_once(server, file, 100, 16), rounds=5)
    stop(servers)
    work = "100 puts of 40 KB, 16 at once"
    return [
        Row(work, name, seconds(ours.wall_s), seconds(other.wall_s), median(other.wall_s) / median(ours.wall_s), bar)
        for name, other, bar in [("OpenSSH", openssh, 4.0), ("`rclone serve sftp`", rclone, 1.0)]
    ]


def eight_rows(folder: Path, rows: int) -> list[Row]:
    file = write_export(folder / "medium.csv", rows // 10)
    servers = [Ours(folder / "ours"), OpenSsh(folder / "openssh")]
    ours, theirs = in_turns(servers, lambda server: put_at_once(server, file, 8, 8), rounds=3)
    stop(servers)
    return [
        Row(
            f"8 puts at once of {file.stat().st_size / 1e6:.0f} MB",
            "OpenSSH",
            seconds(ours.wall_s),
            seconds(theirs.wall_s),
            median(theirs.wall_s) / median(ours.wall_s),
            1.0,
        )
    ]


def stop(servers: Sequence[Server]) -> None:
    for server in servers:
        server.stop()


def _settled_cpu_s(server: Server) -> float:
    """Tell the server's CPU once its sessions have ended: sshd's count when it has waited for them."""
    before, now = -1.0, server.cpu_s()
    while now != before:
        time.sleep(0.1)
        before, now = now, server.cpu_s()
    return now


def _forget(server: Server) -> None:
    """Throw away what was put, so that no round writes to a fuller disk; the ledger's copies are links to it."""
    uploads = server.folder.parent / "uploads"
    for place in [*server.folder.glob("list *.bin"), *(uploads.glob("*") if isinstance(server, Ours) else ())]:
        shutil.rmtree(place) if place.is_dir() else place.unlink()
