"""The console's addresses, and the headers that every answer of it has."""

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctsftp.contract.codes import harmless
from ctsftp.model.commands import ApproveUpload, DiscardUpload, RetryUpload
from ctsftp.web.access import Parts
from ctsftp.web.console import clients, gates, manual, segments, signing, uploads
from ctsftp.web.console.assets import ASSETS
from ctsftp.web.console.attempts import Attempts
from ctsftp.web.console.visitor import ConsoleParts, Desk, admit, decided, desk_of, fault_page, signed_in
from ctsftp.web.problems import Problem
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

NO_PAGE = {404: "There is no such page.", 405: "There is no page at this address: it is where a form is sent to."}
OF_THE_API = {"/v1", "/healthz", "/readyz", "/metrics"}


def make_console(parts: Parts, console: ConsoleParts) -> ASGIApp:
    """Make the console's app, with its front around all else: a page that tells of a failure has the headers, too."""
    settings = parts.settings
    app = Starlette(routes=ROUTES, exception_handlers={404: _fault, 405: _fault, Exception: _fault})
    app.router.redirect_slashes = False
    attempts = Attempts(most=settings.max_sign_in_failures, now=console.now)
    app.state.desk = Desk(parts=parts, console=console, attempts=attempts)
    return Front(app, settings)


class Split:
    """Hands what software and monitors ask to the API, and all else to the console."""

    def __init__(self, api: ASGIApp, console: ASGIApp) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = "/".join(scope["path"].split("/")[:2])
        await (self._api if first in OF_THE_API else self._console)(scope, receive, send)


class Front:
    """Refuses requests by an unknown name, and adds the headers to every answer; one that sets its own keeps it.

    Starlette's own middleware refuses, too, but says nothing that an admin could act on.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        host = Request(scope).headers.get("host", "")
        app = self._app if self._settings.knows_host(host) else _unknown(host)
        await app(scope, receive, with_headers)


def _unknown(host: str) -> Response:
    name = harmless(host_name(host))
    text = f'The console is not known by the name "{name}": add it to CTSFTP_HTTP__ALLOWED_HOSTS.\n'
    return Response(text, 400, media_type="text/plain")


async def _live(request: Request) -> Response:
    """Stream news to an open page; a page that is refused asks `_session` why."""
    visitor = await admit(request)
    if visitor is None:
        return Response(status_code=401)
    live = desk_of(request).console.live
    if not live.has_room(visitor.token):
        return Response(status_code=503)

    async def is_signed_in() -> bool:
        return await admit(request) is not None

    stream = live.stream(visitor.token, request.query_params.get("beat", ""), is_signed_in)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _session(request: Request) -> Response:
    """Tell an open page whether the server and its session are there, which beat it is at, and the secret of its forms.

    Somebody may have signed in anew since the page was made.
    """
    visitor = await admit(request)
    if visitor is None:
        return Response(status_code=401)
    beat = visitor.console.live.mark(visitor.token.client)
    return Response(status_code=204, headers={"ctsftp-beat": beat, "ctsftp-csrf": visitor.session.csrf})


async def _fault(request: Request, exc: Exception) -> Response:
    """Answer what nobody else did: as a page like all others to somebody who is signed in."""
    if isinstance(exc, HTTPException) and exc.status_code in NO_PAGE:
        exc = Problem(exc.status_code, "http", NO_PAGE[exc.status_code])
    try:
        visitor = await admit(request)
    except Exception:  # noqa: BLE001  the first fault is the one to tell of
        visitor = None
    return await fault_page(visitor, exc)


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
        Route(f"/uploads/{{upload_id}}/{deed}", decided(uploads.decision(command)), methods=["POST"])
        for deed, command in (("approve", ApproveUpload), ("discard", DiscardUpload), ("retry", RetryUpload))
    ),
    Route("/clients", signed_in(clients.all_of_them)),
    Route("/clients/{client}", signed_in(clients.one_of_them)),
    Route("/gates", signed_in(gates.all_of_them)),
    Route("/gates/set", decided(gates.put, gates.place), methods=["POST"]),
    Route("/gates/remove", decided(gates.remove), methods=["POST"]),
    Route("/help", signed_in(manual.index)),
    Route("/help/{name}", signed_in(manual.page)),
    Route("/sign-in", signing.ask, methods=["GET"]),
    Route("/sign-in", signing.sign_in, methods=["POST"]),
    Route("/sign-out", signing.sign_out, methods=["POST"]),
    Route("/live", _live),
    Route("/session", _session),
    Route("/assets/{hash}/{name}", ASSETS.serve),
]
