"""One SSH channel that asks for the sftp subsystem, and the task that serves it.

The task is ours, not the connection's: asyncssh cancels a connection's tasks when it is lost, and
skips its own clean-up after a channel signal or break. Here the `finally` always runs, and turns
every upload that is still open into a partial.
"""

import asyncio
from collections.abc import Callable, Coroutine

import structlog
from asyncssh import SSHReader, SSHServerChannel, SSHWriter
from asyncssh.misc import BreakReceived, SignalReceived, SoftEOFReceived, TerminalSizeChanged
from asyncssh.stream import SSHServerStreamSession

from ctsftp.sftp.files import ClientFiles, FilesContext
from ctsftp.sftp.handler import FilesHandler

log = structlog.get_logger()


class Session(SSHServerStreamSession[bytes]):
    """Serves SFTP on one channel: no shell, no exec, no terminal."""

    def __init__(
        self,
        channel: SSHServerChannel[bytes],
        client: str,
        context: FilesContext,
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
        ended: Callable[["Session"], None],
    ) -> None:
        super().__init__(None)
        self.client = client
        self.task: asyncio.Task[None] | None = None
        self._channel = channel
        self._context = context
        self._spawn = spawn
        self._ended = ended
        self._files: ClientFiles | None = None
        self._refuses_new = False

    @property
    def open_uploads(self) -> int:
        """How many files are being written here."""
        return self._files.open_uploads if self._files else 0

    def refuse_new(self) -> None:
        """Let no new file be opened for writing: the server is stopping."""
        self._refuses_new = True
        if self._files:
            self._files.refuses_new = True

    def shell_requested(self) -> bool:
        """Refuse a shell."""
        return False

    def exec_requested(self, command: str) -> bool:  # noqa: ARG002  whatever it is
        """Refuse a command, SCP's too."""
        return False

    def pty_requested(self, *_: object) -> bool:
        """Refuse a terminal."""
        return False

    def subsystem_requested(self, subsystem: str) -> bool:
        """Serve sftp and nothing else."""
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Start the task that serves this channel."""
        reader = SSHReader[bytes](self, self._channel)
        writer = SSHWriter[bytes](self, self._channel)
        self.task = self._spawn(self._serve(reader, writer))

    async def _serve(self, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> None:
        try:
            home = await asyncio.to_thread(self._context.spool.home, self.client)
            self._files = ClientFiles(self._channel, self.client, home, self._context)
            self._files.refuses_new = self._refuses_new
            await FilesHandler(self._files, reader, writer).run()
        except (EOFError, BreakReceived, SignalReceived, SoftEOFReceived, TerminalSizeChanged) as exc:
            log.info("session broke off", client=self.client, cause=type(exc).__name__)
        except Exception:
            log.exception("session failed", client=self.client)
        finally:
            if self._files:
                await self._files.abandon()
            writer.close()
            self._ended(self)
