"""One SSH connection: who may sign in, and what is told about it.

A stranger's key, an unknown user and a disabled client are refused alike; the cause is for the admin.
The client's folder is read anew for each login, so a change of its keys counts at the next one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh
import structlog

from ctsftp.clients.access import decide, signature_algorithms
from ctsftp.clients.authorized_keys import KeyEntry, Refusal
from ctsftp.errors import CtsftpError

if TYPE_CHECKING:
    from ctsftp.clients.folder import Client
    from ctsftp.sftp.server import SftpServer

# The closer a login came, the more its refusal says: an admin is told of the best try.
CAUSES_BY_PROGRESS = (
    Refusal.UNKNOWN_CLIENT,
    Refusal.DISABLED,
    Refusal.UNKNOWN_KEY,
    Refusal.OUTSIDE_FROM,
    Refusal.EXPIRED,
    Refusal.SHA1,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Login:
    """A login that succeeded."""

    client: str
    address: str
    fingerprint: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """A connection that ended without a login: its best try."""

    client: str
    address: str
    fingerprint: str
    cause: Refusal


class _Noting(frozenset[bytes]):
    """The signature algorithms that a key may use; notes when a signature with another one (SHA-1) is refused."""

    refused: Callable[[], None]

    def __contains__(self, algorithm: object) -> bool:
        known = super().__contains__(algorithm)
        if not known:
            self.refused()
        return known


class Connection(asyncssh.SSHServer):
    """asyncssh's callbacks for one connection."""

    def __init__(self, server: "SftpServer") -> None:
        self._server = server
        self.ssh: asyncssh.SSHServerConnection
        self.address = ""
        self.username = ""
        self.client: Client | None = None
        self.key: KeyEntry | None = None
        self.signed_in = False
        self._best_try: tuple[Refusal, str] | None = None
        self._refusals = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note the peer: once the connection is lost it can no longer be asked."""
        self.ssh = conn
        peer = conn.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of a login that never came to be."""
        self._server.connections.discard(self)
        if not self.signed_in and self._best_try:
            cause, fingerprint = self._best_try
            refused = LoginRefused(self.username, self.address, fingerprint, cause)
            log.warning(
                "login refused", client=self.username, address=self.address, fingerprint=fingerprint, cause=str(cause)
            )
            self._server.on_refusal(refused)
        elif self.signed_in:
            log.info("connection ended", client=self.username, address=self.address, error=str(exc) if exc else None)

    async def begin_auth(self, username: str) -> bool:
        """Read the client's folder; everybody has to sign in."""
        self.username = username
        self.client = None
        try:
            self.client = await asyncio.to_thread(self._server.clients.get, username)
        except CtsftpError:
            self._note(Refusal.UNKNOWN_CLIENT, "")
        return True

    def public_key_auth_supported(self) -> bool:
        """Public keys are the only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002  begin_auth has it
        """Decide on a key; asyncssh asks once for the offer and once more for the signature."""
        if self._refusals >= self._server.settings.max_login_failures:
            self.ssh.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many keys")
            return False
        decision = self.decide(key.public_data)
        fingerprint = key.get_fingerprint()
        if isinstance(decision, Refusal):
            self._refusals += 1
            self._note(decision, fingerprint)
            return False
        assert self.client is not None
        # asyncssh only advertises `signature_algs`; what a key object lists it does enforce.
        allowed = _Noting(signature_algorithms(key, allow_sha1=self.client.config.allow_sha1))
        allowed.refused = lambda: self._note(Refusal.SHA1, fingerprint)
        key.all_sig_algorithms = allowed  # type: ignore[assignment]
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
        key = self.key.key
        login = Login(self.client.name, self.address, key.fingerprint, key.algorithm)
        log.info(
            "login",
            client=login.client,
            address=login.address,
            fingerprint=login.fingerprint,
            algorithm=login.algorithm,
        )
        self._server.on_login(login)

    def session_requested(self) -> object:
        """Open a channel for SFTP."""
        if self.client is None:
            return False
        return self._server.open_session(self, self.client)

    def _note(self, cause: Refusal, fingerprint: str) -> None:
        rank = CAUSES_BY_PROGRESS.index
        if self._best_try is None or rank(cause) >= rank(self._best_try[0]):
            self._best_try = (cause, fingerprint)
