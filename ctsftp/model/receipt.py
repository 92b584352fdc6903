"""The receipt of an upload: what its sender is told became of it, as text, as JSON, and its rejected rows as CSV.

Nothing is stored: a receipt is rendered from what the ledger holds when somebody looks. The newest upload of
a file name answers to that name, so that whoever put `X.csv` knows what to ask for: `X.csv.txt`. Every upload,
also an older one of the same name, answers to the name with its id: `X.csv.<upload id>.txt`.
"""

import csv
import io
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from ctsftp.contract.codes import PAGES, Code, advised_setting, harmless
from ctsftp.contract.counting import some
from ctsftp.contract.ids import is_upload_id
from ctsftp.contract.reasons import KEPT_REJECTED, RejectedRow
from ctsftp.contract.states import State
from ctsftp.model.records import Upload
from ctsftp.model.timeline import Period, is_current, say_when_current
from ctsftp.model.twins import Twin, say_twin, say_waits
from ctsftp.model.writing import write

MAX_NAME_BYTES = 255  # of a file, on the disk of whoever fetches the receipt
TEXT_WIDTH = 100
LABEL_WIDTH = 12
_SHOWN_FOLDER_CHARACTERS = 2_000

# What a cell may not begin with, since a spreadsheet would take it for a formula, unless it is a number. Where a list's
# separator is `;`, or a tab, a cell begins behind each of them; blanks and quotes in front are no obstacle, and the
# full-width forms of East Asian keyboards are formulas too.
_FORMULA = re.compile(
    r"(?P<begin>\A|[;,|\t\r\n])(?P<blank>[\s\"']*)(?=[=@＝＠]|[+\-＋－](?![0-9][0-9.,]*(?:\Z|[;|\t\r\n])))"
)


class _Changes(TypedDict):
    """What a receipt tells behind the count of rejected rows."""

    rejected: int | None
    entered: int | None
    left: int | None
    id_title: str | None


class _Now(TypedDict):
    """What a receipt tells last."""

    directory: str | None
    current: bool
    duplicate_of: str | None


class Kind(StrEnum):
    """The forms of a receipt; the value is how its name ends."""

    TEXT = ".txt"
    JSON = ".json"
    REJECTED = ".rejected.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Upload):
    """An upload as its sender is told of it, with who entered and who left by it.

    `entered` and `left` are None where the upload made no list, where they were not counted yet, and once its list
    is no longer kept. `periods` are when readers had its list, and `twin` is what a duplicate is the same as: both as
    they are when it is read.
    """

    entered: int | None = None
    left: int | None = None
    periods: Sequence[Period] = ()
    twin: Twin | None = None

    @property
    def changed_at(self) -> str:
        """When what it says changed last, as far as that was noted."""
        ended = [at for one in (self.periods, self.twin.periods if self.twin else ()) for at in _times(one)]
        return max([self.finished_at or self.received_at, *ended])

    @property
    def current(self) -> bool:
        """Whether its list was applied."""
        return is_current(self.periods)

    @property
    def duplicate_of(self) -> str | None:
        """The id of the upload that it is the same as."""
        return self.twin.id if self.twin else None

    @property
    def is_on_its_way(self) -> bool:
        """Whether the server is about to decide about it."""
        return self.state in {State.RECEIVED, State.LOADING}

    @property
    def kinds(self) -> list[Kind]:
        """The forms that there are: rejected rows only where there are some."""
        return [Kind.TEXT, Kind.JSON, *([Kind.REJECTED] if self.rejected else [])]

    def name(self, kind: Kind, *, newest: bool) -> str:
        """Return the name of one form; one that is too long for a disk is cut, and then always has the id."""
        if newest and len((self.filename + kind).encode()) <= MAX_NAME_BYTES:
            return self.filename + kind
        rest = f".{self.id}{kind}"
        return self.filename.encode()[: MAX_NAME_BYTES - len(rest)].decode(errors="ignore") + rest


_MEANS = {
    State.RECEIVED: "It arrived completely, and waits to be loaded. Look again in a minute.",
    State.LOADING: "It is being loaded. Look again in a minute.",
    State.SUPERSEDED: "It was not applied: a newer file of this segment was.",
    State.REJECTED: "It was not applied.",
    State.FAILED: "The fault is the server's. The file is safe: do not send it again.",
    State.RETIRED: "It was not applied: the segment was retired when it came.",
    State.DISCARDED: "It was not applied: the server's admin discarded it.",
    State.IGNORED: "The name does not look like a segment file, so it was stored but not loaded.",
}


def say_what_became(receipt: Receipt) -> str:
    """Say what an upload means for its segment, as it is now."""
    match receipt.state:
        case State.LOADED:
            return say_when_current(receipt.periods)
        case State.DUPLICATE:
            return say_twin(receipt.twin)
        case State.HELD:
            return f"It is safe, changed nothing so far, and {say_waits(receipt.id)}"
        case _:
            return _MEANS[receipt.state]


def read_receipt_name(name: str) -> tuple[str, str | None, Kind] | None:
    """Return what a name asks for: a file name, an upload's id if it has one, and the form; None if it is no receipt's.

    Of `X.csv.<id>.txt` the file name is `X.csv`, which may have been cut.
    """
    kind = next((kind for kind in Kind if name.endswith(kind) and name != kind), None)
    if kind is None:
        return None
    stem = name.removesuffix(kind)
    filename, _, upload_id = stem.rpartition(".")
    return (filename, upload_id, kind) if is_upload_id(upload_id) else (stem, None, kind)


def render_json(receipt: Receipt) -> bytes:
    """Return a receipt for scripts: the fields of the ledger, and what they mean; ASCII, with escapes."""
    setting = advised_setting(receipt.reason, receipt.code) or None
    more = {
        "client": {},
        "reason": {"reason": _reason(receipt), "setting": setting, "next": say_what_became(receipt)},
        "rejected": write(_Changes, receipt),
        "directory": write(_Now, receipt),
    }
    fields: dict[str, object] = {}
    for name, value in receipt.as_json().items():
        fields |= more.get(name, {name: value})
    return json.dumps(fields, indent=2).encode() + b"\n"


def render_text(receipt: Receipt) -> bytes:
    """Return a receipt for people: UTF-8, one fact a paragraph, nothing in it moves a terminal's cursor."""
    lines = [f"Receipt for {harmless(receipt.filename, limit=MAX_NAME_BYTES)}", ""]
    for label, value in _facts(receipt):
        if value:
            lines += textwrap.wrap(
                value,
                TEXT_WIDTH,
                initial_indent=f"{label:<{LABEL_WIDTH}}",
                subsequent_indent=" " * LABEL_WIDTH,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines).encode(errors="replace") + b"\n"


def render_rejected(rows: Iterable[RejectedRow]) -> bytes:
    """Return rejected rows as CSV (RFC 4180) that a spreadsheet may open: what looks like a formula gets a `'`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("line", "value", "reason"))
    writer.writerows((row.line, _no_formula(row.value), row.reason) for row in rows)
    return text.getvalue().encode(errors="replace")


def _facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    yield "State", f"{receipt.state} ({receipt.code})" if receipt.code else receipt.state
    yield "", say_what_became(receipt)
    if receipt.state is not State.DUPLICATE:  # the ledger knows how it was, and that was just said as it is
        yield "Reason", _shown(_reason(receipt))
    yield "To change", harmless(advised_setting(receipt.reason, receipt.code), limit=MAX_NAME_BYTES)
    if receipt.code in set(Code):
        yield "Meaning", PAGES[Code(receipt.code)].meaning
    for warning in receipt.warnings:
        yield "Warning", _shown(f"{warning.get('text', '')} ({warning.get('code', '')})")
    yield "Folder", harmless(receipt.directory or "", limit=_SHOWN_FOLDER_CHARACTERS)
    yield "Segment", harmless(receipt.segment or "", limit=MAX_NAME_BYTES)
    yield "Stamp", receipt.stamp or ""
    yield "Rows", _counts(receipt)
    yield "Members", _changes(receipt)
    yield "Ids from", f"the column titled {harmless(receipt.id_title)}" if receipt.id_title else ""
    if receipt.rejected:
        first = f"the first {KEPT_REJECTED:,} of them" if receipt.rejected > KEPT_REJECTED else "they"
        yield "Rejected", f"{receipt.rejected:,}: {first} are in details/, in the file that ends in {Kind.REJECTED}"
    yield "Size", some(receipt.size, "byte")
    yield "SHA-256", receipt.sha256 or ""
    yield "Received", receipt.received_at
    yield "Finished", receipt.finished_at or ""
    yield "Upload", receipt.id


def _reason(receipt: Receipt) -> str | None:
    """Return the reason for the sender; that of a fault of ours is for the admin, who alone can do something."""
    return None if receipt.state is State.FAILED else receipt.reason


def _times(periods: Sequence[Period]) -> Iterator[str]:
    for period in periods:
        yield period.until or period.since


def _counts(receipt: Receipt) -> str:
    if receipt.rows is None or (receipt.rows == 0 and receipt.state is State.REJECTED):
        return ""  # it was not read that far
    return (
        f"{receipt.rows:,} = {some(receipt.members or 0, 'member')} + {some(receipt.duplicates or 0, 'duplicate')}"
        f" + {receipt.rejected:,} rejected"
    )


def _changes(receipt: Receipt) -> str:
    if receipt.entered is None or receipt.left is None:
        return ""
    return f"{receipt.entered:,} entered, {receipt.left:,} left"


def _shown(text: str | None) -> str:
    """Write a text of the ledger in one line; reasons are harmless when they are made, old ledgers may not be."""
    return harmless(text or "", limit=2_000)


def _no_formula(value: str) -> str:
    shown = _FORMULA.sub(r"\g<begin>'\g<blank>", value)
    return f"'{shown}" if shown[:1] in {"\t", "\r"} else shown
