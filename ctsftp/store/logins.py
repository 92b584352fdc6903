"""The last login and the last refusal of each client, for its connection sheet, and the last use of each key."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.model.records import Clock, Logins
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.tables import client_logins, key_logins


class LoginBook:
    """Remembers who came in and who did not; one row a client, so a stranger cannot make it grow.

    Record only clients that exist: the name in a refused login is whatever a stranger typed.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record_login(self, client: str, *, address: str, fingerprint: str, algorithm: str) -> None:
        """Note that a client was let in, by which key, and by which algorithm it signed."""
        now = iso(self._clock())
        values = {
            "login_at": now,
            "login_address": address,
            "login_fingerprint": fingerprint,
            "login_algorithm": algorithm,
        }

        def put(conn: Connection) -> None:
            _put(conn, client, values)
            _put_key(conn, client, fingerprint, now)

        await self._database.write(put)

    async def record_refusal(self, client: str, *, address: str, fingerprint: str | None, cause: str) -> None:
        """Note that a client was refused, and why; `fingerprint` is None where it showed no key."""
        now = iso(self._clock())
        values = {
            "refusal_at": now,
            "refusal_address": address,
            "refusal_fingerprint": fingerprint,
            "refusal_cause": cause,
        }
        await self._database.write(lambda conn: _put(conn, client, values))

    async def facts(self, client: str) -> Logins:
        """Tell the last login and the last refusal of a client."""
        columns = [column for column in client_logins.c if column.name != "client"]
        query = sa.select(*columns).where(client_logins.c.client == client)
        row = await self._database.read(lambda conn: conn.execute(query).mappings().one_or_none())
        return Logins(**row) if row else Logins()

    async def key_uses(self, client: str) -> dict[str, str]:
        """Tell when each key of a client was last used: times (`iso`) by fingerprint."""
        query = sa.select(key_logins.c.fingerprint, key_logins.c.login_at).where(key_logins.c.client == client)
        rows = await self._database.read(lambda conn: conn.execute(query).all())
        return {row.fingerprint: row.login_at for row in rows}


def _put_key(conn: Connection, client: str, fingerprint: str, now: str) -> None:
    row = (key_logins.c.client == client) & (key_logins.c.fingerprint == fingerprint)
    if conn.execute(key_logins.update().where(row).values(login_at=now)).rowcount == 0:
        conn.execute(key_logins.insert().values(client=client, fingerprint=fingerprint, login_at=now))


def _put(conn: Connection, client: str, values: dict[str, Any]) -> None:
    updated = conn.execute(client_logins.update().where(client_logins.c.client == client).values(values))
    if updated.rowcount == 0:
        conn.execute(client_logins.insert().values(client=client, **values))
