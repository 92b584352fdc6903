"""The tokens of the API: 256 random bits each, of which only the hash is kept.

A secret of so many bits needs no slow hash, and the look-up by its hash tells a stranger's clock nothing of it.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.model.records import Clock, Token
from ctsftp.model.writing import iso
from ctsftp.store.database import Database
from ctsftp.store.tables import console_sessions, tokens

# So that a scanner of repositories and logs knows one when it sees it.
PREFIX = "ctsftp_"
SECRET_BYTES = 32
# What an admin changes takes effect within a second, at every node.
SHARED_FOR = timedelta(seconds=0.5)

_FIELDS = [column for column in tokens.c if column.name != "sha256"]
_NAMES = [column.name for column in _FIELDS]
_FIND = f"SELECT {', '.join(_NAMES)} FROM tokens WHERE sha256 = :sha256"  # noqa: S608


class Tokens:
    """Who may use the API."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # What was found, by its hash, and when: those who are asked for members ask for nothing else so often. It is
        # true until any token changes where one process, the holder of the data folder, changes them, and by these
        # methods. Where nodes share a database another one may have revoked it: it is believed for `SHARED_FOR`.
        self._found: dict[str, tuple[Token, datetime]] = {}
        self._changes = 0

    async def add(self, name: str, *, client: str | None, admin: bool, expires: datetime | None) -> str:
        """Make a token, and give its secret, which nobody can be given again."""
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        values = {
            "name": name,
            "sha256": _hash(secret),
            "client": client,
            "admin": admin,
            "created_at": iso(self._clock()),
            "expires_at": iso(expires) if expires else None,
        }

        def work(conn: Connection) -> None:
            if conn.execute(sa.select(tokens.c.id).where(tokens.c.name == name)).first():
                raise RefusedError(f'There is a token "{name}" already: revoke it first, or choose another name.')
            conn.execute(tokens.insert().values(values))

        await self._change(work)
        return secret

    async def tokens(self) -> list[Token]:
        """List the tokens by name, expired ones too."""
        query = sa.select(*_FIELDS).order_by(tokens.c.name)
        rows = await self._database.read(lambda conn: conn.execute(query).mappings().all())
        return [Token(**row) for row in rows]

    async def revoke(self, name: str) -> None:
        """Forget a token, and end its sessions at the console: the next request that shows it is refused."""

        def work(conn: Connection) -> None:
            this = sa.select(tokens.c.id).where(tokens.c.name == name)
            conn.execute(console_sessions.delete().where(console_sessions.c.token_id.in_(this)))
            if conn.execute(tokens.delete().where(tokens.c.name == name)).rowcount == 0:
                raise NotFoundError(f'There is no token "{name}": `ctsftp token list` shows them all.')

        await self._change(work)

    async def find(self, secret: str) -> Token | None:
        """Find the token of a secret, also one that has expired; `last_used_at` may be from an earlier look."""
        sha256 = _hash(secret)
        if (known := self._found.get(sha256)) and self._is_true(known[1]):
            return known[0]
        before, asked_at = self._changes, self._clock()
        rows = await self._database.probe(_FIND, {"sha256": sha256})
        if not rows:
            return None
        found = Token(**dict(zip(_NAMES, rows[0], strict=True)))
        if before == self._changes:  # else it may have been revoked since it was read
            self._found[sha256] = found, asked_at
        return found

    def known(self, secret: str) -> int | None:
        """Give the id of a token that was found a while ago and may be revoked by now; None for all others."""
        known = self._found.get(_hash(secret))
        return known[0].id if known else None

    async def get(self, token_id: int) -> Token | None:
        """Find a token by its id, also one that has expired; None if it was revoked. No id is used twice."""
        query = sa.select(*_FIELDS).where(tokens.c.id == token_id)
        row = await self._database.read(lambda conn: conn.execute(query).mappings().one_or_none())
        return Token(**row) if row else None

    def has_expired(self, token: Token) -> bool:
        """Tell whether a token's time is over."""
        return token.expires_at is not None and token.expires_at <= iso(self._clock())

    async def note_used(self, moments: Mapping[int, str]) -> None:
        """Note when tokens were last used, by their ids; a token that was revoked meanwhile is passed over."""

        def work(conn: Connection) -> None:
            for token_id, moment in moments.items():
                conn.execute(tokens.update().where(tokens.c.id == token_id).values(last_used_at=moment))

        await self._database.write(work)

    def _is_true(self, found_at: datetime) -> bool:
        return not self._database.shared or timedelta() <= self._clock() - found_at < SHARED_FOR

    async def _change(self, work: Callable[[Connection], None]) -> None:
        """Write, and forget what was found, also if it is not known whether it was written."""
        try:
            await self._database.write(work)
        finally:
            self._changes += 1
            self._found.clear()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
