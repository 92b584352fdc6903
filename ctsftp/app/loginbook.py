"""Writes down who signed in and who was refused, without making a login wait, or a flood fill anything.

Of each client only the latest of each kind is kept while the database is being written to.
"""

import asyncio

import structlog

from ctsftp.clients.folder import Clients
from ctsftp.errors import CtsftpError
from ctsftp.sftp.login import Login, LoginRefused
from ctsftp.store.store import Store

log = structlog.get_logger()


class LoginNotes:
    """What was not written down yet."""

    def __init__(self, store: Store, clients: Clients) -> None:
        self._store = store
        self._clients = clients
        self._latest: dict[tuple[str, type], Login | LoginRefused] = {}
        self._some = asyncio.Event()

    def note(self, what: Login | LoginRefused) -> None:
        """Remember a login or a refusal; names that are no client's are only in the log."""
        if isinstance(what, Login) or what.client in self._clients.names():
            self._latest[what.client, type(what)] = what
            self._some.set()

    async def run(self) -> None:
        """Write down what is noted, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write down what is noted now; the connection sheet can miss one, a login cannot."""
        latest, self._latest = self._latest, {}
        for what in latest.values():
            try:
                await self._write(what)
            except CtsftpError as exc:
                log.warning("login not written down", client=what.client, error=str(exc))

    async def _write(self, what: Login | LoginRefused) -> None:
        if isinstance(what, Login):
            await self._store.logins.record_login(
                what.client, address=what.address, fingerprint=what.fingerprint, algorithm=what.algorithm
            )
        else:
            await self._store.logins.record_refusal(
                what.client, address=what.address, fingerprint=what.fingerprint or None, cause=what.cause
            )
