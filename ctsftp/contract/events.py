"""Every kind of event, which of them break a segment and which bring it back, and the words for a manager.

Webhooks get every event that they ask for. People get a message when something breaks and one when it is
back: `hear` is that rule, for one who is told and one segment, and knows nothing of time or of a database.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ctsftp.contract.codes import PAGES, Code, harmless
from ctsftp.contract.counting import some
from ctsftp.contract.states import State

SHOWN_TITLE = 100
SHOWN_FILE = 255
SHOWN_REASON = 1_000


class EventKind(StrEnum):
    """What can happen; scripts and receivers know these names."""

    UPLOAD_LOADED = "upload.loaded"
    UPLOAD_REJECTED = "upload.rejected"
    UPLOAD_HELD = "upload.held"
    UPLOAD_SUPERSEDED = "upload.superseded"
    UPLOAD_FAILED = "upload.failed"
    UPLOAD_CUT_OFF = "upload.cut_off"
    UPLOAD_NOT_RENAMED = "upload.not_renamed"
    SEGMENT_OVERDUE = "segment.overdue"
    SEGMENT_BACK = "segment.back"
    KEY_EXPIRING = "key.expiring"
    DISK_LOW = "disk.low"


class DeliveryState(StrEnum):
    """Where a delivery stands; a dead one was tried as often as is allowed, and waits for an admin."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


OF_STATE = {
    State.LOADED: EventKind.UPLOAD_LOADED,
    State.REJECTED: EventKind.UPLOAD_REJECTED,
    State.HELD: EventKind.UPLOAD_HELD,
    State.SUPERSEDED: EventKind.UPLOAD_SUPERSEDED,
    State.FAILED: EventKind.UPLOAD_FAILED,
}
BREAKS = frozenset(
    {EventKind.UPLOAD_REJECTED, EventKind.UPLOAD_HELD, EventKind.UPLOAD_FAILED, EventKind.SEGMENT_OVERDUE}
)
OVER = frozenset({EventKind.UPLOAD_LOADED, EventKind.SEGMENT_BACK})
# Whoever finds these tells each of them once until it is over: there is nothing left to be quiet about.
TOLD_ONCE = frozenset({EventKind.UPLOAD_NOT_RENAMED, EventKind.KEY_EXPIRING, EventKind.DISK_LOW})


@dataclass(frozen=True, slots=True)
class Words:
    """A message to people: a line, and a few sentences that end with what to do."""

    title: str
    text: str


def reason_of(kind: EventKind, data: dict[str, Any]) -> str:
    """Tell what makes two troubles of a segment the same: kind, code, and whether it waits for a person."""
    return f"{kind}/{data.get('code') or ''}" + ("/waits" if data.get("waits") else "")


def hear(
    troubles: AbstractSet[str], kind: EventKind, reason: str, *, asked: Collection[EventKind] | None
) -> tuple[bool, frozenset[str]]:
    """Decide whether a person who was told of `troubles` is told of an event; give what is then in trouble.

    `asked` are the kinds that were asked for, None for all. A trouble is told once until the segment is back, and
    who was told of it is told that it is over. Who asks for no kind of trouble is told of all that was asked for.
    """
    wanted = asked is None or kind in asked
    if kind in BREAKS:
        return wanted and reason not in troubles, frozenset(troubles | {reason} if wanted else troubles)
    if kind in OVER:
        ended = {
            one for one in troubles if kind is EventKind.UPLOAD_LOADED or one.startswith(EventKind.SEGMENT_OVERDUE)
        }
        every_time = asked is not None and wanted and not BREAKS.intersection(asked)
        return bool(ended) or every_time, frozenset(troubles - ended)
    return wanted and (kind in TOLD_ONCE or asked is not None), frozenset(troubles)


def words_for(kind: EventKind, *, client: str | None, segment: str | None, data: dict[str, Any]) -> Words:
    """Write an event for a manager: what happened, to which list, and what to do; `data` is the event's own."""
    title = harmless(segment or "", limit=SHOWN_TITLE)
    file = harmless(str(data.get("filename") or ""), limit=SHOWN_FILE)
    shown = {key: _shown(key, value) for key, value in data.items()}
    names = {
        **dict.fromkeys(_FIELDS, "?"),
        **shown,
        "client": client or "?",
        "what": f'The list "{title}"' if segment else f'The file "{file}"',
        "list": f'the list "{title}" of {client}' if segment else f"the client {client}",
        "file": file,
        "others": f" So it went with {shown['others']} in a minute." if "others" in shown else "",
        "reason": harmless(str(data.get("reason") or ""), limit=SHOWN_REASON),
        "todo": _advice(kind, data).replace(" ID`", f" {shown.get('id', 'ID')}`"),
    }
    found = _WORDS[kind]
    return Words(found.title.format_map(names), " ".join(found.text.format_map(names).split()))


def _shown(key: str, value: object) -> str:
    """Write a value for people: thousands apart, and a moment (ISO 8601, UTC) to the minute."""
    if isinstance(value, int):
        return some(value, _COUNTED[key]) if key in _COUNTED else f"{value:,}"
    text = harmless(str(value), limit=SHOWN_FILE)
    return f"{text[:16].replace('T', ' ')} UTC" if key.endswith("_at") else text


def _advice(kind: EventKind, data: dict[str, Any]) -> str:
    """Say who does what, from the code's page."""
    if data.get("code") not in set(Code):
        return "see `ctsftp upload show ID`."
    page = PAGES[Code(data["code"])]
    if kind is EventKind.UPLOAD_FAILED:
        return (
            f"The file waits for the admin: {page.admin}"
            if data.get("waits")
            else "nothing, it is retried automatically."
        )
    if kind is EventKind.UPLOAD_HELD:
        return f"Sender: {page.sender} Then decide, as the admin: {page.admin}"
    return f"Sender: {page.sender} Admin: {page.admin}"


# What a number counts, in the words below.
_COUNTED = {"members": "member", "others": "other", "kept_bytes": "byte", "spare_bytes": "byte"}

_FIELDS = (
    "members",
    "every",
    "overdue_at",
    "heard_at",
    "kept_bytes",
    "fingerprint",
    "comment",
    "expires_at",
    "spare_bytes",
    "directory",
    "received_at",
)

_WORDS: dict[EventKind, Words] = {
    EventKind.UPLOAD_LOADED: Words(
        "{what} is up to date",
        "A new file for {list} was loaded: {file}, with {members}. There is nothing to do.",
    ),
    EventKind.UPLOAD_REJECTED: Words(
        "{what} was not updated: its file was refused",
        "A file for {list} breaks the rules and was refused: {file}. The list before it is still in use."
        " {reason} What to do: {todo}",
    ),
    EventKind.UPLOAD_HELD: Words(
        "{what} was not updated: its file waits for a decision",
        "A file for {list} is complete, but applying it could do harm, so it is held: {file}. The list before it is"
        " still in use. {reason} What to do: {todo}",
    ),
    EventKind.UPLOAD_SUPERSEDED: Words(
        "An older file for {list} was put aside",
        "The file {file} for {list} is older than a list that was used before, and was not used. There is nothing to"
        " do.",
    ),
    EventKind.UPLOAD_FAILED: Words(
        "{what} was not updated: the server had a fault",
        "A file for {list} is safe, but the server could not load it yet: {file}. The file is not at fault."
        " {reason} What to do: {todo}",
    ),
    EventKind.UPLOAD_CUT_OFF: Words(
        "A file from {client} did not arrive whole",
        "The connection broke while a file for {list} was sent: {file}.{others} What arrived of it, {kept_bytes}, can"
        " be resumed; nothing was changed. What to do: if the job does not send it again by itself,"
        " run the job again.",
    ),
    EventKind.UPLOAD_NOT_RENAMED: Words(
        "A file from {client} has a temporary name still",
        "The file {file} came at {received_at} into the folder {directory} of {client}. It would be a list, but its"
        " name or its folder is a temporary one, and it was not renamed within an hour: it is not used. What to do, as"
        " the sender: rename it, or put it into / under its final name. As the admin, if the folder is the final one:"
        " name it in client.toml (directories).",
    ),
    EventKind.SEGMENT_OVERDUE: Words(
        "{what} is overdue",
        "No new file for {list} came in time: one is expected every {every}, the last one came at {heard_at}, and"
        " the time was up at {overdue_at}. The old list is still in use. What to do: open the Connect job in"
        " Responsys, and check its end date (jobs expire silently), its schedule and its last run. A job may start up"
        " to 15 minutes late: that is no reason to worry.",
    ),
    EventKind.SEGMENT_BACK: Words(
        "{what} is no longer overdue",
        "A file for {list} has come again: {file}. There is nothing to do.",
    ),
    EventKind.KEY_EXPIRING: Words(
        "A key of {client} is about to expire",
        "After {expires_at} the client {client} can no longer sign in with the key {fingerprint} ({comment}), and"
        " its files will stop. What to do: ask the sender for a new public key and add it with `ctsftp key add"
        " {client} FILE`, or extend the old one.",
    ),
    EventKind.DISK_LOW: Words(
        "The server's disk is nearly full",
        "Uploads may take only {spare_bytes} more of the disk; when none is left, every file is refused."
        " What to do: free or add disk space.",
    ),
}
