"""What the store takes and gives: frozen records, and the JSON that scripts read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypedDict

from ctsftp.contract.codes import Notice
from ctsftp.contract.events import EventKind
from ctsftp.contract.freshness import Expectation
from ctsftp.contract.rows import Ids
from ctsftp.contract.states import State
from ctsftp.contract.timeline import Period

Clock = Callable[[], datetime]


def iso(moment: datetime) -> str:
    """Write a moment as the store keeps it: ISO 8601 in UTC with milliseconds and a Z.

    ValueError for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What is known of an upload when it was closed.

    `segment_title`, `segment_key` and `stamp` are None where the name could not be read.
    """

    id: str
    client: str
    filename: str
    segment_title: str | None
    segment_key: str | None
    stamp: str | None
    size: int
    received_at: datetime
    directory: str = "/"


class Facts(TypedDict, total=False):
    """What may be told about an upload along with its move; what is left out stays as it is.

    Only `code`, `reason` and `retry_at` belong to one state: left out, they are cleared.
    """

    code: str | None
    reason: str | None
    retry_at: datetime | None
    rows: int
    members: int
    duplicates: int
    rejected: int
    warnings: Sequence[Notice]
    sha256: str
    id_title: str | None
    approved: bool
    attempts: int
    deaths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A row of the ledger. Times are text (`iso`); counts are None until the file was read.

    `directory` is the folder that it was put into, None where it came before that was noted.

    `warnings` are as they were written: the ledger outlives the codes of its time.
    """

    id: str
    client: str
    filename: str
    segment_title: str | None
    segment_key: str | None
    stamp: str | None
    state: State
    code: str | None
    reason: str | None
    rows: int | None
    members: int | None
    duplicates: int | None
    rejected: int | None
    warnings: list[dict[str, str]]
    sha256: str | None
    size: int
    received_at: str
    finished_at: str | None
    approved: bool
    attempts: int
    deaths: int
    retry_at: str | None
    node: str | None = None
    id_title: str | None = None
    directory: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `upload list --json`, in their order."""
        return {
            "id": self.id,
            "client": self.client,
            "filename": self.filename,
            "segment": self.segment_title,
            "stamp": self.stamp,
            "state": self.state.value,
            "code": self.code,
            "reason": self.reason,
            "rows": self.rows,
            "members": self.members,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "warnings": self.warnings,
            "sha256": self.sha256,
            "size": self.size,
            "received_at": self.received_at,
            "finished_at": self.finished_at,
            "directory": self.directory,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment and its current snapshot: `stamp`, `upload_id` and the counts are the snapshot's.

    `newest_stamp` is the newest that was ever published. `entered` and `left` are what readers saw when
    it came, by a load or a rollback; None until that was counted, and where a rollback leapt over other lists.
    `heard_at` is the last CLOSE of a file that was loaded or was a duplicate: its job was alive then.
    """

    client: str
    key: str
    title: str
    members: int
    stamp: str
    loaded_at: str
    upload_id: str
    number: int
    entered: int | None
    left: int | None
    snapshot_id: int
    newest_stamp: str
    rolled_back: bool
    retired_at: str | None
    heard_at: str | None
    expect_every_s: int | None
    expect_grace_s: int | None
    overdue_since: str | None

    @property
    def overdue_at(self) -> datetime | None:
        """From when on it is overdue; None where no file is expected, or the segment is retired."""
        if self.expect_every_s is None or self.expect_grace_s is None or self.heard_at is None or self.retired_at:
            return None
        expectation = Expectation(self.expect_every_s, self.expect_grace_s)
        return expectation.overdue_at(datetime.fromisoformat(self.heard_at))

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `segment list --json`, in their order."""
        return {
            "client": self.client,
            "segment": self.title,
            "members": self.members,
            "stamp": self.stamp,
            "loaded_at": self.loaded_at,
            "upload_id": self.upload_id,
            "number": self.number,
            "entered": self.entered,
            "left": self.left,
            "retired": self.retired_at is not None,
            "rolled_back": self.rolled_back,
            "heard_at": self.heard_at,
            "expect_every_s": self.expect_every_s,
            "expect_grace_s": self.expect_grace_s,
            "overdue_at": iso(self.overdue_at) if self.overdue_at else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A published snapshot in a segment's history, and when it was what readers had.

    `entered` and `left` are counted against what readers had when it was loaded: number `counted_from`, None for the
    first list, and where that one is not kept. `previous` is what a rollback without a number makes current.
    """

    id: int
    number: int
    upload_id: str
    filename: str
    stamp: str
    members: int
    entered: int | None
    left: int | None
    counted_from: int | None = None
    published_at: str
    current: bool
    previous: bool = False
    periods: list[Period]

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `segment history --json`, in their order."""
        return {
            "number": self.number,
            "members": self.members,
            "entered": self.entered,
            "left": self.left,
            "stamp": self.stamp,
            "loaded_at": self.published_at,
            "upload_id": self.upload_id,
            "filename": self.filename,
            "current": self.current,
            "previous": self.previous,
            "counted_from": self.counted_from,
            "periods": [period.as_json() for period in self.periods],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class IfApproved:
    """What a held upload would change if it were approved now.

    `now` is how many members the segment has, None if there is none yet. `enter` and `leave` are None while they
    are counted, and where they cannot be.
    """

    now: int | None
    enter: int | None = None
    leave: int | None = None
    is_counting: bool = False

    def as_json(self) -> dict[str, int | None]:
        """Give the fields of `if_approved` in JSON, in their order."""
        return {"members_now": self.now, "enter": self.enter, "leave": self.leave}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Two snapshots of a segment, and the ids that are in one of them only, ascending."""

    old: Snapshot
    new: Snapshot
    entered: Ids
    left: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncounted:
    """A published snapshot whose `entered` and `left`, against the one before it, were not counted yet."""

    snapshot_id: int
    previous_id: int
    previous_members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a publishing ended: `number` is the snapshot's in its segment, None unless `state` is loaded.

    `uncounted` is the work that a publishing leaves behind, None if there is none.
    """

    state: State
    code: str | None = None
    reason: str | None = None
    number: int | None = None
    uncounted: Uncounted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """A client's last login and last refusal; all None where there was none. Times are text (`iso`)."""

    login_at: str | None = None
    login_address: str | None = None
    login_fingerprint: str | None = None
    login_algorithm: str | None = None
    refusal_at: str | None = None
    refusal_address: str | None = None
    refusal_fingerprint: str | None = None
    refusal_cause: str | None = None


class DeliveryState(StrEnum):
    """Where a delivery stands; a dead one was tried as often as is allowed, and waits for an admin."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `data` is what receivers are told, and `at` text (`iso`)."""

    id: int
    message_id: str
    kind: EventKind
    at: str
    client: str | None
    segment: str | None
    upload_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Who is told: a webhook, which signs with its `secret`, or people (None). `url` is for no eyes: show `shown`."""

    id: int
    url: str
    shown: str
    client: str | None
    events: list[str] | None
    secret: str | None
    created_at: str

    def as_json(self) -> dict[str, Any]:
        """Give what `hook list --json` shows: nothing that is secret."""
        return {
            "id": self.id,
            "kind": "webhook" if self.secret else "message",
            "address": self.shown,
            "client": self.client,
            "events": self.events,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event that a hook is to hear of; `attempts` are those that failed so far."""

    hook_id: int
    lane: str
    attempts: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of a delivery: delivered, or an error, and when to try again (None: never by itself)."""

    delivery: Delivery
    error: str | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Who may use the API; `client` is None for all clients. Times are text (`iso`)."""

    id: int
    name: str
    client: str | None
    admin: bool
    created_at: str
    expires_at: str | None
    last_used_at: str | None

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `token list --json`, in their order."""
        return {
            "name": self.name,
            "client": self.client,
            "scope": "admin" if self.admin else "read",
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "last_used_at": self.last_used_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An item, and the titles of the segments whose members may see it."""

    client: str
    kind: str
    item: str
    segments: list[str]
    set_at: str

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `gate list --json`, in their order."""
        return {
            "client": self.client,
            "kind": self.kind,
            "item": self.item,
            "segments": self.segments,
            "set_at": self.set_at,
        }
