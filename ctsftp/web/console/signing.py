"""Signing in with a token of `ctsftp token add`, and out again."""

from datetime import timedelta

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ctsftp.errors import CtsftpError
from ctsftp.model.records import Token
from ctsftp.web.console.visitor import (
    SEE_OTHER,
    Desk,
    admit,
    bare_page,
    desk_of,
    own_path,
    read_form,
    require_csrf,
    require_own_origin,
)
from ctsftp.web.problems import Problem, problem_of

log = structlog.get_logger()

# A cookie outlives its session, so that somebody who comes back is told that it has ended.
REMEMBERED_S = 86_400

# What was not done for somebody whose session had ended, by how the form's address ends.
NOT_DONE = {
    "approve": "The upload was not approved",
    "discard": "The upload was not discarded",
    "retry": "The upload was not tried again",
    "rollback": "The segment was not rolled back",
    "retire": "The segment was not retired",
    "restore": "The segment was not restored",
    "set": "The gate was not set",
    "remove": "The gate was not removed",
}


async def ask(request: Request) -> Response:
    """Show the page to sign in, and why; somebody who is signed in goes on."""
    wanted = own_path(request.query_params.get("next", "/"))
    if await admit(request):
        return RedirectResponse(wanted, SEE_OTHER)
    return _page(wanted, why=_why(request, wanted))


def _why(request: Request, wanted: str) -> str:
    """Say why somebody is asked to sign in; "" where nothing is to be said."""
    lost = NOT_DONE.get(request.query_params.get("lost", ""))
    if lost:
        return f"{lost}: you are no longer signed in. Sign in to come back to the page, and do it again."
    if request.cookies.get(desk_of(request).cookie):
        return "You are no longer signed in: the session ended, or your token expired or was revoked."
    return "Sign in to go on to the page that you asked for." if wanted != "/" else ""


async def sign_in(request: Request) -> Response:
    """Begin a session for a token; an address that failed too often has to wait.

    A token that is right is always let in: behind a proxy an admin may share the address of whoever guesses.
    """
    desk, address = desk_of(request), request.client.host if request.client else ""
    try:
        require_own_origin(request)
        form = await read_form(request)
        wanted = own_path(form["next"])
        token = await _token(desk, form["token"].strip())
        secret = await _open(desk, request, token) if token else ""
    except (Problem, CtsftpError) as exc:
        problem = problem_of(exc)
        return _page("/", fault=problem.detail, status=problem.status)
    if token is None:
        if desk.attempts.are_used_up(address):
            return _page(wanted, fault="Too many attempts: wait a minute.", status=429)
        desk.attempts.note_failure(address)
        log.warning("console sign-in refused", address=address)
        return _page(wanted, fault="This token is unknown, expired or revoked.", status=403)
    log.info("console sign-in", token=token.name, address=address)
    desk.parts.usage.note(token)
    return _with_cookie(desk, RedirectResponse(wanted, SEE_OTHER), secret)


async def sign_out(request: Request) -> Response:
    desk = desk_of(request)
    visitor = await admit(request)
    if visitor is not None:
        try:
            require_own_origin(request)
            require_csrf(visitor, await read_form(request))
        except Problem as problem:
            return _page("/", fault=problem.detail, status=problem.status)
        await desk.parts.store.sessions.close(request.cookies.get(desk.cookie, ""))
    answer = RedirectResponse("/sign-in", SEE_OTHER)
    answer.delete_cookie(desk.cookie, secure=desk.parts.settings.behind_https, httponly=True, samesite="strict")
    return answer


async def _token(desk: Desk, secret: str) -> Token | None:
    tokens = desk.parts.store.tokens
    token = await tokens.find(secret)
    return None if token is None or tokens.has_expired(token) else token


async def _open(desk: Desk, request: Request, token: Token) -> str:
    """Begin a session in place of the browser's last one, and give its secret."""
    sessions, settings = desk.parts.store.sessions, desk.parts.settings
    await sessions.close(request.cookies.get(desk.cookie, ""))
    return await sessions.open(token.id, life=timedelta(seconds=settings.session_life_s), most=settings.max_sessions)


def _page(wanted: str, *, why: str = "", fault: str = "", status: int = 200) -> Response:
    return HTMLResponse(bare_page("sign_in.html", wanted=wanted, why=why, fault=fault), status)


def _with_cookie(desk: Desk, answer: Response, secret: str) -> Response:
    answer.set_cookie(
        desk.cookie,
        secret,
        max_age=desk.parts.settings.session_life_s + REMEMBERED_S,
        secure=desk.parts.settings.behind_https,
        httponly=True,
        samesite="strict",
    )
    return answer
