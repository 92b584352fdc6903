"""What the store takes and gives: frozen records, and the JSON that scripts read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

from ctsftp.contract.codes import Notice
from ctsftp.contract.rows import Ids
from ctsftp.contract.states import State

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
    sha256: str | None = None


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
    approved: bool
    attempts: int
    deaths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A row of the ledger. Times are text (`iso`); counts are None until the file was read.

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
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment and its current snapshot: `stamp`, `upload_id` and the counts are the snapshot's.

    `newest_stamp` is the newest that was ever published. `entered` and `left` are None until they were counted.
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
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A published snapshot in a segment's history."""

    id: int
    number: int
    upload_id: str
    filename: str
    stamp: str
    members: int
    entered: int | None
    left: int | None
    published_at: str
    current: bool


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
