"""Read the head of a file: whether it is the text that the contract asks for, and where its ids are.

All of this shows in the first bytes, so that one function serves the reader and the answer to CLOSE.
The faults are looked for in the order of `codes.Code`; the first that holds decides.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ctsftp.contract.codes import Code, Fault, fault, harmless
from ctsftp.contract.rows import Layout, bare, is_quoted, read_id, split_enclosed
from ctsftp.contract.sniff import BYTE_ORDER_MARK, sniff

ID_TITLES = frozenset({"ctuserid"})
MAX_LINE_BYTES = 1024 * 1024
SNIFF_BYTES = 64 * 1024  # in these, a NUL counts before any fault of the header
HEAD_BYTES = MAX_LINE_BYTES + SNIFF_BYTES  # of a file: enough for all that its head can show

_CONTRACT_TITLE = "CTUserID"
_ONLY_RESPONSYS_ID = ["riid_"]  # what Responsys exports where no field was selected
_OTHER_DELIMITERS = {b"\t": "tabs", b";": "semicolons (;)", b"|": "vertical bars (|)"}
_ANY_DELIMITER = re.compile(rb"[,\t;|]")
# Unicode normalization takes time by the square of a run of combining marks: no file may choose its length.
_TITLE_CHARACTERS = 255
_SHOWN_TITLES = 12
_SHOWN_TITLE_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line says.

    `size_bytes` is its length, line end included; `marked`: it begins with a byte-order mark;
    `quoted`: its titles, or that of the id column, stand in quotes.
    """

    layout: Layout
    size_bytes: int
    marked: bool
    quoted: bool


def inspect_head(
    head: bytes, *, complete: bool, id_titles: Iterable[str] = ID_TITLES, max_line_bytes: int = MAX_LINE_BYTES
) -> Fault | None:
    """Return the fault that a file's first `HEAD_BYTES` bytes show, or None: the answer to CLOSE.

    `complete` says that the head is the whole file. The reader finds the same fault in the same file.
    """
    found = read_header(head, complete=complete, id_titles=id_titles, max_line_bytes=max_line_bytes)
    return found if isinstance(found, Fault) else None


def read_header(head: bytes, *, complete: bool, id_titles: Iterable[str], max_line_bytes: int) -> Header | Fault | None:
    """Return the header or the fault of a file that begins with `head`; None if more of it is needed.

    The answer depends on the file alone, and not on how much of it is at hand: nothing is said before
    `SNIFF_BYTES` (or the `complete` file) are there, and NULs count in these and in the first line.
    """
    if len(head) < SNIFF_BYTES and not complete:
        return None
    line, line_end, _ = head.partition(b"\n")
    if found := sniff(head, window_bytes=max(SNIFF_BYTES, min(len(line), max_line_bytes))):
        return found
    if len(line) > max_line_bytes:
        return line_too_long(1, max_line_bytes)
    if not (line_end or complete):
        return None
    return _read_titles(line, len(line) + len(line_end), frozenset(map(_fold, id_titles)))


def line_too_long(number: int, max_line_bytes: int) -> Fault:
    """Return the fault of a line over the limit."""
    return fault(Code.LINE_TOO_LONG, f"Line {number:,} is longer than {max_line_bytes:,} bytes.")


def _read_titles(line: bytes, size_bytes: int, wanted: frozenset[str]) -> Header | Fault:
    """Return what the first line describes, or why it describes nothing."""
    text = line.removeprefix(BYTE_ORDER_MARK).strip()
    cells = split_enclosed(text)
    enclosed = cells != [] and all(map(is_quoted, cells))
    if not enclosed:
        cells = text.split(b",")
    titles = [_title(cell) for cell in cells]
    found = [index for index, title in enumerate(titles) if _fold(title) in wanted]
    if not found:
        return _why_no_id_column(text, titles, wanted)
    if len(found) > 1:
        places = ", ".join(str(index + 1) for index in found[:_SHOWN_TITLES])
        return fault(Code.NO_ID_COLUMN, f"More than one column is titled {_names(wanted)}: columns {places}.")
    return Header(
        layout=Layout(columns=len(cells), id_column=found[0], enclosed=enclosed),
        size_bytes=size_bytes,
        marked=line.startswith(BYTE_ORDER_MARK),
        quoted=is_quoted(cells[found[0]].strip()),
    )


def _why_no_id_column(text: bytes, titles: list[str], wanted: frozenset[str]) -> Fault:
    for delimiter, name in _OTHER_DELIMITERS.items():
        if any(_fold(_title(cell).strip("'")) in wanted for cell in text.split(delimiter)):
            return fault(Code.DELIMITER, f"The columns of the first line are divided by {name}.")
    for cell in map(bare, _ANY_DELIMITER.split(text)):
        if read_id(cell.strip(b"'")) is not None:
            return fault(Code.NO_HEADER, f"The first line holds an id, {harmless(cell)}, and no column titles.")
    found = f"No column is titled {_names(wanted)}; the first line's titles are: {_listed(titles)}."
    if not text:
        found = "The first line, which must hold the titles, is blank."
    elif [_fold(title) for title in titles] == _ONLY_RESPONSYS_ID:
        found = "The only column is RIID_: no field was selected for the export."
    elif any(_fold(title.strip("'")) in wanted for title in titles):
        return fault(Code.NO_ID_COLUMN, found, setting="Field enclosure: None")
    return fault(Code.NO_ID_COLUMN, found)


def _title(cell: bytes) -> str:
    return bare(cell).decode("utf-8", "replace")


def _fold(title: str) -> str:
    return unicodedata.normalize("NFC", title.strip()[:_TITLE_CHARACTERS]).casefold()


def _names(wanted: frozenset[str]) -> str:
    """Return the titles that the id column may have, that of the contract first and in its spelling."""
    others = sorted(wanted - ID_TITLES)
    return " or ".join([_CONTRACT_TITLE, *others] if wanted & ID_TITLES else others)


def _listed(titles: list[str]) -> str:
    shown = [f'"{harmless(title, limit=_SHOWN_TITLE_CHARACTERS)}"' for title in titles[:_SHOWN_TITLES]]
    more = [f"and {len(titles) - _SHOWN_TITLES:,} more"] if len(titles) > _SHOWN_TITLES else []
    return ", ".join(shown + more)
