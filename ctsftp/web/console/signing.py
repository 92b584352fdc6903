"""Signing in with a token of `ctsftp token add`, and out again."""

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ctsftp.errors import CtsftpError
from ctsftp.store.records import Token
from ctsftp.web.console.assets import ASSETS
from ctsftp.web.console.pages import render
from ctsftp.web.console.visitor import (
    SEE_OTHER,
    Desk,
    admit,
    desk_of,
    own_path,
    read_form,
    require_csrf,
    require_own_origin,
)
from ctsftp.web.problems import Problem, problem_of

log = structlog.get_logger()


async def ask(request: Request) -> Response:
    """Show the page to sign in; whoever is goes on."""
    wanted = own_path(request.query_params.get("next", "/"))
    if await admit(request):
        return RedirectResponse(wanted, SEE_OTHER)
    return _page(wanted)


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
    except (Problem, CtsftpError) as exc:
        problem = problem_of(exc)
        return _page("/", fault=problem.detail, status=problem.status)
    if token is None:
        if desk.attempts.are_used_up(address):
            return _page(wanted, fault="Too many attempts: wait a minute.", status=429)
        desk.attempts.note_failure(address)
        log.warning("console sign-in refused", address=address)
        return _page(wanted, fault="This token is not known here, has expired, or was revoked.", status=403)
    log.info("console sign-in", token=token.name, address=address)
    desk.parts.usage.note(token)
    desk.sessions.close(request.cookies.get(desk.cookie, ""))
    return _with_cookie(desk, RedirectResponse(wanted, SEE_OTHER), desk.sessions.open(token))


async def sign_out(request: Request) -> Response:
    """End the session."""
    desk = desk_of(request)
    visitor = await admit(request)
    if visitor is not None:
        try:
            require_own_origin(request)
            require_csrf(visitor, await read_form(request))
        except Problem as problem:
            return _page("/", fault=problem.detail, status=problem.status)
        desk.sessions.close(request.cookies.get(desk.cookie, ""))
    answer = RedirectResponse("/sign-in", SEE_OTHER)
    answer.delete_cookie(desk.cookie, secure=desk.parts.settings.behind_https, httponly=True, samesite="strict")
    return answer


async def _token(desk: Desk, secret: str) -> Token | None:
    tokens = desk.parts.store.tokens
    token = await tokens.find(secret)
    return None if token is None or tokens.has_expired(token) else token


def _page(wanted: str, *, fault: str = "", status: int = 200) -> Response:
    page = render("sign_in.html", who=None, here="", notices=[], assets=ASSETS.addresses, wanted=wanted, fault=fault)
    return HTMLResponse(page, status)


def _with_cookie(desk: Desk, answer: Response, secret: str) -> Response:
    answer.set_cookie(
        desk.cookie,
        secret,
        max_age=desk.parts.settings.session_life_s,
        secure=desk.parts.settings.behind_https,
        httponly=True,
        samesite="strict",
    )
    return answer
