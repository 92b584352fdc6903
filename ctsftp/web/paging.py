"""Pages: a cursor names the last thing that was seen, so that a page is right whatever came or went since.

A cursor is opaque to whoever holds it: base64 of JSON.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import orjson
from fastapi import Query

from ctsftp.web.problems import Fault, Problem, invalid
from ctsftp.web.settings import MAX_PAGE_SIZE, PAGE_SIZE

T = TypeVar("T")

Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the page before")]
Limit = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="at most so many; the server refuses more than it gives")
]


def write_cursor(value: object) -> str:
    """Write a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def read_cursor(text: str) -> object:
    """Read a cursor; a 404 problem for what is none."""
    try:
        return orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise unknown_cursor() from None


def unknown_cursor() -> Problem:
    """Make the problem of a cursor that this server did not give."""
    return Problem(404, "cursor", "This cursor is not from this list: begin without one.")


def size_of(limit: int | None, usual: int, most: int) -> int:
    """Tell how many things a page holds; a 422 problem for more than the server gives: less would look like all."""
    if limit is not None and limit > most:
        raise invalid(Fault(where="query.limit", what=f"is at most {most} here: ask for the next page by its cursor"))
    return limit or usual


def page_size(limit: int | None) -> int:
    """Tell how many things a page of a list holds."""
    return size_of(limit, PAGE_SIZE, MAX_PAGE_SIZE)


def read_place(cursor: str | None, parts: int) -> tuple[str, ...] | None:
    """Read the cursor of a list that is in the order of so many texts; None where the list begins."""
    if cursor is None:
        return None
    match read_cursor(cursor):
        case [*place] if len(place) == parts and all(isinstance(part, str) for part in place):
            return tuple(map(str, place))
    raise unknown_cursor()


def cut(rows: Sequence[T], size: int, place: Callable[[T], Sequence[str]]) -> tuple[Sequence[T], str | None]:
    """Cut a page of `size` out of rows of which one more was read; give it and the cursor of the next one."""
    return rows[:size], write_cursor(list(place(rows[size - 1]))) if len(rows) > size else None
