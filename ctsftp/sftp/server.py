"""The SSH listener: starts, keeps its connections, and stops without losing an upload.

Stopping goes in this order: no new connections; no new uploads; running ones get `drain_timeout_s`;
connections are closed; what was still open becomes partials, and publishing that began is awaited.
"""

import asyncio
import random
import socket
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import asyncssh
import structlog

from ctsftp.clients.addresses import matches
from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.folder import Client, Clients
from ctsftp.contract.listening import cannot_listen, cause
from ctsftp.errors import CtsftpError, SettingsError
from ctsftp.sftp.asyncssh_seam.ciphers import CIPHERS
from ctsftp.sftp.asyncssh_seam.connection import ConnectionOptions, SshConnection
from ctsftp.sftp.asyncssh_seam.exchange import KEX_ALGORITHMS, Paces
from ctsftp.sftp.asyncssh_seam.keys import without_sha1
from ctsftp.sftp.attempts import UNKNOWN_KIND, Attempts
from ctsftp.sftp.door import Door
from ctsftp.sftp.fairness import FairShare
from ctsftp.sftp.hooks import Hooks
from ctsftp.sftp.landing import FilesContext
from ctsftp.sftp.listener import Listener
from ctsftp.sftp.login import Connection
from ctsftp.sftp.negotiation import Mismatch
from ctsftp.sftp.newcomers import Newcomers
from ctsftp.sftp.penalties import Penalty
from ctsftp.sftp.refusals import Refusals
from ctsftp.sftp.session import Session
from ctsftp.sftp.settings import SftpSettings
from ctsftp.sftp.standing import Standing
from ctsftp.sftp.turns import Turns
from ctsftp.sftp.watch import Watch
from ctsftp.spool.paths import HomePath
from ctsftp.spool.quota import Allowance
from ctsftp.spool.spool import Spool

MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
# That a peer may send ahead on a channel, as with OpenSSH; a client with many channels has less for each further one.
WINDOW_BYTES = 2 << 20
WIDE_CHANNELS = 20
NARROW_WINDOW_BYTES = 256 << 10

# Where no host is set: all addresses, each family by a socket of its own, so that IPv4 peers keep their addresses.
ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"  # noqa: S104  a landing server faces its senders
READERS = 4
TICK_S = 0.01  # the first answer to a login comes at a multiple of it
WATCH_INTERVAL_S = 5.0

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
        key_expiry_warning: timedelta,
        hooks: Hooks,
    ) -> None:
        self.settings = settings
        self.clients = clients
        self.now = now
        self.key_expiry_warning = key_expiry_warning
        self.hooks = hooks
        self.connections: set[Connection] = set()
        self.clock_s = asyncio.get_running_loop().time
        self.door = Door(settings, clock_s=self.clock_s)
        self.attempts = Attempts(clients, now=now)
        self.paces = Paces()
        self._host_keys = host_keys
        self._spool = spool
        self._tasks = tasks
        self._sessions: dict[Session, Connection] = {}
        # A client's as long as it has a session.
        self._refusals: dict[str, Refusals] = {}
        self._shares: WeakValueDictionary[str, FairShare] = WeakValueDictionary()
        self._upload_ended = asyncio.Event()
        self._hurrying = False
        self._watch = Watch()
        self._watching: asyncio.Task[None] | None = None
        # Logins have threads of their own: those that wait for the disk may all be waiting.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="ctsftp-login")
        self._rechecks = asyncio.Lock()
        self._changes = 0
        self._listeners: dict[str, Listener] = {}
        self._options: ConnectionOptions
        self._turns = Turns()
        self._newcomers = Newcomers(begin=self._begin, refuse=self.door.refuse, draw=random.SystemRandom().choice)
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return next(iter(self._listeners.values())).port

    @property
    def hosts(self) -> list[str]:
        """The addresses that are listened on, once started."""
        return list(self._listeners)

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
        host, port = settings.host or ANY_IPV4, settings.port
        self._options = await ConnectionOptions.construct(
            server_factory=lambda: Connection(self),
            kex_algs=[*KEX_ALGORITHMS, *settings.extra_kex],
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
            **_changeable(settings, self._host_keys),
        )
        try:
            self._listeners[host] = await Listener.open(host, port, self._accept)
        except OSError as exc:
            raise SettingsError(cannot_listen(exc, "CTSFTP_SFTP", host=host, port=port)) from exc
        if not settings.host:
            await self._listen_to_ipv6()
        self._watching = self._tasks.create_task(self._keep_watch())

    def apply(self, settings: SftpSettings, host_keys: Sequence[asyncssh.SSHKey]) -> None:
        """Go by other limits and host keys from the next connection on; where to listen stays as it is."""
        self.settings = settings
        self.door.apply(settings)
        if self._listeners:
            self._options.update(**_changeable(settings, host_keys))

    def hurry(self) -> None:
        """Wait no longer for running uploads: what is open at the stop is cut off."""
        self._hurrying = True
        self._upload_ended.set()

    async def stop(self) -> None:
        """Stop as the module says; stopping twice is fine."""
        self._stopping = True
        for listener in self._listeners.values():
            listener.close()
        self._newcomers.close()
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
        if self._watching:
            self._watching.cancel()
        self.door.close()
        self.attempts.close()
        self._readers.shutdown(wait=False)

    def arrive(self, connection: Connection) -> bool:
        """Let a connection begin, unless it is turned away."""
        self.connections.add(connection)
        return self.door.arrive(connection)

    def sign_in(self, connection: Connection, client: str) -> bool:
        """Count a login; a client that has too many connections is told so, and disconnected."""
        if self.door.sign_in(connection, client):
            return True
        limit = self.settings.max_connections_per_client
        connection.ssh.disconnect(
            asyncssh.DISC_TOO_MANY_CONNECTIONS, f"{client} has {limit} connections open, which is the limit"
        )
        log.warning("login refused", client=client, address=connection.address, cause="max_connections_per_client")
        return False

    def leave(self, connection: Connection) -> None:
        """Know of a connection no longer."""
        self.connections.discard(connection)
        self.door.leave(connection)

    def note_mismatch(self, address: str, software: str, found: Mismatch | None, said: str) -> None:
        """Tell of a connection that ended since there was no algorithm in common."""
        self.attempts.mismatched(address, software, found, said)
        self.hooks.on_mismatch(found.kind if found else UNKNOWN_KIND)

    def penalties(self) -> list[Penalty]:
        """List the addresses that behaved badly."""
        return self.door.penalties_now()

    def clear_penalties(self, address: str | None) -> int:
        """Forget how one address behaved, or all; return how many were forgotten."""
        return self.door.penalties.clear(address)

    async def read_client(self, name: str) -> Client:
        """Read a client's folder as it is now; if something was revoked meanwhile, once more."""
        while True:
            change = self._changes
            client = await asyncio.get_running_loop().run_in_executor(self._readers, self.clients.get, name)
            if change == self._changes:
                return client

    async def read_client_on_a_tick(self, name: str) -> Client:
        """Read a client's folder, and take the same time for it whether there is one or not, and how large it is."""
        began_s = self.clock_s()
        found: Client | CtsftpError
        try:
            found = await self.read_client(name)
        except CtsftpError as exc:
            found = exc
        await asyncio.sleep(TICK_S - (self.clock_s() - began_s) % TICK_S)
        if isinstance(found, CtsftpError):
            raise found
        return found

    async def recheck(self) -> int:
        """End the sessions whose key or client may no longer sign in; return how many.

        A login that has begun goes on with what is read here, so it cannot end well by a key that is gone.
        """
        self._changes += 1
        ended = 0
        async with self._rechecks:
            for name in {connection.username for connection in self.connections if connection.username}:
                try:
                    client: Client | None = await self.read_client(name)
                except CtsftpError:
                    client = None
                ended += sum(self._recheck(one, client) for one in list(self.connections) if one.username == name)
        return ended

    def look(self, now_s: float) -> None:
        """End the connections that have asked for nothing, and those with an upload that has received nothing."""
        for connection in [one for one in self.connections if one.signed_in]:
            if any(session.landing for session in connection.sessions):
                continue
            if reason := self._too_quiet(connection, now_s):
                log.warning(
                    "connection too quiet", client=connection.username, address=connection.address, reason=reason
                )
                connection.ssh.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    def open_session(
        self, connection: Connection, client: Client
    ) -> tuple[asyncssh.SSHServerChannel[bytes], Session] | bool:
        """Open a channel, unless the connection has too many or the server is stopping."""
        if self._stopping or len(connection.sessions) >= self.settings.max_channels:
            return False
        others = sum(session.client == client.name for session in self._sessions)
        channel = connection.ssh.create_server_channel(
            window=WINDOW_BYTES if others < WIDE_CHANNELS else NARROW_WINDOW_BYTES
        )
        session = Session(
            channel,
            client.name,
            {"address": connection.address, "fingerprint": connection.fingerprint},
            self._context(client),
            answerable=connection.ssh.answerable,
            spawn=self._spawn,
            ended=self._session_ended,
        )
        self._sessions[session] = connection
        connection.sessions.add(session)
        return channel, session

    async def _listen_to_ipv6(self) -> None:
        """Listen on the same port of all IPv6 addresses; a machine that has none does without."""
        try:
            self._listeners[ANY_IPV6] = await Listener.open(ANY_IPV6, self.port, self._accept)
        except OSError as exc:
            log.warning("not listening on IPv6", host=ANY_IPV6, port=self.port, error=cause(exc))

    def _accept(self, peer: socket.socket, address: str) -> None:
        """Make a connection of a newcomer: at once where it is known, or a balancer, of strangers so many a second."""
        if self.door.is_closed_to(peer, address):
            return
        if self.door.standing(address) is Standing.STRANGER and not matches(self.settings.proxy_addresses, address):
            self._newcomers.add(peer, address, self.settings)
        else:
            self._spawn(self._connect(peer))

    def _begin(self, peer: socket.socket, address: str) -> None:
        """Make a connection of a stranger whose turn it is; its address may have earned a penalty meanwhile."""
        if not self.door.is_closed_to(peer, address):
            self._spawn(self._connect(peer))

    async def _connect(self, peer: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        make = partial(SshConnection, loop, self._options, turns=self._turns, keys=self.settings.max_login_failures)
        try:
            await loop.connect_accepted_socket(make, peer)
        except OSError:  # it has left already
            peer.close()

    def _context(self, client: Client) -> FilesContext:
        limit = self.settings.max_file_size_bytes
        return FilesContext(
            spool=self._spool,
            limits=self.settings,
            max_file_size_bytes=min(limit, client.config.max_file_size_bytes or limit),
            allowance=Allowance(
                bytes=client.config.quota_bytes or self.settings.quota_bytes,
                files=client.config.quota_files or self.settings.quota_files,
                floor=self.settings.floor,
            ),
            share=self._share(client.name),
            refusals=self._refusals_of(client.name),
            is_upload_name=self.hooks.is_upload_name,
            inspect=self.hooks.inspect,
            landed=self.hooks.landed,
            touch=self.hooks.touch,
            cut_off=self.hooks.cut_off,
            receipts=self.hooks.receipts,
            upload_ended=self._upload_ended.set,
        )

    def note_refusal(self, client: str, path: HomePath, reason: str, *, ago_s: float = 0) -> None:
        """Let whoever looks at a refused file hear the reason, though its CLOSE was answered without it."""
        self._refusals_of(client).note(path, reason, ago_s=ago_s)

    def _refusals_of(self, client: str) -> Refusals:
        return self._refusals.setdefault(client, Refusals(self.clock_s))

    def _share(self, client: str) -> FairShare:
        share = self._shares.get(client)
        if share is None:
            settings = self.settings
            share = FairShare(threads=settings.max_threads_per_client, view_bytes=settings.max_view_bytes_per_client)
            self._shares[client] = share
        return share

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _session_ended(self, session: Session) -> None:
        if connection := self._sessions.pop(session, None):
            connection.requests += session.requests
            connection.sessions.discard(session)
        self._upload_ended.set()

    async def _drain(self) -> None:
        """Wait until every open upload was closed and answered, but no longer than the limit."""
        try:
            async with asyncio.timeout(self.settings.drain_timeout_s):
                while not self._hurrying and any(session.open_uploads for session in self._sessions):
                    self._upload_ended.clear()
                    await self._upload_ended.wait()
        except TimeoutError:
            log.warning("uploads were cut off at the stop", limit_s=self.settings.drain_timeout_s)

    def _recheck(self, connection: Connection, client: Client | None) -> bool:
        """Let a connection go by what its client's folder says now; return whether that ended a session."""
        connection.client = client
        if not connection.signed_in or connection.key is None:
            return False
        if not isinstance(connection.decide(connection.key.key.blob), Refusal):
            return False
        connection.ssh.disconnect(asyncssh.DISC_BY_APPLICATION, "The key was revoked")
        log.info("connection ended by an admin", client=connection.username, address=connection.address)
        return True

    async def _keep_watch(self) -> None:
        while True:
            shortest_s = min(self.settings.idle_timeout_s, self.settings.upload_stall_timeout_s)
            await asyncio.sleep(min(WATCH_INTERVAL_S, shortest_s / 4))
            self.look(self.clock_s())

    def _too_quiet(self, connection: Connection, now_s: float) -> str | None:
        limits = self.settings
        for session in connection.sessions:
            for staged in session.uploads:
                if self._watch.quiet_s(staged, staged.writes, now_s) >= limits.upload_stall_timeout_s:
                    return f"The upload of {staged.target} received nothing for {limits.upload_stall_timeout_s:g} s"
        requests = connection.requests + sum(session.requests for session in connection.sessions)
        if self._watch.quiet_s(connection, requests, now_s) >= limits.idle_timeout_s:
            return f"Nothing was asked for in {limits.idle_timeout_s:g} s"
        return None


def _changeable(settings: SftpSettings, host_keys: Sequence[asyncssh.SSHKey]) -> dict[str, Any]:
    """Give the options that SIGHUP may change."""
    return {
        "server_host_keys": [without_sha1(key) for key in host_keys],
        "login_timeout": settings.login_timeout_s,
        "keepalive_interval": settings.keepalive_interval_s,
        "keepalive_count_max": settings.keepalive_count_max,
        "rekey_bytes": settings.rekey_bytes,
        "rekey_seconds": settings.rekey_interval_s,
    }
