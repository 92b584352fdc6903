"""What a monitor asks: is it alive, is it ready, its figures."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from ctsftp.web.access import TokenBearer, parts_of
from ctsftp.web.problems import Problem

router = APIRouter(include_in_schema=False)

ASKED = ["GET", "HEAD"]  # many a monitor wants no body


@router.api_route("/healthz", methods=ASKED)
async def is_alive() -> Response:
    """Answer as long as the event loop turns."""
    return PlainTextResponse("ok\n")


@router.api_route("/readyz", methods=ASKED)
async def is_ready(request: Request) -> Response:
    """Answer 200 if work can be done, else 503 with the reasons; what else is wrong stands in lines of its own."""
    parts = parts_of(request)
    if reasons := await parts.unready():
        raise Problem(503, "unready", " ".join([*reasons, *parts.remarks()]))
    return PlainTextResponse("".join(f"{line}\n" for line in ("ready", *parts.remarks())))


@router.api_route("/metrics", methods=ASKED)
async def metrics(request: Request) -> Response:
    """Give the figures in Prometheus's text form.

    They name every client's segments: whoever may come from elsewhere needs a token for all clients, and so does a
    browser's page that asks by another name.
    """
    settings, host = parts_of(request).settings, request.headers.get("host", "")
    if settings.is_exposed or (host and not settings.knows_host(host)):
        access = await TokenBearer(admin=False)(request)
        if access.token.client is not None:
            raise Problem(403, "scope", "The figures are of all clients: this token is bound to one.")
    return Response(await parts_of(request).metrics(), media_type="text/plain; version=0.0.4")
