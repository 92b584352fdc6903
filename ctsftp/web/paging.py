"""Pages: a cursor names the last thing that was seen, so that a page is right whatever came or went since.

A cursor is opaque to whoever holds it: base64 of JSON.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Query

from ctsftp.web.problems import Problem
from ctsftp.web.settings import HttpSettings

T = TypeVar("T")

Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the page before")]
Limit = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="at most so many; the server has a limit too")]


def write_cursor(value: Any) -> str:
    """Write a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def read_cursor(text: str) -> Any:
    """Read a cursor; a 404 problem for what is none."""
    try:
        return orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise unknown_cursor() from None


def unknown_cursor() -> Problem:
    """Make the problem of a cursor that this server did not give."""
    return Problem(404, "cursor", "This cursor was not given by this list: begin without one.")


def page(
    rows: Sequence[T],
    place: Callable[[T], list[str]],
    cursor: str | None,
    limit: int | None,
    settings: HttpSettings,
) -> tuple[list[T], str | None]:
    """Cut a page out of rows that are sorted by `place`; give it and the cursor of the next one."""
    size = min(limit or settings.page_size, settings.max_page_size)
    rows = sorted(rows, key=place)
    if cursor is not None:
        after = read_cursor(cursor)
        if not isinstance(after, list) or not all(isinstance(part, str) for part in after):
            raise unknown_cursor()
        rows = [row for row in rows if place(row) > after]
    more = len(rows) > size
    return list(rows[:size]), write_cursor(place(rows[size - 1])) if more else None
