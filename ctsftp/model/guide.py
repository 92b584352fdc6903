"""The two texts that stand first in a client's receipts: an index of its files, and how to name and export them."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypedDict

from ctsftp.contract.codes import PAGES, Code, advised_setting, harmless
from ctsftp.contract.counting import some
from ctsftp.contract.places import Places
from ctsftp.contract.states import State
from ctsftp.model.receipt import MAX_NAME_BYTES, TEXT_WIDTH, Receipt
from ctsftp.model.timeline import StepKind, say_end
from ctsftp.model.twins import Twin

_CONNECTION = ("host", "port", "directory", "username", "authentication")  # of the sheet
INDEX_NAME = "00_INDEX.txt"
README_NAME = "00_README.txt"
DETAILS_NAME = "details"

_LABEL_WIDTH = 24  # "Encryption/Compression" and two blanks
_TITLES = ("TIME (UTC)", "FILE", "STATE", "MEMBERS", "WHAT TO CHANGE")
_NOTHING = "nothing"
_TO_DO = {
    State.RECEIVED: "nothing yet: look again in a minute",
    State.LOADING: "nothing yet: look again in a minute",
    State.SUPERSEDED: "nothing: a newer list was used instead",
    State.FAILED: "nothing: the fault is the server's, and the file is safe",
    State.RETIRED: "the name, if it is wrong: the segment took no files when it came",
    State.DISCARDED: "nothing: the server's admin decided not to use it",
}
_RIGHT = "nothing, if the list is right"
_HELD: dict[str, str] = {
    Code.FUTURE: "the date in the name, if it is wrong",
    Code.UNFINISHED: "nothing, if the file is whole; else run the job again",
    Code.FOOTER: "the last row, if it is a count of the rows",
    Code.ID_TITLE: "the title of the id column, if it has CTUserIDs: CTUserID",
    Code.EMPTY: "nothing, if the segment should be empty",
    Code.SHRUNK: "nothing, if the audience is that small",
}
# Of a list that was used with a warning that names no setting.
_CHECK: dict[str, str] = {
    Code.NO_LAST_NEWLINE: "nothing, if the export ran to its end: the last line has no line break",
    Code.MOSTLY_CHANGED: "nothing, if most members really changed",
    Code.ID_TITLE: "the title of the id column: CTUserID",
    Code.DIRECTORY: "Directory: /",
}
_KINDS = {
    "rejected": "Refused: the list was not used, and the one before it is still in use.",
    "held": "Held: the list is safe, and waits for the server's admin. The one before it is still in use.",
    "warning": "Warnings: the list was used.",
}


class HostKeyOut(TypedDict):
    """A host key, as the connection sheet shows it."""

    type: str
    fingerprint: str


class SheetOut(TypedDict):
    """A client's connection sheet: what its sender types into Responsys' form, and how its last logins went."""

    host: str
    host_is_guessed: bool
    port: int
    directory: str
    username: str
    authentication: str
    host_keys: list[HostKeyOut]
    file: dict[str, str]
    logins: dict[str, str | None]
    refusal_says: str


class ConnectionSheetOut(SheetOut):
    """The sheet, and whether the running server refuses the address that the client signs in from, "" if not."""

    refused_now: str


def render_index(receipts: Iterable[Receipt]) -> bytes:
    """Return a line for each upload, newest first: time, file, state, members, and what to change.

    A file with a temporary name has none once its list came: that has one of its own.
    """
    lines = [_TITLES, *_lines(receipts)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_TITLES) - 1)]
    shown = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in lines
    ]
    about = f"Your newest files, the newest first. FILE.txt beside this says more about each; see {README_NAME}."
    return "\n".join([about, "", *shown]).encode(errors="replace") + b"\n"


def to_change(receipt: Receipt, *, is_followed: bool = False) -> str:
    """Return what the sender of a file is to change, in a few words.

    `is_followed`: a file that came later was loaded, so that nobody asks any more why this one is not in use.
    """
    match receipt.state:
        case _ if is_followed and _no_longer(receipt.twin or receipt):
            change = "nothing: a later file was loaded"
        case State.REJECTED:
            change = advised_setting(receipt.reason, receipt.code) or _sender(receipt.code)
        case State.HELD:
            change = f"{_HELD.get(receipt.code or '', _RIGHT)}: it waits for the server's admin"
        case State.DUPLICATE:
            change = _to_change_of_duplicate(receipt.twin)
        case State.IGNORED:
            is_unfinished = Places().unfinished(_place(receipt))
            change = (
                "the name or folder, if it is a list: this one is temporary" if is_unfinished else "nothing: no list"
            )
        case State.LOADED:
            change = _to_change_of_loaded(receipt)
        case _:
            change = _TO_DO[receipt.state]
    return change


def render_readme(sheet: SheetOut, directories: Sequence[str] = ()) -> bytes:
    """Return what a sender needs to know: names, the form's settings, the connection sheet and the codes.

    `sheet` is the connection sheet of the client, and `directories` are the folders that its lists are taken in,
    beside `/`.
    """
    return "\n".join(_readme(sheet, directories)).encode(errors="replace") + b"\n"


def _lines(receipts: Iterable[Receipt]) -> Iterator[tuple[str, ...]]:
    came: set[tuple[str | None, str | None]] = set()
    loaded: set[str | None] = set()
    for receipt in receipts:
        list_to_be = Places().unfinished(_place(receipt)) if receipt.state is State.IGNORED else None
        if list_to_be is None or (list_to_be.key, list_to_be.stamp) not in came:
            yield _line(receipt, to_change(receipt, is_followed=receipt.segment_key in loaded))
        came.add((receipt.segment_key, receipt.stamp))
        if receipt.state is State.LOADED:
            loaded.add(receipt.segment_key)


def _line(receipt: Receipt, change: str) -> tuple[str, ...]:
    state = f"{receipt.state} ({receipt.code})" if receipt.code else receipt.state.value
    members = f"{receipt.members:,}" if receipt.members is not None and receipt.state is not State.REJECTED else ""
    file = harmless(_place(receipt).removeprefix("/"), limit=2 * MAX_NAME_BYTES)
    return receipt.received_at[:16].replace("T", " "), file, state, members, harmless(change, limit=500)


def _place(receipt: Receipt) -> str:
    return f"{(receipt.directory or '/').rstrip('/')}/{receipt.filename}"


def _to_change_of_duplicate(twin: Twin | None) -> str:
    if twin and twin.state is State.HELD:
        command = f"ctsftp upload approve {twin.id}"
        return f"nothing: the same list is held already, and waits for the server's admin ({command})"
    if twin and twin.is_current:
        return "nothing: the same list is in use"
    return (_no_longer(twin) if twin else "") or "nothing: the same file came before"


def _no_longer(upload: Receipt | Twin) -> str:
    """Say of a list that was in use, and is not because an admin decided so, since when; "" of any other."""
    if upload.state is not State.LOADED:
        return ""
    if not upload.periods:
        return "ask the server's admin: the segment was deleted"
    if upload.periods[-1].ended_by not in {StepKind.ROLLED_BACK, StepKind.RETIRED}:
        return ""
    return f"ask the server's admin: the list was in use {say_end(upload.periods)}"


def _to_change_of_loaded(receipt: Receipt) -> str:
    if ended := _no_longer(receipt):
        return ended
    settings = [
        advised_setting(one.get("text"), None) or _CHECK.get(one.get("code", ""), "") for one in receipt.warnings
    ]
    changes = [setting for setting in dict.fromkeys(settings) if setting]
    if receipt.rejected and receipt.rows:
        changes.append(f"{receipt.rejected:,} of {some(receipt.rows, 'row')}, rejected: see its receipt")
    return "; ".join(changes) or _NOTHING


def _sender(code: str | None) -> str:
    return PAGES[Code(code)].sender.rstrip(".") if code in set(Code) else "see its receipt"


def _readme(sheet: SheetOut, directories: Sequence[str]) -> Iterator[str]:
    yield from _section("What is here")
    yield from _wrapped(
        f"{INDEX_NAME} has a line for each of your newest files: what became of it, and what to change. FILE.txt says"
        f" more of each. {DETAILS_NAME}/ has the same as JSON, and the rows that were rejected, as CSV. Nothing here"
        " can be changed."
    )
    yield from _section("How to name a file")
    yield from _wrapped(
        "VIP_Members_20261123_0900.csv: the name of the segment, spelled the same every time, then date and time, then"
        " .csv. The name is the segment: another name makes another segment. Each file holds the whole list, and"
        " replaces the one before; a file with an older date and time than the newest is not used."
    )
    folders = ", ".join(["/", *(harmless(one) for one in directories if one != "/")])
    yield from _wrapped(
        f"Put lists into: {folders}. In any other folder a list is refused. A program that uploads under a temporary"
        " name (tmp.NAME, .NAME, NAME.part) or into a folder called tmp renames the file when it is complete: until"
        " then it is not used."
    )
    yield from _section("What to choose in the Connect job's form")
    yield from _facts({**sheet["file"], "Select Object": "a data source with one column titled CTUserID"})
    yield from _section("Connection")
    yield from _facts({label.capitalize(): str(value) for label, value in sheet.items() if label in _CONNECTION})
    for key in sheet["host_keys"]:
        yield from _facts({"Host key": f"{key['type']} {key['fingerprint']}"})
    for kind, about in _KINDS.items():
        yield from _section(about)
        for code, page in PAGES.items():
            if page.kind == kind:
                setting = f" Set {page.setting}." if page.setting and kind != "held" else ""
                yield from _facts({code.value: f"{page.meaning}{setting}"})


def _section(title: str) -> Iterator[str]:
    yield from ("", title, "-" * min(len(title), TEXT_WIDTH), "")


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)
    yield ""


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    for label, value in facts.items():
        yield from textwrap.wrap(
            value,
            TEXT_WIDTH,
            initial_indent=f"{label:<{_LABEL_WIDTH}}",
            subsequent_indent=" " * _LABEL_WIDTH,
            break_long_words=False,
            break_on_hyphens=False,
        )
