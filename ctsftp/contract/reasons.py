"""Why a row is rejected, in words for the person who looks at it; scripts find them in `upload rejects`."""

import re
import unicodedata
from dataclasses import dataclass

from ctsftp.contract.cells import bare

MAX_ID = 2**63 - 1
MAX_ID_DIGITS = 19
KEPT_REJECTED = 1_000  # rejected rows with line, value and reason; the counts are exact beyond

NO_ID = "the id is empty (a contact outside the loyalty program)"
NOT_AN_ID = f"the id is not a whole number of 1 to {MAX_ID_DIGITS} digits"
OUT_OF_RANGE = f"the id is not between 1 and {MAX_ID}"
SPREADSHEET = "the id is a decimal number, as a spreadsheet writes it, and may have lost digits: export whole numbers"
THOUSANDS = "the id has thousands separators: export whole numbers"
APOSTROPHE = "an apostrophe is beside the id, as spreadsheets mark text: export whole numbers"
FORMULA = "the id is a spreadsheet's formula: export whole numbers"
SPLIT_ID = "the id seems to hold commas, which separate columns here: export whole numbers"
LINE_BREAK = "a value holds a line break, or is missing"
MOVED_ID = "a comma in a value may have moved the id"
BROKEN_QUOTE = "a quote is not closed, or is inside a value"
OPEN_QUOTE = "the row is between quotes that may hold a line break"
INNER_BREAK = "the line holds a line break of another kind than LF or CR LF"
JOINT = "a byte-order mark or Ctrl-Z is within the line, as in joined files"
FOOTER = "the row is a footer: its id is the number of rows"

SHOWN_INVISIBLE = 3
INVISIBLE = frozenset({"Cf", "Zs", "Zl", "Zp", "Cc"})  # Unicode categories: no glyph, or none but space

_SPOILED_DIGITS = re.compile(rb"[0-9\x00-\x1f\x7f-\xff]+")  # with control or invisible characters
_SPLIT_EXPONENT = re.compile(rb"[0-9],[0-9]+[Ee]\+?[0-9]+")  # 1.23E+10 in most of Europe
_SPREADSHEET_NUMBER = re.compile(rb"[0-9]+\.0*|[0-9](?:\.[0-9]+)?[Ee]\+?[0-9]+")
_THOUSANDS = re.compile("[0-9]{1,3}(?:[.,'\u2019\u00a0\u2009\u202f ][0-9]{3})+", re.ASCII)
_FORMULA = re.compile(rb'="*[0-9]+"*')
_SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row: its physical line number, what stood there (bounded, printable), and why."""

    line: int
    value: str
    reason: str


def read_id(text: bytes) -> int | None:
    """Return the id in a trimmed text, or None: 1 to 19 ASCII digits, from 1 to 2^63-1."""
    if len(text) > MAX_ID_DIGITS or not text.isdigit():
        return None
    value = int(text)
    return value if 1 <= value <= MAX_ID else None


def why_no_id(text: bytes) -> str:
    """Return what is wrong with a trimmed text that is no id."""
    if not text:
        return NO_ID
    if text.isdigit() and len(text) <= MAX_ID_DIGITS:
        return OUT_OF_RANGE
    if _SPREADSHEET_NUMBER.fullmatch(text):
        return SPREADSHEET
    if _FORMULA.fullmatch(text):
        return FORMULA
    return NOT_AN_ID if len(text) > _SHOWN_BYTES else _why_no_number(text.decode("utf-8", "replace"))


def _why_no_number(shown: str) -> str:
    """Return what somebody did to a number, or that it is none."""
    if _THOUSANDS.fullmatch(shown):
        return THOUSANDS
    if read_id(shown.strip("'\u2018\u2019\u02bc`").encode()):
        return APOSTROPHE
    if (names := invisible(shown)) and read_id(visible(shown).encode()):
        return f"an invisible character is beside the id ({names}): export whole numbers"
    return NOT_AN_ID


def splits_id(columns: int, cells: list[bytes]) -> bool:
    """Tell whether the id in the first cell, of a row with too many, may be the beginning of a longer number.

    `cells` are the first one and as many as are too many.
    """
    first, *others = map(bare, cells)
    following = next(filter(None, others), b"")
    if _SPOILED_DIGITS.fullmatch(following):
        following = visible(following.decode("utf-8", "replace")).encode()
    if columns == 1:
        return following[:1].isdigit()  # no other column is there that a number could belong to
    # 1,23E+10 and 1,234,567, but also 1,00,001 as India writes it and an id with a stray comma: 1000,01.
    return following.isdigit() or _SPLIT_EXPONENT.fullmatch(first + b"," + following) is not None


def visible(text: str, *, instead: str = "") -> str:
    """Return a text with something instead of its invisible characters; the ASCII space counts as visible."""
    return "".join(one if one == " " or unicodedata.category(one) not in INVISIBLE else instead for one in text)


def invisible(text: str) -> str:
    """Name the invisible characters of a text, the first few, as in "U+200B, U+00A0"."""
    found = dict.fromkeys(one for one in text if one != " " and unicodedata.category(one) in INVISIBLE)
    return ", ".join(f"U+{ord(one):04X}" for one in list(found)[:SHOWN_INVISIBLE])
