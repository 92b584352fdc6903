"""Column titles: how they are compared, and how a later line is known to hold them again."""

import re
import unicodedata
from functools import lru_cache

from ctsftp.contract.cells import bare, split_enclosed
from ctsftp.contract.lines import without_mark
from ctsftp.contract.reasons import read_id, visible

CONTRACT_TITLE = "CTUserID"
VENDOR_TITLE = "id"  # what CrowdTwist's own page recommends
ID_TITLES = (CONTRACT_TITLE, VENDOR_TITLE)

# Unicode normalization takes time by the square of a run of combining marks: no file may choose its length.
_TITLE_CHARACTERS = 255
_COMPARED_TITLES = 50  # of the first line, with a later one
_HEADER_FROM = 2  # titles in a line without CTUserID
_ID_TITLE_ENDS = re.compile(r"ctuserid[\"'\s]*(?:[,;\t|]|\Z)")


def fold(title: str) -> str:
    """Return a title as it is compared: in any case, without white space around it, NFC."""
    return unicodedata.normalize("NFC", title[:_TITLE_CHARACTERS].strip(" \t\r\n\x0b\x0c")).casefold()


def title_of(cell: bytes) -> str:
    """Return a cell of the first line as text."""
    return bare(cell).decode("utf-8", "replace")


def folded_titles(line: bytes) -> tuple[str, ...]:
    """Return the titles of a line, the first ones, as they are compared."""
    text = without_mark(line).strip()
    cells = split_enclosed(text) or text.split(b",")
    return tuple(fold(title_of(cell)) for cell in cells[:_COMPARED_TITLES])


def stands_again(titles: tuple[str, ...], line: bytes) -> bool | None:
    """Tell whether a row, which has no id where the ids are, holds column titles: in their places, or in others.

    None where it is no header. A header holds CTUserID at the end of any cell (before it may stand what is left of a
    row that was cut off), or no id and at least two of the first line's titles and `id`: that one alone is a value
    (Idaho). Or it ends in all of the first line's titles, of which the first stands behind what is left of a row.
    """
    lowered = line.lower()
    named = b"ctuserid" in lowered and _ID_TITLE_ENDS.search(visible(line.decode("utf-8", "replace")).casefold())
    if not named and sum(mark in lowered for mark in _marks(titles)) < _HEADER_FROM:
        return None
    cells = folded_titles(line)
    if cells == titles:
        return True
    known = {*titles, VENDOR_TITLE} & {cell for cell in cells if cell}
    holds_titles = len(known) >= _HEADER_FROM and not any(read_id(cell.encode()) for cell in cells)
    return False if named or holds_titles or _ends_in(titles, cells) else None


def _ends_in(titles: tuple[str, ...], cells: tuple[str, ...]) -> bool:
    """Tell whether a line ends in all titles, in any order; before the first of them something may stand."""
    first, *others = cells[-len(titles) :] if len(cells) >= len(titles) else ("",)
    left = set(titles) - set(others)
    return len(titles) >= _HEADER_FROM and len(left) == 1 and first.endswith(left.pop())


@lru_cache(maxsize=64)
def _marks(titles: tuple[str, ...]) -> list[bytes]:
    """Return what a line must hold, in lower case, to hold these titles: it is looked for in each row without an id."""
    return [title.encode() for title in {*titles, VENDOR_TITLE} if title and title.isascii()]
