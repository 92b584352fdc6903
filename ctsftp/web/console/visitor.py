"""A request of somebody who is signed in: what they may see and do, their pages and their forms.

Two things guard a form against other sites: the browser's own word on where it comes from (Sec-Fetch-Site,
else Origin), and the session's secret in it. `SameSite=Strict` keeps the cookie from them besides.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ctsftp.clients.folder import Clients
from ctsftp.contract.states import State
from ctsftp.errors import CtsftpError, RefusedError, UsageError
from ctsftp.model.guide import SheetOut
from ctsftp.model.records import Clock, IfApproved, Upload
from ctsftp.store.overview import Waiting
from ctsftp.store.sessions import Session
from ctsftp.web.access import Access, Parts
from ctsftp.web.console.assets import ASSETS
from ctsftp.web.console.attempts import Attempts
from ctsftp.web.console.live import Live
from ctsftp.web.console.pages import render
from ctsftp.web.problems import Problem, problem_of

MAX_FIELDS = 2_000  # of a form: a gate may open to every segment of a client
SEE_OTHER = 303
COUNTED_WITHIN_S = 0.3  # small lists are counted sooner


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What only the console is given: clients, their connection sheets, and who hears that something changed."""

    clients: Clients
    sheet: Callable[[str], Awaitable[SheetOut]]
    live: Live
    now: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the console is given, and what it remembers."""

    parts: Parts
    console: ConsoleParts
    attempts: Attempts

    @property
    def cookie(self) -> str:
        """The cookie's name; browsers hold `__Host-` to https, this host and all of its paths."""
        return "__Host-ctsftp" if self.parts.settings.behind_https else "ctsftp"


class Visitor(Access):
    """Somebody who is signed in, and the request."""

    def __init__(self, request: Request, desk: Desk, session: Session) -> None:
        super().__init__(desk.parts, session.token)
        self.console = desk.console
        self.request = request
        self.session = session
        self._waiting: list[Waiting] | None = None

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return self.console.now()

    async def clients_seen(self) -> list[str]:
        """Name the clients that the token may see."""
        return [name for name in await asyncio.to_thread(self.console.clients.names) if self.may_see(name)]

    def asked(self, name: str) -> str:
        """Give a parameter of the address, "" where it is not there."""
        return self.request.query_params.get(name, "")

    async def say(self, tone: str, text: str) -> None:
        """Keep a sentence about what was just done for the next page; `tone` is good or bad."""
        await self.store.sessions.say(self.session, tone, text)

    async def waiting(self) -> list[Waiting]:
        """Count what asks for a person, once a request."""
        if self._waiting is None:
            self._waiting = await self.store.overview.waiting(self.token.client)
        return self._waiting

    async def if_approved(self, held: list[Upload]) -> dict[str, IfApproved]:
        """Tell what held uploads would change now; a page does not wait long, and is told when more is known."""
        return await self.parts.if_approved(held, COUNTED_WITHIN_S)

    async def page(self, template: str, *, here: str, status: int = 200, **values: object) -> Response:
        """Answer with a page; it is written in a thread, since a long one takes a while."""
        waiting = sum(one.count for one in await self.waiting() if one.state is State.HELD)
        who = {"name": self.token.name, "admin": self.token.admin, "csrf": self.session.csrf, "waiting": waiting}
        common = {
            "who": who,
            "here": here,
            "beat": self.console.live.mark(self.token.client),
            # Not for a page that fetches itself: the page that comes after what was done may still be on its way.
            "notices": [] if "x-refresh" in self.request.headers else await self._take_notices(),
            "assets": ASSETS.addresses,
        }
        return HTMLResponse(await asyncio.to_thread(render, template, **common, **values), status)

    async def _take_notices(self) -> list[dict[str, str]]:
        return await self.store.sessions.take_notices(self.session)


class Form:
    """The fields of a form that was sent."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        """Give a field; the problem of a request that is wrong, where it is not there."""
        values = self._fields.get(name)
        if not values:
            raise Problem(422, "invalid", f'The form has no field "{name}".')
        return values[0]

    def all(self, name: str) -> list[str]:
        """Give all values of a field that may be chosen several times."""
        return self._fields.get(name, [])


Page = Callable[[Visitor], Awaitable[Response]]
Deed = Callable[[Visitor, Form], Awaitable[str]]
Place = Callable[[Request, Form], str]
Endpoint = Callable[[Request], Awaitable[Response]]


def own_path(address: str) -> str:
    """Give the path and query of an address, which cannot lead to another host; "/" for what cannot be read."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    path = "/" + parts.path.lstrip("/\\")
    return path + (f"?{parts.query}" if parts.query else "")


def of_referer(request: Request, _form: Form) -> str:
    """Give the address of the page that a form was sent from."""
    return own_path(request.headers.get("referer", ""))


def desk_of(request: Request) -> Desk:
    """Give what the console was given."""
    desk: Desk = request.app.state.desk
    return desk


async def admit(request: Request) -> Visitor | None:
    """Find who a request is of; None where nobody is signed in, or the token was revoked or has expired."""
    desk = desk_of(request)
    secret = request.cookies.get(desk.cookie, "")
    session = await desk.parts.store.sessions.find(secret) if secret else None
    if session is None:
        return None
    desk.parts.usage.note(session.token)
    return Visitor(request, desk, session)


def signed_in(page: Page) -> Endpoint:
    """Make the endpoint of a page that only somebody who is signed in sees; others are asked to sign in."""

    async def endpoint(request: Request) -> Response:
        visitor = await admit(request)
        if visitor is None:
            return ask_to_sign_in(request)
        try:
            return await page(visitor)
        except Exception as exc:  # noqa: BLE001  shown as a page; what is our fault is logged there
            return await fault_page(visitor, exc)

    return endpoint


def decided(deed: Deed, place: Place = of_referer) -> Endpoint:
    """Make the endpoint of a form: an admin's, from a page of ours; then it goes on to the address that it gives.

    `place` gives the address of the page that the form stood on, with what was typed into it. A deed that is refused
    is told there; and somebody whose session has ended comes back to it from the sign-in page.
    """

    async def endpoint(request: Request) -> Response:
        require_own_origin(request)
        visitor = await admit(request)
        if visitor is None:
            return await _ask_again(request, place)
        try:
            form = await read_form(request)
            require_csrf(visitor, form)
            require_admin(visitor)
            return RedirectResponse(await _done(visitor, deed, form, place), SEE_OTHER)
        except Exception as exc:  # noqa: BLE001  the same
            return await fault_page(visitor, exc)

    return endpoint


async def _done(visitor: Visitor, deed: Deed, form: Form, place: Place) -> str:
    try:
        return await deed(visitor, form)
    except (RefusedError, UsageError) as exc:
        await visitor.say("bad", str(exc))
        return place(visitor.request, form)


async def _ask_again(request: Request, place: Place) -> Response:
    """Have somebody sign in whose form was not taken, and say so there."""
    try:
        back = place(request, await read_form(request))
    except Problem:
        back = "/"
    lost = request.url.path.rpartition("/")[2]
    return RedirectResponse(f"/sign-in?{urlencode({'next': back, 'lost': lost})}", SEE_OTHER)


async def fault_page(visitor: Visitor | None, exc: Exception) -> Response:
    """Answer an error as a page; where even that fails, as a line of text."""
    problem = problem_of(exc)
    titles = {403: "Not allowed", 404: "Not found", 422: "Not understood"}
    title = titles.get(problem.status, "That did not work")
    if visitor is None:
        return HTMLResponse(bare_page("fault.html", title=title, text=problem.detail), problem.status)
    try:
        return await visitor.page("fault.html", here="", status=problem.status, title=title, text=problem.detail)
    except CtsftpError:
        return Response(f"{title}: {problem.detail}\n", problem.status, media_type="text/plain")


def bare_page(template: str, **values: object) -> str:
    """Write a page for somebody of whom nothing is known."""
    return render(template, who=None, here="", notices=[], assets=ASSETS.addresses, **values)


def ask_to_sign_in(request: Request) -> Response:
    """Send somebody to the sign-in page, and from there to where they were going."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse("/sign-in" + (f"?{urlencode({'next': target})}" if target != "/" else ""), SEE_OTHER)


async def read_form(request: Request) -> Form:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Problem(415, "form", "A form is sent as application/x-www-form-urlencoded.")
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return Form(parse_qs(body, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Problem(422, "invalid", f"A form has at most {MAX_FIELDS:,} fields.") from None


def require_own_origin(request: Request) -> None:
    """Refuse a form that another site sent, by the browser's word for it; every browser sends one of the two."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    is_own = site == "same-origin" if site else urlsplit(origin).netloc == request.headers["host"] and bool(origin)
    if not is_own:
        raise Problem(403, "origin", "This form was not sent from a page of the console.")


def require_admin(visitor: Visitor) -> None:
    """Refuse somebody whose token may only read."""
    if not visitor.token.admin:
        raise Problem(403, "scope", "Your token is read-only: use an admin token to decide and change things.")


def require_csrf(visitor: Visitor, form: Form) -> None:
    """Refuse a form without the session's secret."""
    if not hmac.compare_digest(form["csrf"].encode(), visitor.session.csrf.encode()):
        raise Problem(403, "csrf", "This form is from another session: reload its page.")
