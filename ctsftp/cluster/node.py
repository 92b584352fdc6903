"""One node among those that share a database: its name, its clock, and what an admin decides elsewhere.

A node loads the uploads that it received, since it has their files. Its name therefore goes with its data folder.
"""

import asyncio
import re
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from ctsftp.contract.states import State
from ctsftp.datafolder import DataFolder
from ctsftp.durable import replacing
from ctsftp.errors import CtsftpError, SettingsError
from ctsftp.spool.disk import FILE_MODE
from ctsftp.spool.stored import StoredUpload
from ctsftp.store.store import Store

# Of two files with one stamp the later is the correction: the nodes' clocks say which.
MAX_CLOCK_OFF_S = 5
WATCH_INTERVAL_S = 0.5
WATCHED_AT_ONCE = 100
CLOCK_INTERVAL_S = 60
TAKEN_UP_WITHIN_S = 10

log = structlog.get_logger()

NAME = re.compile(r"[\w.-]{1,100}")


class Queue(Protocol):
    """The uploads that this node is to load."""

    def __contains__(self, upload_id: str) -> bool:
        """Tell whether an upload waits for its turn, or is being loaded."""

    def offer(self, upload: StoredUpload) -> bool:
        """Queue an upload, unless it is there or the queue is full."""


def node_name(data_dir: Path) -> str:
    """Read the name from `data_dir/node`, or choose one; call it under the folder's lock.

    It begins with the host's name, for people, and ends by chance: two hosts may have one name.
    """
    place = DataFolder(data_dir).node
    try:
        if place.exists():
            return _checked(place.read_text("utf-8").strip(), place)
        name = f"{re.sub(r'[^a-zA-Z0-9.-]', '-', socket.gethostname())[:80]}-{secrets.token_hex(4)}"
        with replacing(place, mode=FILE_MODE) as file:  # durably: uploads are known by what it says
            file.write(f"{name}\n".encode())
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"The node's name in {place} cannot be read or made: {exc}.") from exc
    return name


def _checked(name: str, place: Path) -> str:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{place} holds no node's name: put back what it was, since its uploads are known by it.")
    return name


async def check_clock(store: Store) -> None:
    """Raise a `SettingsError` if this machine's clock is not that of the shared database."""
    ahead_s = await store.clock_ahead_s()
    if abs(ahead_s) > MAX_CLOCK_OFF_S:
        how = "ahead of" if ahead_s > 0 else "behind"
        raise SettingsError(
            f"This machine's clock is {abs(ahead_s):,.0f} s {how} the database's: set it, by NTP, and start again."
        )


async def watch_decisions(store: Store, find_file: Callable[[str, str], StoredUpload | None], queue: Queue) -> None:
    """Queue what an admin sent back to `received` by another node, and keep an eye on the clock; for ever.

    `find_file` finds the file of a client's upload by the upload's id; it blocks.
    """
    rounds = 0
    while True:
        try:
            for client, upload_id in await store.ledger.waiting(WATCHED_AT_ONCE):
                if upload_id not in queue and (upload := await asyncio.to_thread(find_file, client, upload_id)):
                    queue.offer(upload)
            if rounds % (CLOCK_INTERVAL_S / WATCH_INTERVAL_S) == 0:
                await check_clock(store)
        except (CtsftpError, OSError) as exc:
            log.warning("node watch failed, the next one will come", error=str(exc))
        rounds += 1
        await asyncio.sleep(WATCH_INTERVAL_S)


async def until_taken_up(store: Store, upload_id: str) -> None:
    """Wait until another node has loaded an upload; not for long, since it may be down."""
    with suppress(TimeoutError):
        async with asyncio.timeout(TAKEN_UP_WITHIN_S):
            # Nothing but the ledger tells what another node does.
            while (await store.ledger.upload(upload_id)).state in {State.RECEIVED, State.LOADING}:  # noqa: ASYNC110
                await asyncio.sleep(WATCH_INTERVAL_S / 2)
