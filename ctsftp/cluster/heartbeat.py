"""The sign of life of a data folder's holder, for the nodes that see the folder.

A lock on a disk in the net outlives its holder, or is lost without the holder's knowledge. So the holder also touches
a file again and again; whoever takes the folder over writes another text into it, and the first one notices.
"""

import asyncio
import os
import secrets
from pathlib import Path

import structlog

from ctsftp.datafolder import DataFolder
from ctsftp.durable import replacing
from ctsftp.errors import TakenOverError
from ctsftp.spool.disk import FILE_MODE

log = structlog.get_logger()


class Heartbeat:
    """The sign of life of a data folder's holder: `alive`, a file that it touches again and again.

    It stays behind, whichever way the holder ends, until somebody has finished the uploads in the folder.
    """

    def __init__(self, data_dir: Path, by: str) -> None:
        self._place = DataFolder(data_dir).alive
        self._text = f"{by} {secrets.token_hex(8)}\n"
        self._over = False

    def begin(self) -> None:
        """Give the first sign; whoever gave signs here before will notice."""
        with replacing(self._place, mode=FILE_MODE) as file:
            file.write(self._text.encode())

    async def beat(self, every_s: float) -> None:
        """Give signs for ever; raise `TakenOverError` when another holder does."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self._renew)
            except OSError as exc:
                log.warning("no sign of life given", file=str(self._place), error=str(exc))

    def end(self) -> None:
        """Take the sign away: nothing is left to be done in the folder."""
        self._over = True
        self._place.unlink(missing_ok=True)

    def _renew(self) -> None:
        try:
            mine = self._place.read_text("utf-8") == self._text
            if mine:
                os.utime(self._place)
        except FileNotFoundError:
            mine = False
        if not mine and not self._over:
            raise TakenOverError(
                f"{self._place} is another node's: it took this one for dead. Start it again, and see that its disk"
                " and its clock do not stand still for longer than CTSFTP_TAKEOVER__AFTER_S,"
                " which is set for the server before its start."
            )
