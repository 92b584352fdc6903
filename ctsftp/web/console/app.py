"""The console's addresses, and the headers that every answer of it has."""

from datetime import timedelta

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctsftp.contract.codes import harmless
from ctsftp.web.access import Parts
from ctsftp.web.console import clients, gates, segments, signing, uploads
from ctsftp.web.console.assets import ASSETS
from ctsftp.web.console.pages import render
from ctsftp.web.console.sessions import Attempts, Sessions
from ctsftp.web.console.visitor import Desk, admit, decided, desk_of, signed_in
from ctsftp.web.problems import problem_of
from ctsftp.web.settings import HttpSettings, host_name

# Nothing but what this server sends: no inline script or style, no frame, no other site in either direction.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # `no-referrer` would also take the origin from our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


OF_THE_API = {"/v1", "/healthz", "/readyz", "/metrics"}


def make_console(parts: Parts) -> ASGIApp:
    """Make the console's app, with its headers around all else: a page that tells of a failure has them, too."""
    settings = parts.settings
    console = Starlette(
        routes=ROUTES,
        exception_handlers={404: _fault, 405: _fault, Exception: _fault},
        middleware=[
            Middleware(KnownNames, settings=settings),
        ],
    )
    console.router.redirect_slashes = False
    console.state.desk = Desk(
        parts=parts,
        sessions=Sessions(most=settings.max_sessions, life=timedelta(seconds=settings.session_life_s), now=parts.now),
        attempts=Attempts(most=settings.max_sign_in_failures, now=parts.now),
    )
    return Headers(console)


class Split:
    """Hands what software and monitors ask to the API, and all else to the console."""

    def __init__(self, api: ASGIApp, console: ASGIApp) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        first = "/".join(scope["path"].split("/")[:2])
        await (self._api if first in OF_THE_API else self._console)(scope, receive, send)


class Headers:
    """Adds the headers to every answer; one that sets its own keeps it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class KnownNames:
    """Refuses requests by an unknown name.

    Starlette's own middleware does the same, but says nothing that an admin could act on.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        host = Request(scope).headers.get("host", "")
        if self._settings.knows_host(host):
            await self._app(scope, receive, send)
            return
        name = harmless(host_name(host))
        text = f'The console is not known by the name "{name}": add it to CTSFTP_HTTP__ALLOWED_HOSTS.\n'
        await Response(text, 400, media_type="text/plain")(scope, receive, send)


async def _live(request: Request) -> Response:
    """Stream news to an open page; 204 tells the browser to ask no more."""
    visitor = await admit(request)
    live = desk_of(request).parts.live
    if visitor is None or live.is_full:
        return Response(status_code=204)
    heard = request.query_params.get("beat", "")

    async def is_signed_in() -> bool:
        return await admit(request) is not None

    stream = live.stream(visitor.token.client, int(heard) if heard.isdecimal() else -1, is_signed_in)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _fault(_request: Request, exc: Exception) -> Response:
    """Answer what nobody else did, to somebody of whom nothing is known."""
    problem = problem_of(exc)
    text = "There is no such page." if problem.status == 404 else problem.detail  # noqa: PLR2004
    title = "Not found" if problem.status == 404 else "That did not work"  # noqa: PLR2004
    page = render("fault.html", who=None, here="", notices=[], assets=ASSETS.addresses, title=title, text=text)
    return HTMLResponse(page, problem.status)


ROUTES = [
    Route("/", signed_in(segments.all_of_them)),
    Route("/segment", signed_in(segments.one_of_them)),
    Route("/segment/changes", signed_in(segments.changes)),
    Route("/segment/rollback", decided(segments.roll_back), methods=["POST"]),
    Route("/segment/retire", decided(segments.retire), methods=["POST"]),
    Route("/segment/restore", decided(segments.restore), methods=["POST"]),
    Route("/uploads", signed_in(uploads.all_of_them)),
    Route("/uploads/{upload_id}", signed_in(uploads.one_of_them)),
    *(
        Route(f"/uploads/{{upload_id}}/{deed}", decided(uploads.decision(deed)), methods=["POST"])
        for deed in ("approve", "discard", "retry")
    ),
    Route("/clients", signed_in(clients.all_of_them)),
    Route("/clients/{client}", signed_in(clients.one_of_them)),
    Route("/gates", signed_in(gates.all_of_them)),
    Route("/gates/set", decided(gates.put), methods=["POST"]),
    Route("/gates/remove", decided(gates.remove), methods=["POST"]),
    Route("/sign-in", signing.ask, methods=["GET"]),
    Route("/sign-in", signing.sign_in, methods=["POST"]),
    Route("/sign-out", signing.sign_out, methods=["POST"]),
    Route("/live", _live),
    Route("/assets/{hash}/{name}", ASSETS.serve),
]
