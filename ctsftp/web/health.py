"""What a monitor asks, without a token: is it alive, is it ready, its figures."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from ctsftp.web.access import parts_of
from ctsftp.web.problems import Problem

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def is_alive() -> Response:
    """Answer as long as the event loop turns."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def is_ready(request: Request) -> Response:
    """Answer 200 if work can be done, else 503 with the reasons."""
    if reasons := await parts_of(request).unready():
        raise Problem(503, "unready", " ".join(reasons))
    return PlainTextResponse("ready\n")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Give the figures in Prometheus's text form."""
    return Response(await parts_of(request).metrics(), media_type="text/plain; version=0.0.4")
