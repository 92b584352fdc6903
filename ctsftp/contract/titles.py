"""Column titles: how they are compared, and how a later line is known to hold them again."""

import re
import unicodedata
from functools import lru_cache

from ctsftp.contract.cells import bare, split_enclosed
from ctsftp.contract.lines import pieces, without_mark
from ctsftp.contract.reasons import read_id, visible

CONTRACT_TITLE = "CTUserID"
VENDOR_TITLE = "id"  # what CrowdTwist's own page recommends
ID_TITLES = (CONTRACT_TITLE, VENDOR_TITLE)

# Unicode normalization takes time by the square of a run of combining marks: no file may choose its length.
_TITLE_CHARACTERS = 255
_COMPARED_TITLES = 50  # of the first line, with a later one
_HEADER_FROM = 2  # titles in a line without CTUserID
_BARE_TITLE = CONTRACT_TITLE.casefold()
TITLE_BYTES = _BARE_TITLE.encode()
# The title with anything between its letters but another letter, a digit or a comma: a quick look at a line.
_SCATTERED = re.compile(rb"[^a-z0-9,]*+".join(letter.encode() for letter in _BARE_TITLE))
_BEHIND_ID = re.compile(f'[0-9]"*{_BARE_TITLE}', re.IGNORECASE)
_ANY_END = re.compile(r'[,;\t|"]')
_ASCII = re.compile(rb"[!-~]+")
_GLUED_FROM = 4  # characters of a title that is known with a capital before it: AGE is the end of VILLAGE


def fold(title: str) -> str:
    """Return a title as it is compared: in any case, without white space around it, NFC."""
    return unicodedata.normalize("NFC", title[:_TITLE_CHARACTERS].strip(" \t\r\n\x0b\x0c")).casefold()


def holds_contract_title(title: str) -> bool:
    """Tell whether the letters and digits of a title hold CTUserID, in any case and width."""
    return _BARE_TITLE in _bare(unicodedata.normalize("NFKC", title[:_TITLE_CHARACTERS]))


def title_of(cell: bytes) -> str:
    """Return a cell of the first line as text."""
    return bare(cell).decode("utf-8", "replace")


def titles_of(line: bytes) -> tuple[str, ...]:
    """Return the titles of a line, the first ones, as they are spelled, but each in one line."""
    text = without_mark(line).strip()
    cells = split_enclosed(text) or text.split(b",")
    return tuple(" ".join(title_of(cell)[:_TITLE_CHARACTERS].split()) for cell in cells[:_COMPARED_TITLES])


def stands_again(titles: tuple[str, ...], line: bytes) -> bool | None:
    """Tell whether a row, which has no id where the ids are, holds column titles: in their places, or in others.

    None where it is no header. Each piece between the breaks of a line may be one. A header holds CTUserID at the end
    of any cell (before it may stand what is left of a row that was cut off), or no id and at least two of the first
    line's titles and `id`: that one alone is a value (Idaho). Or it ends in two of them, of which the first stands
    behind what is left of a row.
    """
    lowered = line.lower()
    if not _SCATTERED.search(lowered) and sum(mark in lowered for mark in _marks(titles)) < _HEADER_FROM:
        return None
    found = [_stand_in(titles, piece) for piece in pieces(line)]
    if False in found or not any(found):
        return False if False in (*found, _stand_in(titles, line)) else None
    return True


def ends_in_title(line: bytes) -> bool:
    """Tell whether CTUserID is glued to the end of a row's last value: "100030,N/AZIPCTUserID" lost its commas."""
    text = line.removesuffix(b'"')
    if text[-len(CONTRACT_TITLE) :].lower() != TITLE_BYTES:
        return False
    return text[: -len(CONTRACT_TITLE)].rpartition(b",")[2].strip(b' "') != b""


def _stand_in(titles: tuple[str, ...], line: bytes) -> bool | None:
    cells = titles_of(line)
    folded, known = tuple(map(fold, cells)), _known(titles)
    if folded == tuple(map(fold, titles)):
        return True
    holds_titles = len(known & set(folded)) >= _HEADER_FROM and not any(map(_is_id, cells))
    return False if holds_titles or _is_named(line) or _are_glued(titles, cells) else None


def _is_named(line: bytes) -> bool:
    """Tell whether a cell ends in CTUserID or has it right behind digits; invisible characters may stand in it."""
    text = line.decode("utf-8", "replace")
    shown = (visible(text), visible(text, instead=","))
    is_named = any(_bare(cell).endswith(_BARE_TITLE) for one in shown for cell in _ANY_END.split(one))
    return is_named or _BEHIND_ID.search(shown[0]) is not None


def _are_glued(titles: tuple[str, ...], cells: tuple[str, ...]) -> bool:
    """Tell whether a title stands behind what is left of a row, and another one behind that: "100030,BaselZIP,ID".

    They are spelled as in the first line: "Kansas City,ID" is a value with a comma.
    """
    spelled = {*filter(None, titles), *(VENDOR_TITLE, VENDOR_TITLE.upper(), VENDOR_TITLE.title())}
    last_id = max((place for place, cell in enumerate(cells) if _is_id(cell)), default=-1)
    places = [place for place, cell in enumerate(cells) if place > last_id and cell in spelled]
    rest = [cell.rstrip('"') for cell in cells[last_id + 1 : max(places, default=0)]]
    return len(places) >= _HEADER_FROM or any(_is_glued(cell, title) for cell in rest for title in spelled)


def _is_glued(cell: str, title: str) -> bool:
    """Tell whether a cell ends in a title, with what is no part of its word before it."""
    before = cell[: -len(title)][-1:]
    if not cell.endswith(title) or before in {"", " "}:
        return False
    return not before.isalpha() or len(title) >= _GLUED_FROM or (title[0].isupper() and not before.isupper())


def _is_id(cell: str) -> bool:
    return read_id(cell.encode()) is not None


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


@lru_cache(maxsize=64)
def _known(titles: tuple[str, ...]) -> frozenset[str]:
    return frozenset({*map(fold, titles), VENDOR_TITLE} - {""})


@lru_cache(maxsize=64)
def _marks(titles: tuple[str, ...]) -> list[bytes]:
    """Return what a line must hold, in lower case, to hold these titles: it is looked for in each row without an id."""
    words = (_ASCII.findall(title.encode().lower()) for title in {*titles, VENDOR_TITLE} if title)
    return [max(found, key=len, default=b"") for found in words]
