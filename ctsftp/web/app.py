"""The app: its rooms' routes, its OpenAPI document, its errors."""

from importlib import metadata

from fastapi import FastAPI
from starlette.types import ASGIApp

from ctsftp.web import changes, gates, health, members, problems, segments, uploads
from ctsftp.web.access import Parts
from ctsftp.web.guard import Guard

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
        openapi_url="/v1/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    problems.install(app)
    # The first that fits is taken, and what is asked most stands first.
    for room in (members, gates, segments, changes, uploads, health):
        app.include_router(room.router)
    _name_problems(app)
    return app


def _name_problems(app: FastAPI) -> None:
    """Write the document, in which FastAPI would call every problem document plain JSON."""
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    answer["content"]["application/problem+json"] = answer["content"].pop("application/json")


def guarded(app: FastAPI, parts: Parts) -> ASGIApp:
    """Put the guard around the app, outside of all else."""
    return Guard(app, max_body_bytes=parts.settings.max_body_bytes)
