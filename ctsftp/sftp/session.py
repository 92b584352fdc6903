"""One SSH channel that asks for the sftp subsystem, and the task that serves it.

The task is ours, not the connection's: asyncssh cancels a connection's tasks when it is lost, and
skips its own clean-up after a channel signal or break. Here the `finally` always runs, and turns
every upload that is still open into a partial. No error leaves the task: it would end the program.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping

import structlog
from asyncssh import BreakReceived, SignalReceived, SSHReader, SSHServerChannel, SSHWriter, TerminalSizeChanged
from asyncssh.constants import EXTENDED_DATA_STDERR

from ctsftp.errors import CtsftpError
from ctsftp.sftp.asyncssh_seam.handler import FilesHandler
from ctsftp.sftp.asyncssh_seam.stream import RequestStream
from ctsftp.sftp.files import ClientFiles
from ctsftp.sftp.landing import FilesContext
from ctsftp.spool.staging import StagedFile

EXIT_BROKEN_OFF = 1
EXIT_NO_SFTP = 1

log = structlog.get_logger()


class Session(RequestStream):
    """Serves SFTP on one channel: no shell, no exec, no terminal.

    `peer` is what the log shall tell of the peer; `answerable` is the connection's: set while its peer takes answers.
    """

    def __init__(
        self,
        channel: SSHServerChannel[bytes],
        client: str,
        peer: Mapping[str, str],
        context: FilesContext,
        *,
        answerable: asyncio.Event,
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
        ended: Callable[["Session"], None],
    ) -> None:
        super().__init__(answerable=answerable)
        self.client = client
        self.task: asyncio.Task[None] | None = None
        self._channel = channel
        self._peer = peer
        self._context = context
        self._spawn = spawn
        self._ended = ended
        self._files: ClientFiles | None = None
        self._refuses_new = False
        self._wants_sftp = True
        self._peer_is_openssh = False

    @property
    def open_uploads(self) -> int:
        """How many files are being written here, or were closed and are not answered yet."""
        return self._files.open_uploads if self._files else 0

    @property
    def landing(self) -> bool:
        """Whether a file that was closed or renamed waits for its answer."""
        return self._files is not None and self._files.landing > 0

    @property
    def uploads(self) -> Iterable[StagedFile]:
        """The files that are being written here."""
        return self._files.uploads if self._files else ()

    @property
    def requests(self) -> int:
        """How many requests came here."""
        return self._files.requests if self._files else 0

    def refuse_new(self) -> None:
        """Let no new file be opened for writing: the server is stopping."""
        self._refuses_new = True
        if self._files:
            self._files.refuse_new()

    def shell_requested(self) -> bool:
        """Give no shell, but a sentence: of a request that fails, ssh tells nothing but that."""
        self._wants_sftp = False
        return True

    def exec_requested(self, command: str) -> bool:  # noqa: ARG002  whatever it is
        """Run no command, SCP's neither, and say so."""
        self._wants_sftp = False
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Serve sftp and nothing else."""
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Start the task that serves this channel; one that asked for a shell or a command ends with a sentence."""
        if not self._wants_sftp:
            text = f"This server speaks SFTP only: sftp -P PORT {self.client}@HOST\r\n"
            self._channel.write(text.encode(), EXTENDED_DATA_STDERR)
            self._channel.exit(EXIT_NO_SFTP)
            return
        # Noted now: a lost connection no longer knows its peer.
        self._peer_is_openssh = "OpenSSH" in self._channel.get_extra_info("client_version", "")
        reader = SSHReader[bytes](self, self._channel)
        writer = SSHWriter[bytes](self, self._channel)
        self.task = self._spawn(self._serve(reader, writer))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the task come to its end; where none was started, this is the end."""
        super().connection_lost(exc)
        if self.task is None:
            self._ended(self)

    async def _serve(self, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> None:
        # Every line that this task logs tells who is at the other end.
        structlog.contextvars.bind_contextvars(**self._peer)
        ended_well = False
        try:
            ended_well = await self._speak(reader, writer)
        except (EOFError, BreakReceived, SignalReceived, TerminalSizeChanged) as exc:
            log.info("session broke off", client=self.client, cause=type(exc).__name__)
        except CtsftpError as exc:  # its text says all: the data folder is not there, say
            log.error("session failed", client=self.client, error=str(exc))  # noqa: TRY400
        except Exception:
            log.exception("session failed", client=self.client)
        finally:
            await self._clean_up(0 if ended_well else EXIT_BROKEN_OFF)

    async def _speak(self, reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> bool:
        """Answer until the peer is done; False if it said something that cannot be gone on from."""
        home = await asyncio.to_thread(self._context.spool.home, self.client)
        self._files = ClientFiles(self._channel, self.client, home, self._context, note=self._explain)
        if self._refuses_new:
            self._files.refuse_new()
        handler = FilesHandler(
            self._files,
            reader,
            writer,
            until_writable=self.until_writable,
            is_gone=lambda: self.is_gone,
            explain=self._explain,
        )
        await handler.run()
        return handler.ended_well

    async def _clean_up(self, exit_status: int) -> None:
        try:
            if self._files:
                await self._files.abandon()
        except Exception:
            log.exception("session could not be cleaned up", client=self.client)
        finally:
            if not self._channel.is_closing():
                self._channel.exit(exit_status)  # without it, scp takes all that it did for a failure
            self._ended(self)

    def _explain(self, reason: str) -> None:
        """Say a reason on stderr to OpenSSH, whose sftp shows the words of a status code and never its text."""
        if self._peer_is_openssh and not self._channel.is_closing():
            self._channel.write(f"{reason}\n".encode(), EXTENDED_DATA_STDERR)
