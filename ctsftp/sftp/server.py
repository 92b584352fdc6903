"""The SSH listener: starts, keeps its connections, and stops without losing an upload.

Stopping goes in this order: no new connections; no new uploads; running ones get `drain_timeout_s`;
connections are closed; what was still open becomes partials, and publishing that began is awaited.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

import asyncssh
import structlog

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.folder import Client, Clients
from ctsftp.errors import CtsftpError, SettingsError
from ctsftp.sftp.files import FilesContext, Inspect, Landed
from ctsftp.sftp.login import Connection, Login, LoginRefused
from ctsftp.sftp.receipts import ReceiptSource
from ctsftp.sftp.session import Session
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.spool import Spool

KEX_ALGORITHMS = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
# The client's order wins; chacha20-poly1305 is a quarter slower here than AES-GCM, so it is not offered.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
# As OpenSSH's server. What a peer may send ahead is kept twice over, here and in the channel, for each of its channels.
WINDOW_BYTES = 2 << 20

log = structlog.get_logger()


class SftpServer:
    """Accepts connections for the clients in `clients` and lands their files in `spool`."""

    def __init__(
        self,
        settings: SftpSettings,
        *,
        clients: Clients,
        host_keys: Sequence[asyncssh.SSHKey],
        spool: Spool,
        tasks: asyncio.TaskGroup,
        now: Callable[[], datetime],
        is_upload_name: Callable[[str], bool],
        inspect: Inspect,
        landed: Landed,
        receipts: ReceiptSource,
        on_login: Callable[[Login], None],
        on_refusal: Callable[[LoginRefused], None],
    ) -> None:
        self.settings = settings
        self.clients = clients
        self.now = now
        self.on_login = on_login
        self.on_refusal = on_refusal
        self.connections: set[Connection] = set()
        self._host_keys = host_keys
        self._spool = spool
        self._tasks = tasks
        self._is_upload_name = is_upload_name
        self._inspect = inspect
        self._landed = landed
        self._receipts = receipts
        self._sessions: dict[Session, Connection] = {}
        self._upload_ended = asyncio.Event()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        assert self._acceptor is not None
        return self._acceptor.get_port()

    @property
    def session_count(self) -> int:
        """How many SFTP sessions there are."""
        return len(self._sessions)

    @property
    def open_uploads(self) -> int:
        """How many files are being written in all sessions, or were closed and are not answered yet."""
        return sum(session.open_uploads for session in self._sessions)

    @property
    def stopping(self) -> bool:
        """Whether the server takes no new connections any more."""
        return self._stopping

    async def start(self) -> None:
        """Listen; raise `SettingsError` if the address cannot be had."""
        settings = self.settings
        try:
            self._acceptor = await asyncssh.listen(
                settings.host,
                settings.port,
                server_factory=lambda: Connection(self),
                server_host_keys=list(self._host_keys),
                kex_algs=list(KEX_ALGORITHMS),
                encryption_algs=list(CIPHERS),
                mac_algs=list(MACS),
                compression_algs=["none"],
                public_key_auth=True,
                password_auth=False,
                kbdint_auth=False,
                host_based_auth=False,
                gss_host=None,
                agent_forwarding=False,
                x11_forwarding=False,
                allow_scp=False,
                line_editor=False,
                encoding=None,
                window=WINDOW_BYTES,
                server_version="ctsftp",
                login_timeout=settings.login_timeout_s,
                keepalive_interval=settings.keepalive_interval_s,
                keepalive_count_max=settings.keepalive_count_max,
            )
        except OSError as exc:
            raise SettingsError(
                f"Port {settings.port} on {settings.host} cannot be listened on ({_why(exc)}): "
                "stop what uses it, or set CTSFTP_SFTP__PORT to another one."
            ) from exc

    async def stop(self) -> None:
        """Stop as the module says; stopping twice is fine."""
        self._stopping = True
        if self._acceptor:
            self._acceptor.close()
        for session in self._sessions:
            session.refuse_new()
        await self._drain()
        connections = list(self.connections)
        for connection in connections:
            connection.ssh.disconnect(asyncssh.DISC_BY_APPLICATION, "The server is stopping")
        if running := [session.task for session in self._sessions if session.task]:
            await asyncio.wait(running)
        for connection in connections:
            await connection.ssh.wait_closed()
        if self._acceptor:
            await self._acceptor.wait_closed()

    def recheck(self) -> int:
        """End the sessions whose key or client may no longer sign in; return how many."""
        ended = 0
        for connection in [connection for connection in self.connections if connection.signed_in]:
            if not self._may_stay(connection):
                connection.ssh.disconnect(asyncssh.DISC_BY_APPLICATION, "The key was revoked")
                log.info("connection ended by an admin", client=connection.username, address=connection.address)
                ended += 1
        return ended

    def open_session(
        self, connection: Connection, client: Client
    ) -> tuple[asyncssh.SSHServerChannel[bytes], Session] | bool:
        """Open a channel, unless the connection has too many or the server is stopping."""
        mine = sum(1 for owner in self._sessions.values() if owner is connection)
        if self._stopping or mine >= self.settings.max_channels:
            return False
        channel: Any = connection.ssh.create_server_channel(encoding=None, window=WINDOW_BYTES)
        # asyncssh keeps every variable that a client sets, without a limit; like sshd by default, accept none.
        channel._process_env_request = _refuse  # noqa: SLF001
        session = Session(
            channel,
            client.name,
            {"address": connection.address, "fingerprint": connection.fingerprint},
            self._context(client),
            transport_writable=connection.writable,
            spawn=self._spawn,
            ended=self._session_ended,
        )
        self._sessions[session] = connection
        return channel, session

    def _context(self, client: Client) -> FilesContext:
        limit = self.settings.max_file_size_bytes
        return FilesContext(
            spool=self._spool,
            limits=self.settings,
            max_file_size_bytes=min(limit, client.config.max_file_size_bytes or limit),
            is_upload_name=self._is_upload_name,
            inspect=self._inspect,
            landed=self._landed,
            receipts=self._receipts,
            upload_ended=self._upload_ended.set,
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _session_ended(self, session: Session) -> None:
        self._sessions.pop(session, None)
        self._upload_ended.set()

    async def _drain(self) -> None:
        """Wait until every open upload was closed and answered, but no longer than the limit."""
        try:
            async with asyncio.timeout(self.settings.drain_timeout_s):
                while any(session.open_uploads for session in self._sessions):
                    self._upload_ended.clear()
                    await self._upload_ended.wait()
        except TimeoutError:
            log.warning("uploads were cut off at the stop", limit_s=self.settings.drain_timeout_s)

    def _may_stay(self, connection: Connection) -> bool:
        assert connection.key is not None
        try:
            connection.client = self.clients.get(connection.username)
        except CtsftpError:
            return False
        return not isinstance(connection.decide(connection.key.key.blob), Refusal)


def _why(exc: OSError) -> str:
    """Say in a few words why an address cannot be had; uvloop's text repeats the address."""
    if isinstance(exc, socket.gaierror) or exc.errno is None:
        return exc.strerror or str(exc)
    return os.strerror(exc.errno)


def _refuse(_packet: object) -> bool:
    return False
