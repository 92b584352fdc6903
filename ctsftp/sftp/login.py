"""One SSH connection: who may sign in, and what is told about it.

A stranger's key, an unknown user and a disabled client are refused alike; the cause is for the admin.
The client's folder is read anew for each login, so a change of its keys counts at the next one.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import asyncssh
import structlog

from ctsftp.clients.access import decide, signature_algorithms
from ctsftp.clients.addresses import matches
from ctsftp.clients.authorized_keys import KeyEntry, Refusal
from ctsftp.clients.folder import Client
from ctsftp.errors import CtsftpError, NotFoundError
from ctsftp.sftp.asyncssh_seam.ciphers import prefer_gcm
from ctsftp.sftp.asyncssh_seam.connection import SshConnection
from ctsftp.sftp.asyncssh_seam.exchange import Paces, attend_exchanges
from ctsftp.sftp.asyncssh_seam.keys import allow_signatures
from ctsftp.sftp.attempts import Attempts, Login, LoginRefused, keys_offered
from ctsftp.sftp.budget import NOTICED_SHARE
from ctsftp.sftp.door import Door
from ctsftp.sftp.hooks import Hooks
from ctsftp.sftp.negotiation import Mismatch
from ctsftp.sftp.penalties import Offence, source_of
from ctsftp.sftp.proxy import await_header
from ctsftp.sftp.session import Session
from ctsftp.sftp.settings import SftpSettings
from ctsftp.sftp.standing import Standing

# The closer a login came, the more its refusal says: an admin is told of the best try.
CAUSES_BY_PROGRESS = (
    Refusal.UNKNOWN_CLIENT,
    Refusal.NO_KEY,
    Refusal.DISABLED,
    Refusal.UNKNOWN_KEY,
    Refusal.OUTSIDE_FROM,
    Refusal.EXPIRED,
    Refusal.SIGNATURE,
    Refusal.SHA1,
)
OFFENCES = {Refusal.UNKNOWN_CLIENT: Offence.UNKNOWN_USER, Refusal.NO_KEY: Offence.NO_AUTHENTICATION}

log = structlog.get_logger()


class Server(Protocol):
    """What a connection is given by the server that it belongs to, and asks of it."""

    settings: SftpSettings
    hooks: Hooks
    door: Door
    attempts: Attempts
    paces: Paces
    connections: "set[Connection]"
    now: Callable[[], datetime]
    clock_s: Callable[[], float]
    key_expiry_warning: timedelta

    async def read_client_on_a_tick(self, name: str) -> Client:
        """Read a client's folder, and take the same time for it whether there is one or not."""

    def arrive(self, connection: "Connection") -> bool:
        """Let a connection begin, unless it is turned away."""

    def sign_in(self, connection: "Connection", client: str) -> bool:
        """Count a login, unless the client has too many connections."""

    def open_session(
        self, connection: "Connection", client: Client
    ) -> tuple[asyncssh.SSHServerChannel[bytes], Session] | bool:
        """Open a channel, unless the connection has too many."""

    def note_mismatch(self, address: str, software: str, found: Mismatch | None, said: str) -> None:
        """Tell of a connection that ended since there was no algorithm in common."""

    def leave(self, connection: "Connection") -> None:
        """Know of a connection no longer."""


class Connection(asyncssh.SSHServer):
    """asyncssh's callbacks for one connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.ssh: SshConnection
        self.address = ""
        self.username = ""
        self.client: Client | None = None
        self.key: KeyEntry | None = None
        self.greeted = False
        self.signed_in = False
        self.turned_away = False
        self.blameless = False
        self.sessions: set[Session] = set()
        self.requests = 0  # of sessions that are over
        self._began_s = server.clock_s()
        self._best_try: tuple[Refusal, str] | None = None
        self._excess: str | None = None
        self._half_tries = 0
        self._offered: dict[bytes, None] = {}
        self._signed_with_sha1 = False
        self._introduced = False
        self._software = ""
        self._mismatch: Mismatch | None = None

    @property
    def fingerprint(self) -> str:
        """The key that signed in; "" before."""
        return self.key.key.fingerprint if self.key else ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note the peer: once the connection is lost it can no longer be asked."""
        assert isinstance(conn, SshConnection)
        self.ssh = conn
        self.ssh.on_excess = self._note_excess
        attend_exchanges(self.ssh, self._server.paces, heard=self._note_software, failed=self._note_mismatch)
        prefer_gcm(conn)
        peer = conn.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        settings = self._server.settings
        if settings.proxy_addresses and matches(settings.proxy_addresses, self.address):
            # Whom it speaks for is known later than asyncssh greets, and counts from then on.
            self.greeted = self.blameless = True
            self._server.connections.add(self)
            await_header(self.ssh, arrived=self._behind_balancer, timeout_s=settings.proxy_header_timeout_s)
        else:
            self.greeted = self._arrive()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of a login that never came to be."""
        self._server.leave(self)
        if self._excess:
            self._tell_excess(self._excess)
        if self.signed_in:
            log.info(
                "connection ended",
                client=self.username,
                address=self.address,
                fingerprint=self.fingerprint,
                error=str(exc) if exc else None,
            )
        elif not self.turned_away:
            if self._mismatch or isinstance(exc, asyncssh.KeyExchangeFailed):
                software = self._software or self.ssh.get_extra_info("client_version", "")
                self._server.note_mismatch(self.address, software, self._mismatch, str(exc))
            self._tell_refusal()

    async def begin_auth(self, username: str) -> bool:
        """Read the client's folder; everybody has to sign in, under one name (as in sshd)."""
        self.client = None
        if self.username:
            self.ssh.disconnect(asyncssh.DISC_PROTOCOL_ERROR, "The user name cannot be changed")
            return True
        self.username = username
        earlier, self.blameless = self.blameless, True  # for as long as we take, and if we cannot
        try:
            self.client = await self._server.read_client_on_a_tick(username)
            self._note(Refusal.NO_KEY, "")
            self.blameless = earlier
        except NotFoundError:
            self._note(Refusal.UNKNOWN_CLIENT, "")
            self.blameless = earlier
        except CtsftpError as exc:
            log.error("client could not be read", client=username, error=str(exc))  # noqa: TRY400  its text says all
            self._note(Refusal.UNKNOWN_CLIENT, "")
        return True

    def public_key_auth_supported(self) -> bool:
        """Public keys are the only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002  begin_auth has it
        """Decide on a key; asyncssh asks once for the offer and once more for the signature."""
        self._offered[key.public_data] = None
        if self._half_tries >= 2 * self._server.settings.max_login_failures:
            self.ssh.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many keys")
            return False
        decision = self.decide(key.public_data)
        fingerprint = key.get_fingerprint()
        if isinstance(decision, Refusal):
            self._half_tries += 2
            self._note(decision, fingerprint)
            return False
        assert self.client is not None
        self._note(Refusal.SIGNATURE, fingerprint)  # until it came, and was right
        self._half_tries += 1  # the other half is its signature; whether that was wrong asyncssh does not say
        self._signed_with_sha1 = False
        allow_signatures(
            key,
            signature_algorithms(key, allow_sha1=self.client.config.allow_sha1),
            on_sha1=lambda allowed: self._note_sha1(fingerprint, allowed=allowed),
        )
        self.key = decision
        return True

    def decide(self, blob: bytes) -> KeyEntry | Refusal:
        """Decide about a key from this connection's address, now."""
        return decide(self.client, blob=blob, address=self.address, now=self._server.now())

    def auth_completed(self) -> None:
        """Tell of the login."""
        if self.client is None or self.key is None:
            return
        self.signed_in = True
        self.ssh.standing, self.ssh.owner = Standing.SIGNED_IN, self.client.name
        if not self._server.sign_in(self, self.client.name):
            return
        key = self.key.key
        login = Login(self.client.name, self.address, key.fingerprint, key.algorithm)
        log.info(
            "login",
            client=login.client,
            address=login.address,
            fingerprint=login.fingerprint,
            algorithm=login.algorithm,
            sha1=self._signed_with_sha1,
        )
        self._warn_of_expiry(self.key)
        self._server.attempts.signed_in(login, self._software)
        self._server.hooks.on_login(login)

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], Session] | bool:
        """Open a channel for SFTP."""
        if self.client is None:
            return False
        return self._server.open_session(self, self.client)

    def _note_excess(self, excess: str) -> None:
        self._excess = excess

    def _tell_excess(self, excess: str) -> None:
        """Tell the admin of a peer that was disconnected for what it sent, and blame the address."""
        log.warning("connection ended", client=self.username, address=self.address, reason=excess)
        self._server.door.blame(self.address, Offence.EXCESS)

    def _tell_refusal(self) -> None:
        """Tell the admin of the best try, and blame the address."""
        cause, fingerprint = self._best_try or (None, "")
        if not self.blameless and not self._excess and not self._only_looked(cause):
            self._server.door.blame(self.address, self._offence(cause))
            if (share := self.ssh.login_budget.share) >= NOTICED_SHARE:
                self._server.door.blame(self.address, Offence.EXCESS, share)
        if cause is None:
            return
        refused = LoginRefused(self.username, self.address, fingerprint, cause, tuple(self._offered))
        log.warning(
            "login refused",
            client=self.username,
            address=self.address,
            fingerprint=fingerprint,
            cause=str(cause),
            keys=len(refused.keys),
            hint=keys_offered(refused) or None,
        )
        self._server.attempts.refused(refused, self._software)
        self._server.hooks.on_refusal(refused)

    def _only_looked(self, cause: Refusal | None) -> bool:
        """Tell whether this may have been a balancer's health check, which leaves before it says what it speaks."""
        early = not self._introduced and self._offence(cause) is Offence.NO_AUTHENTICATION
        quiet = self.ssh.login_budget.share < NOTICED_SHARE
        return early and quiet and self._server.door.excuses(self.address)

    def _offence(self, cause: Refusal | None) -> Offence:
        if self._server.clock_s() - self._began_s >= self._server.settings.login_timeout_s:
            return Offence.LOGIN_TIMEOUT
        return Offence.NO_AUTHENTICATION if cause is None else OFFENCES.get(cause, Offence.FAILED_KEYS)

    def _warn_of_expiry(self, key: KeyEntry) -> None:
        if key.expires_within(self._server.key_expiry_warning, self._server.now()):
            log.warning(
                "key expires soon", client=self.username, fingerprint=key.key.fingerprint, expires=str(key.expires)
            )

    def _behind_balancer(self, address: str | None) -> None:
        """Go by the sender's own address from now on; a balancer that speaks for itself keeps its own."""
        if address is not None:
            self.address = address
            self.blameless = False
        self._arrive()

    def _arrive(self) -> bool:
        self.ssh.standing, self.ssh.owner = self._server.door.standing(self.address), source_of(self.address)
        return self._server.arrive(self)

    def _note_software(self) -> None:
        self._introduced = True
        self._software = self.ssh.get_extra_info("client_version", "")

    def _note_mismatch(self, mismatch: Mismatch | None) -> None:
        self._mismatch = mismatch

    def _note_sha1(self, fingerprint: str, *, allowed: bool) -> None:
        if allowed:
            self._signed_with_sha1 = True
        else:
            self._note(Refusal.SHA1, fingerprint)

    def _note(self, cause: Refusal, fingerprint: str) -> None:
        rank = CAUSES_BY_PROGRESS.index
        if self._best_try is None or rank(cause) >= rank(self._best_try[0]):
            self._best_try = (cause, fingerprint)
