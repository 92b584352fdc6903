"""Who asks: the token of a request, and what it may know of.

A token that is revoked is refused from that moment on; where nodes share a database, at the others within half a
second (`store/tokens.py`).
What belongs to another client does not exist for a token that is bound to one: the answer is 404, never 403.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

import structlog
from fastapi import Request, Security
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase
from starlette.types import Scope

from ctsftp.model.commands import Command, Role
from ctsftp.model.records import IfApproved, Token, Upload
from ctsftp.store.store import Store
from ctsftp.web.problems import Problem
from ctsftp.web.settings import HttpSettings
from ctsftp.web.usage import TokenUsage

R = TypeVar("R")


class Perform(Protocol):
    """Does what somebody of a role asks; the control socket calls the same."""

    async def __call__(self, command: Command[R], *, role: Role) -> R:
        """Do it, and give the answer."""


class Streams:
    """The places for long answers; a token has half of them at most, so that no slow reader keeps all others out."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._most = max(1, places // 2)
        self._taken: Counter[int] = Counter()

    @contextmanager
    def place(self, token_id: int) -> Iterator[None]:
        """Take a place; a 503 problem if there is none."""
        if self._free == 0 or self._taken[token_id] == self._most:
            raise Problem(
                503, "busy", "Too many lists are being streamed: try again later.", headers={"Retry-After": "10"}
            )
        self._free -= 1
        self._taken[token_id] += 1
        try:
            yield
        finally:
            self._free += 1
            self._taken[token_id] -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the room is given."""

    settings: HttpSettings
    store: Store
    perform: Perform
    metrics: Callable[[], Awaitable[bytes]]
    unready: Callable[[], Awaitable[list[str]]]
    remarks: Callable[[], list[str]]
    usage: TokenUsage
    streams: Streams
    # What held uploads would change if they were approved now, by their ids; it waits for so many seconds.
    if_approved: Callable[[Sequence[Upload], float], Awaitable[dict[str, IfApproved]]]

    def asker(self, scope: Scope) -> Hashable:
        """Tell who asks, before it is known whether he may: a token that was let in before, else an address.

        A browser is one by its cookie; the console says whose it is.
        """
        headers = dict(scope["headers"])
        secret = read_bearer(headers.get(b"authorization", b"").decode("latin-1"))
        known = self.store.tokens.known(secret) if secret else None
        return known or (scope["client"] and scope["client"][0], headers.get(b"cookie"))


class Access:
    """A request's token, and the parts that its route works with."""

    __slots__ = ("parts", "token")

    def __init__(self, parts: Parts, token: Token) -> None:
        self.parts = parts
        self.token = token

    @property
    def store(self) -> Store:
        """The store."""
        return self.parts.store

    @property
    def settings(self) -> HttpSettings:
        """The room's settings."""
        return self.parts.settings

    def require(self, client: str) -> None:
        """Raise the 404 of a thing that is not there if this client is none of the token's."""
        if not self.may_see(client):
            raise Problem(404, "not-found", f'There is no client "{client}" with anything for this token.')

    def may_see(self, client: str) -> bool:
        """Tell whether the token may know of what is this client's."""
        return self.token.client is None or self.token.client == client

    def narrow(self, client: str | None) -> str | None:
        """Give the client that a list is about, None for all: a bound token sees its own only."""
        if client is not None:
            self.require(client)
        return client or self.token.client

    def place(self) -> AbstractContextManager[None]:
        """Take one of the token's places for long answers; a 503 problem if there is none."""
        return self.parts.streams.place(self.token.id)

    async def perform(self, command: Command[R]) -> R:
        """Have something done, as the command line would; the log says by whose token."""
        role = Role.ADMIN if self.token.admin else Role.READER
        with structlog.contextvars.bound_contextvars(token=self.token.name):
            return await self.parts.perform(command, role=role)


def parts_of(request: Request) -> Parts:
    """Give what the room was given."""
    parts: Parts = request.app.state.parts
    return parts


async def authenticate(parts: Parts, secret: str) -> Token:
    """Find the token of a secret; a 401 problem if there is none, or it has expired."""
    token = await parts.store.tokens.find(secret)
    if token is None:
        raise _unauthorized("This token is unknown or revoked: create one with `ctsftp token add NAME`.")
    if parts.store.tokens.has_expired(token):
        raise _unauthorized(f"This token expired at {token.expires_at}: create another with `ctsftp token add NAME`.")
    parts.usage.note(token)
    return token


class TokenBearer(SecurityBase):
    """The dependency that turns `Authorization: Bearer ctsftp_...` into an `Access`."""

    def __init__(self, *, admin: bool) -> None:
        self.model = BearerModel(description="A token of `ctsftp token add`.")
        self.scheme_name = "token"
        self._admin = admin

    async def __call__(self, request: Request) -> Access:
        """Let a request in, or raise the problem."""
        secret = read_bearer(request.headers.get("authorization", ""))
        if not secret:
            raise _unauthorized(
                "Send a token as `Authorization: Bearer ctsftp_...`: create one with `ctsftp token add NAME`."
            )
        parts = parts_of(request)
        access = Access(parts, await authenticate(parts, secret))
        if self._admin and not access.token.admin:
            raise Problem(
                403, "scope", "This token is read-only: create an admin token with `ctsftp token add NAME --admin`."
            )
        return access


def read_bearer(authorization: str) -> str:
    """Read the secret in an Authorization field; "" where there is none."""
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "token", detail, headers={"WWW-Authenticate": 'Bearer realm="ctsftp"'})


Reader = Annotated[Access, Security(TokenBearer(admin=False))]
Admin = Annotated[Access, Security(TokenBearer(admin=True))]
