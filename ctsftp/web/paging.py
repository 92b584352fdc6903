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


def read_place(cursor: str | None, parts: int) -> tuple[str, ...] | None:
    """Read the cursor of a list that is in the order of so many texts; None where the list begins."""
    if cursor is None:
        return None
    match read_cursor(cursor):
        case [*place] if len(place) == parts and all(isinstance(part, str) for part in place):
            return tuple(place)
    raise unknown_cursor()


def cut(rows: Sequence[T], size: int, place: Callable[[T], Sequence[str]]) -> tuple[Sequence[T], str | None]:
    """Cut a page of `size` out of rows of which one more was read; give it and the cursor of the next one."""
    return rows[:size], write_cursor(list(place(rows[size - 1]))) if len(rows) > size else None
