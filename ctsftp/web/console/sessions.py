"""Who is signed in: a session in memory for each browser, behind a cookie that says nothing by itself.

A restart signs everybody out, which needs no key to keep and no table to sweep. A session knows its token by the
id, which is looked up at every request: one that is revoked, or expires, ends its sessions at once.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ctsftp.store.records import Clock, Token

SECRET_BYTES = 32
MAX_NOTICES = 5  # that wait for their page
MAX_ADDRESSES = 10_000  # whose failures are remembered
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence about what was just done, for the next page; `tone` is good or bad."""

    tone: str
    text: str


@dataclass(slots=True, kw_only=True)
class Session:
    """One browser that signed in; `csrf` is the secret that its forms carry."""

    token_id: int
    ends_at: datetime
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_BYTES))
    notices: list[Notice] = field(default_factory=list)

    def say(self, tone: str, text: str) -> None:
        """Keep a notice for the next page."""
        self.notices = [*self.notices, Notice(tone=tone, text=text)][-MAX_NOTICES:]

    def take_notices(self) -> list[Notice]:
        """Give the notices, once."""
        taken, self.notices = self.notices, []
        return taken


class Sessions:
    """The sessions, at most so many: then the one that signed in first goes."""

    def __init__(self, *, most: int, life: timedelta, now: Clock) -> None:
        self._most = most
        self._life = life
        self._now = now
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, token: Token) -> str:
        """Begin a session, and give the secret for its cookie."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._sessions[secret] = Session(token_id=token.id, ends_at=self._now() + self._life)
        while len(self._sessions) > self._most:
            self._sessions.popitem(last=False)
        return secret

    def find(self, secret: str) -> Session | None:
        """Find a session whose time is not over."""
        session = self._sessions.get(secret)
        if session is not None and session.ends_at <= self._now():
            self.close(secret)
            return None
        return session

    def close(self, secret: str) -> None:
        """End a session; one that is not there is fine."""
        self._sessions.pop(secret, None)


class Attempts:
    """Failed sign-ins: an address gets so many a minute, whatever it tries next."""

    def __init__(self, *, most: int, now: Clock) -> None:
        self._most = most
        self._now = now
        self._failures: OrderedDict[str, list[datetime]] = OrderedDict()

    def are_used_up(self, address: str) -> bool:
        """Tell whether an address has to wait."""
        return len(self._recent(address)) >= self._most

    def note_failure(self, address: str) -> None:
        """Remember a failure; of the addresses, the one that failed longest ago is forgotten first."""
        self._failures[address] = [*self._recent(address), self._now()]
        self._failures.move_to_end(address)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[datetime]:
        since = self._now() - MINUTE
        return [moment for moment in self._failures.get(address, ()) if moment > since]
