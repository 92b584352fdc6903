"""Many senders at once, and many for long: nothing is lost, mixed up or leaked."""

import asyncio
import logging
import os
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from pyroaring import BitMap64

from .post import HOST, Account, Post, export

pytestmark = pytest.mark.slow

CLIENTS = 10
CONNECTIONS = 2  # a client: 20 logins from one address
SEGMENTS = 5  # a connection
ROWS = (1, 10, 100, 1_000, 10_000)
UPLOADS = CLIENTS * CONNECTIONS * SEGMENTS * 2

SOAK_S = float(os.environ.get("CTSFTP_TESTS_SOAK_S", "1800"))
SOAK_SENDERS = 8
# The sizes of the lists are random: no guard is to hold one that shrank.
SOAK_CONFIG = "[guards]\nshrunk_ratio = 0.0\n"

log = logging.getLogger(__name__)


@asynccontextmanager
async def session(account: Account) -> AsyncIterator[asyncssh.SFTPClient]:
    async with (
        asyncssh.connect(
            HOST,
            account.port,
            config=None,
            username=account.client,
            client_keys=[str(account.keys.ed25519)],
            known_hosts=None,
            agent_path=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


@dataclass(frozen=True)
class Upload:
    """A file that is sent, and who must then be in its snapshot."""

    name: str
    ids: range


def uploads_of(connection: int) -> list[Upload]:
    """Give the uploads of one connection: two versions of each segment, the older ones first."""
    return [
        Upload(f"Segment {connection} {segment}_20261123_{version:04}.csv", range(first, first + ROWS[segment]))
        for version in (1, 2)
        for segment in range(SEGMENTS)
        for first in [1 + version * 1_000_000 + segment]
    ]


async def send_at_once(account: Account, uploads: list[Upload], all_open: asyncio.Barrier) -> None:
    """Open all files, wait for the other senders' to be open, then write and close them side by side, in order."""
    async with session(account) as sftp:
        files = [await sftp.open(upload.name, "wb") for upload in uploads]
        await all_open.wait()
        await asyncio.gather(
            *(file.write(export(upload.ids)) for file, upload in zip(files, uploads, strict=True)),
        )
        for file in files:
            await file.close()


def loaded_members(account: Account, name: str) -> list[int]:
    """Give what an upload made, though a newer one may have replaced it."""
    found = (
        "SELECT snapshots.id FROM snapshots JOIN uploads ON uploads.id = upload_id WHERE client = ? AND filename = ?"
    )
    [snapshot] = account.post.select(found, account.client, name)
    parts = account.post.select("SELECT blob FROM snapshot_parts WHERE snapshot_id = ? ORDER BY part", *snapshot)
    return [ct_user_id for (blob,) in parts for ct_user_id in BitMap64.deserialize(blob)]


async def test_two_hundred_uploads_at_once_all_end_loaded_with_exactly_their_members(
    post: Post, tmp_path: Path
) -> None:
    accounts = [post.open_account(tmp_path) for _ in range(CLIENTS)]
    all_open = asyncio.Barrier(CLIENTS * CONNECTIONS)
    async with asyncio.TaskGroup() as senders:
        for account in accounts:
            for connection in range(CONNECTIONS):
                senders.create_task(send_at_once(account, uploads_of(connection), all_open))
    for account in accounts:
        uploads = [upload for connection in range(CONNECTIONS) for upload in uploads_of(connection)]
        for upload in uploads:
            assert account.state(upload.name) == "loaded"
            assert loaded_members(account, upload.name) == list(upload.ids)
            if "_20261123_0002" in upload.name:
                assert account.members(upload.name.partition("_")[0]) == list(upload.ids)
        assert len(account.states()) == len(uploads)
    assert len(accounts) * len(uploads) == UPLOADS == 200


@dataclass(frozen=True)
class Use:
    """What the server's process holds."""

    memory_kib: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Use":
        """Read it from /proc (proc(5))."""
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(
            int(status["VmRSS"].split()[0]), sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()), int(status["Threads"])
        )


class Soak:
    """Rounds of mixed work; after each, when all senders have left, the server's use is noted."""

    def __init__(self, post: Post, folder: Path, seed: int) -> None:
        self.uses: list[Use] = []
        self.sent = 0
        self._post = post
        self._accounts = [post.open_account(folder, SOAK_CONFIG) for _ in range(SOAK_SENDERS)]
        self._random = random.Random(seed)  # noqa: S311  a replayable choice

    async def round(self, number: int) -> None:
        """Let all senders work at once, see that each list arrived, and note the use."""
        ids = [range(number, number + self._random.choice(ROWS[:-1])) for _ in self._accounts]
        for account in self._accounts:
            account.look_on()
        # The stamp grows with the rounds, and lies in the past on any clock.
        name = f"VIP_2024{1 + number // 10_000 // 28 % 12:02}{1 + number // 10_000 % 28:02}_{number % 10_000:04}.csv"
        await asyncio.gather(
            *(self._send(account, name, wanted) for account, wanted in zip(self._accounts, ids, strict=True))
        )
        for account, wanted in zip(self._accounts, ids, strict=True):
            state = await asyncio.to_thread(account.state, name)
            assert state == "loaded", (name, state)
            assert account.members("VIP") == list(wanted)
            await asyncio.to_thread(account.event, "upload cut off")
            await asyncio.to_thread(account.event, "connection ended", error=None)
        self.sent += len(self._accounts)
        self.uses.append(Use.of(self._post.serve.process.pid))

    async def _send(self, account: Account, name: str, ids: range) -> None:
        async with session(account) as sftp:
            await sftp.listdir("/")
            async with sftp.open(f"{name}.tmp", "wb") as file:
                await file.write(export(ids))
            await sftp.stat(f"{name}.tmp")
            await sftp.posix_rename(f"{name}.tmp", name)
            async with sftp.open(name) as file:
                assert await file.read() == export(ids).decode()
            await sftp.remove(name)
            left_open = await sftp.open("left open.csv", "wb")
            await left_open.write(b"CTUserID\n")


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 300)
async def test_memory_and_descriptors_stay_flat_however_long_senders_come_and_go(tmp_path: Path, post: Post) -> None:
    """CTSFTP_TESTS_SOAK_S shortens it; the first quarter warms up. Run with --log-cli-level=INFO to see the figures."""
    soak = Soak(post, tmp_path, seed=20261123)
    began = time.monotonic()
    number = 0
    while time.monotonic() < began + SOAK_S:
        number += 1
        await soak.round(number)
    quarter = len(soak.uses) // 4
    early, late = soak.uses[quarter : 2 * quarter], soak.uses[-quarter:]
    before, after = (statistics.median(use.memory_kib for use in uses) for uses in (early, late))
    most_before, most_after = (max(use.descriptors for use in uses) for uses in (early, late))
    log.info("%d lists in %d rounds", soak.sent, number)
    log.info("memory: %d KiB at first, then %.0f and %.0f", soak.uses[0].memory_kib, before, after)
    log.info("descriptors: %d and %d at most", most_before, most_after)
    log.info("threads: %d and %d", early[-1].threads, late[-1].threads)
    assert after < before * 1.05
    assert most_after <= most_before
