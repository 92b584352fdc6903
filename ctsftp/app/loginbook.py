"""Writes down who signed in and who was refused, without making a login wait, or a flood fill anything.

Of each client only the latest refusal, and the latest login by each of its keys, is kept while the database is being
written to.
"""

import asyncio

import structlog

from ctsftp.clients.folder import Clients
from ctsftp.clients.names import is_client_name
from ctsftp.errors import CtsftpError
from ctsftp.sftp.attempts import Login, LoginRefused
from ctsftp.store.store import Store

log = structlog.get_logger()


class LoginNotes:
    """What was not written down yet."""

    def __init__(self, store: Store, clients: Clients) -> None:
        self._store = store
        self._clients = clients
        self._latest: dict[tuple[str, str | None], Login | LoginRefused] = {}
        self._some = asyncio.Event()

    def note(self, what: Login | LoginRefused) -> None:
        """Remember a login or a refusal; names that are no client's are only in the log. Never raises."""
        if isinstance(what, Login) or self._is_client(what.client):
            key = (what.client, what.fingerprint if isinstance(what, Login) else None)
            self._latest.pop(key, None)  # so that the latest is written down last
            self._latest[key] = what
            self._some.set()

    async def run(self) -> None:
        """Write down what is noted, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write down what is noted now; the connection sheet can miss one, a login cannot."""
        while self._latest:
            # One by one: if this is cancelled, the last flush finds the others.
            what = self._latest.pop(next(iter(self._latest)))
            try:
                await self._write(what)
            except CtsftpError as exc:
                log.warning("login not written down", client=what.client, error=str(exc))

    def _is_client(self, name: str) -> bool:
        """Look only at the one folder: a stranger may try any name, as often as it likes."""
        try:
            return is_client_name(name) and (self._clients.folder / name).is_dir()
        except OSError:
            return False

    async def _write(self, what: Login | LoginRefused) -> None:
        if isinstance(what, Login):
            await self._store.logins.record_login(
                what.client, address=what.address, fingerprint=what.fingerprint, algorithm=what.algorithm
            )
        else:
            await self._store.logins.record_refusal(
                what.client, address=what.address, fingerprint=what.fingerprint or None, cause=what.cause
            )
