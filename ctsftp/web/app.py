"""The app: its rooms' routes, its OpenAPI document, its errors."""

from importlib import metadata

import orjson
from fastapi import Depends, FastAPI
from fastapi.responses import Response
from starlette.types import ASGIApp

from ctsftp.web import changes, gates, health, members, problems, segments, uploads
from ctsftp.web.access import Parts
from ctsftp.web.console.app import Split, make_console
from ctsftp.web.console.visitor import ConsoleParts
from ctsftp.web.document import Document
from ctsftp.web.guard import Guard
from ctsftp.web.parameters import refuse_unknown
from ctsftp.web.turns import Turns

DESCRIPTION = """
Lists of members, and what they open. An id (`ct_user_id`) is an integer of 1 to 2^63-1: parse it as 64 bits.

Every error is a problem document (RFC 9457). What belongs to another client than the token's does not exist: 404.
"""


def make_app(parts: Parts) -> FastAPI:
    """Make the app; `guarded` is what a server serves."""
    app = FastAPI(
        title="ctsftp",
        version=metadata.version("ctsftp"),
        description=DESCRIPTION,
        openapi_url=None,  # it has a route of its own; FastAPI's pages for it load scripts from elsewhere
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    document = Document(app)
    problems.install(app, document)
    # The first that fits is taken, and what is asked most stands first.
    for room in (members, gates, segments, changes, uploads):
        app.include_router(room.router, dependencies=[Depends(refuse_unknown)])
    app.include_router(health.router)

    @app.get("/v1/openapi.json", include_in_schema=False)
    async def show_document() -> Response:
        return Response(orjson.dumps(await document.get()), media_type="application/json")

    return app


def make_routes(app: FastAPI) -> None:
    """Have FastAPI work out its routes; the first request would, and stop the event loop for 0.1 s."""
    for route in app.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})


def guarded(app: FastAPI, parts: Parts, console: ConsoleParts) -> ASGIApp:
    """Put the console beside the app, and the guard around both, outside of all else."""
    limits = parts.settings
    both = Split(app, make_console(parts, console))
    return Guard(
        both,
        asker=parts.asker,
        turns=Turns(limits.max_requests_per_token),
        max_body_bytes=limits.max_body_bytes,
    )
