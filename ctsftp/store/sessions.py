"""Who is signed in to the console: a row for each browser, so that a restart signs nobody out, and any node serves it.

Of the secret in a browser's cookie only the hash is kept. A session ends with its time, and with its token. Of too
many sessions, the first one of the token that has most goes: nobody signs out others by signing in often.
"""

import hashlib
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.model.records import Clock, Token
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.tables import console_sessions, tokens

SECRET_BYTES = 32
MAX_NOTICES = 5  # that wait for their page

_TOKEN = [column for column in tokens.c if column.name != "sha256"]
_NOTICES = console_sessions.c.notices.label("session_notices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in: with which token, and what its next page tells (objects of `tone` and `text`)."""

    secret: str = field(repr=False)
    token: Token
    notices: list[dict[str, str]]

    @property
    def csrf(self) -> str:
        """The secret that its forms carry: it tells nothing of the cookie's."""
        return hashlib.sha256(f"csrf {self.secret}".encode()).hexdigest()


class Sessions:
    """The sessions of all browsers, by their secrets."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def open(self, token_id: int, *, life: timedelta, most: int) -> str:
        """Begin a session, and give the secret for its cookie; there are at most so many."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        row = {
            "sha256": _hash(secret),
            "token_id": token_id,
            "opened_at": iso(now),
            "ends_at": iso(now + life),
            "notices": [],
        }

        def work(conn: Connection) -> None:
            conn.execute(console_sessions.delete().where(console_sessions.c.ends_at <= iso(now)))
            conn.execute(console_sessions.insert().values(row))
            _make_room(conn, most)

        await self._database.write(work)
        return secret

    async def find(self, secret: str) -> Session | None:
        """Find a session whose time, and whose token's time, is not over."""
        now = iso(self._clock())
        query = (
            sa.select(*_TOKEN, _NOTICES)
            .join(console_sessions, console_sessions.c.token_id == tokens.c.id)
            .where(
                console_sessions.c.sha256 == _hash(secret),
                console_sessions.c.ends_at > now,
                sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
            )
        )
        found = await self._database.read(lambda conn: conn.execute(query).mappings().one_or_none())
        if found is None:
            return None
        facts = dict(found)
        return Session(secret=secret, notices=facts.pop("session_notices"), token=Token(**facts))

    async def close(self, secret: str) -> None:
        """End a session; one that is not there is fine."""
        this = console_sessions.c.sha256 == _hash(secret)
        await self._database.write(lambda conn: conn.execute(console_sessions.delete().where(this)))

    async def say(self, session: Session, tone: str, text: str) -> None:
        """Keep a sentence about what was just done for the next page; `tone` is good or bad."""

        def work(conn: Connection) -> None:
            known = _notices(conn, session)
            _keep(conn, session, [*known, {"tone": tone, "text": text}][-MAX_NOTICES:])

        await self._database.write(work)

    async def take_notices(self, session: Session) -> list[dict[str, str]]:
        """Give the sentences that wait, once."""
        if not session.notices:
            return []

        def work(conn: Connection) -> list[dict[str, str]]:
            taken = _notices(conn, session)
            _keep(conn, session, [])
            return taken

        return await self._database.write(work)


def _make_room(conn: Connection, most: int) -> None:
    columns = console_sessions.c
    of_each = sa.select(columns.token_id, sa.func.count().label("sessions")).group_by(columns.token_id)
    counts = Counter({row.token_id: row.sessions for row in conn.execute(of_each)})
    for _ in range(max(0, counts.total() - most)):
        [(greediest, _count)] = counts.most_common(1)
        counts[greediest] -= 1
        first = sa.select(columns.sha256).where(columns.token_id == greediest).order_by(columns.opened_at).limit(1)
        conn.execute(console_sessions.delete().where(columns.sha256 == first.scalar_subquery()))


def _notices(conn: Connection, session: Session) -> list[dict[str, str]]:
    this = sa.select(console_sessions.c.notices).where(console_sessions.c.sha256 == _hash(session.secret))
    return conn.execute(this.with_for_update()).scalar_one_or_none() or []


def _keep(conn: Connection, session: Session, notices: list[dict[str, str]]) -> None:
    this = console_sessions.update().where(console_sessions.c.sha256 == _hash(session.secret))
    conn.execute(this.values(notices=notices))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
