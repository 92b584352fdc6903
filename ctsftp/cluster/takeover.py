"""What a dead node left is finished by another, where the nodes' data folders lie on a disk that all of them see.

The one that takes over does what a command does that finds no `serve`: it runs an engine on the other's folder, under
that folder's lock and in that node's name. So whatever holds for a node that comes back holds here, too.
"""

import asyncio
import glob
import os
import time
from contextlib import suppress
from pathlib import Path

import structlog

from ctsftp.app.engine import Engine
from ctsftp.app.lock import ALIVE, DataFolderBusyError
from ctsftp.errors import CtsftpError

LOOKS_A_LEASE = 4
FINISH_INTERVAL_S = 1
# The node may come back meanwhile, and others may be dead, too.
FINISH_S = 600

log = structlog.get_logger()


async def watch_siblings(engine: Engine) -> None:
    """Finish the uploads of every node that gave no sign of life for `takeover.after_s`; for ever."""
    takeover = engine.settings.takeover
    if not (takeover.folders and engine.store.node):
        return
    silence = Silence(takeover.folders, engine.settings.data_dir)
    while True:
        for folder in await asyncio.to_thread(silence.longer_than, takeover.after_s):
            try:
                await _finish(engine, folder)
            except DataFolderBusyError:  # it lives, or another node was quicker
                continue
            except (CtsftpError, OSError) as exc:
                log.warning("not taken over, the next look will come", folder=str(folder), error=str(exc))
            except Exception:
                log.exception("not taken over, the next look will come", folder=str(folder))
        await asyncio.sleep(takeover.after_s / LOOKS_A_LEASE)


class Silence:
    """For how long other nodes gave no sign of life, by this machine's own clock: no two clocks are compared."""

    def __init__(self, folders: str, own: Path) -> None:
        self._pattern = f"{folders}/{ALIVE}"
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


async def _finish(engine: Engine, folder: Path) -> None:
    """Load what lies in a dead node's folder, until nothing is left that this can be done for without an admin.

    What is still tried again after `FINISH_S` is left to the next look: the folder is let go, with its last sign.
    """
    settings = engine.settings.model_copy(update={"data_dir": folder})
    async with Engine.open(settings, engine.watch, by=engine.store.node) as theirs:
        theirs.changed = engine.changed
        log.warning("taking over", folder=str(folder), node=theirs.store.node)
        until = time.monotonic() + FINISH_S
        while (await theirs.sweeper.sweep()).queued or len(theirs.queue) or await theirs.put_off():
            await theirs.queue.wait_for()
            if time.monotonic() > until:
                log.warning("not all taken over, the next look will come", folder=str(folder), node=theirs.store.node)
                return
            await asyncio.sleep(FINISH_INTERVAL_S)
        if theirs.pulse:
            theirs.pulse.end()
        log.warning("took over", folder=str(folder), node=theirs.store.node)
