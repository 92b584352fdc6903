"""Finds the nodes that are dead, where the nodes' data folders lie on a disk that all of them see."""

import asyncio
import glob
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from ctsftp.datafolder import DataFolder
from ctsftp.errors import CtsftpError, DataFolderBusyError

LOOKS_A_LEASE = 4

log = structlog.get_logger()


async def watch_siblings(folders: str, own: Path, after_s: float, finish: Callable[[Path], Awaitable[None]]) -> None:
    """Have the uploads of every node finished that gave no sign of life for `after_s`; for ever.

    `folders` is the pattern of the nodes' data folders, `own` this node's; `finish` loads what lies in one.
    """
    silence = Silence(folders, own)
    while True:
        for folder in await asyncio.to_thread(silence.longer_than, after_s):
            try:
                await finish(folder)
            except DataFolderBusyError:  # it lives, or another node was quicker
                continue
            except (CtsftpError, OSError) as exc:
                log.warning("not taken over, the next look will come", folder=str(folder), error=str(exc))
            except Exception:
                log.exception("not taken over, the next look will come", folder=str(folder))
        await asyncio.sleep(after_s / LOOKS_A_LEASE)


class Silence:
    """For how long other nodes gave no sign of life, by this machine's own clock: no two clocks are compared."""

    def __init__(self, folders: str, own: Path) -> None:
        self._pattern = str(DataFolder(Path(folders)).alive)
        self._own = own.resolve()
        # The last sign of each, and since when it has been the last.
        self._last: dict[Path, tuple[int, float]] = {}

    def longer_than(self, seconds: float) -> list[Path]:
        """Look; list the data folders whose sign has been the same for so long."""
        now = time.monotonic()
        last: dict[Path, tuple[int, float]] = {}
        for place in map(Path, glob.glob(self._pattern)):  # noqa: PTH207  the pattern is absolute
            if place.parent.resolve() == self._own:
                continue
            with suppress(OSError):  # finished just now
                sign = os.stat(place).st_mtime_ns  # noqa: PTH116
                known = self._last.get(place.parent)
                last[place.parent] = known if known and known[0] == sign else (sign, now)
        self._last = last
        return [folder for folder, (_, since) in last.items() if now - since >= seconds]
