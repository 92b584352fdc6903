"""The app: its rooms' routes, its OpenAPI document, its errors."""

from importlib import metadata
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from ctsftp.contract.rows import MAX_ID
from ctsftp.web import changes, gates, health, members, problems, segments, uploads
from ctsftp.web.access import Parts
from ctsftp.web.console.app import Split, make_console
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
    _mend(app.openapi())
    return app


def _mend(document: Any) -> None:
    """Put right in the document what FastAPI cannot say: that a problem is no plain JSON, and the largest id.

    It writes bounds as doubles, and 2^63-1 is none.
    """
    if isinstance(document, dict):
        if document.get("maximum") == float(MAX_ID):
            document["maximum"] = MAX_ID
        for status, answer in document.get("responses", {}).items():
            if not status.startswith("2"):
                answer["content"]["application/problem+json"] = answer["content"].pop("application/json")
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            _mend(part)


def guarded(app: FastAPI, parts: Parts) -> ASGIApp:
    """Put the console beside the app, and the guard around both, outside of all else."""
    limits = parts.settings
    both = Split(app, make_console(parts))
    return Guard(both, max_body_bytes=limits.max_body_bytes, stalled_s=limits.stalled_s)
