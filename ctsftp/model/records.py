"""The records that the store gives, and their JSON, which scripts, the API and the control socket read.

Each record that is shown has a shape beside it, a `TypedDict` that ends in `Out`: its keys, in their order, are the
fields of the JSON. `write` takes each from the record's attribute of that name. The API's document is made of the
shapes, too: a field stands in the record and in its shape, and nowhere else.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on

from ctsftp.contract import codes
from ctsftp.contract.events import EventKind
from ctsftp.contract.freshness import Expectation
from ctsftp.contract.states import State
from ctsftp.model.timeline import Period, PeriodOut, is_current
from ctsftp.model.twins import Twin
from ctsftp.model.writing import Says, write

if TYPE_CHECKING:
    from ctsftp.contract.rows import Ids

Clock = Callable[[], datetime]


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


class Findings(TypedDict, total=False):
    """What the reading of a file finds; an upload that is to be read again has none of it."""

    rows: int
    members: int
    duplicates: int
    rejected: int
    warnings: Sequence[codes.Notice]
    id_title: str | None


class Facts(Findings, total=False):
    """What may be told about an upload along with its move; what is left out stays as it is.

    Only `code`, `reason` and `retry_at` belong to one state: left out, they are cleared.
    """

    code: str | None
    reason: str | None
    retry_at: datetime | None
    sha256: str
    approved: bool
    attempts: int
    deaths: int


class Notice(TypedDict):
    """A warning on an upload."""

    code: str
    text: str


def warnings_out(notices: Iterable[codes.Notice]) -> list[Notice]:
    """Write warnings as the ledger keeps them."""
    return [{"code": notice.code.value, "text": notice.text} for notice in notices]


class UploadOut(TypedDict):
    """A row of the ledger: a file, and what became of it."""

    id: str
    client: str
    filename: str
    segment: Annotated[str | None, Says("null where the name could not be read")]
    stamp: str | None
    state: State
    code: str | None
    reason: str | None
    rows: int | None
    members: int | None
    duplicates: int | None
    rejected: int | None
    warnings: list[Notice]
    sha256: str | None
    size: int
    received_at: Annotated[str, Says("the CLOSE")]
    finished_at: Annotated[str | None, Says("null while held")]
    directory: Annotated[str | None, Says("the folder it was put into; null where that was not noted yet")]
    id_title: Annotated[str | None, Says("the title of the column that its ids were read from; null where none was")]


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
    code: str | None = None
    reason: str | None = None
    rows: int | None = None
    members: int | None = None
    duplicates: int | None = None
    rejected: int | None = None
    warnings: list[Notice] = field(default_factory=list)
    sha256: str | None = None
    size: int
    received_at: str
    finished_at: str | None = None
    approved: bool = False
    attempts: int = 0
    deaths: int = 0
    retry_at: str | None = None
    node: str | None = None
    id_title: str | None = None
    directory: str | None = None

    @property
    def segment(self) -> str | None:
        """The title of its segment."""
        return self.segment_title

    def as_json(self) -> UploadOut:
        """Give the fields of `upload list --json`."""
        return write(UploadOut, self)


class RejectedOut(TypedDict):
    """A rejected row."""

    line: Annotated[int, Says("physical, the header is line 1")]
    value: str
    reason: str


_SEEN = "when readers got this list; null until it is counted, and after a rollback over several lists"


class SegmentOut(TypedDict):
    """A segment and its current snapshot."""

    client: str
    segment: str
    members: Annotated[int, Says("of its list; of a retired segment nobody is a member until it is restored")]
    stamp: str
    loaded_at: str
    upload_id: str
    number: Annotated[int, Says("of the snapshot in its segment")]
    entered: Annotated[int | None, Says(_SEEN)]
    left: Annotated[int | None, Says(_SEEN)]
    retired: bool
    rolled_back: Annotated[bool, Says("uploads are held until one is approved")]
    heard_at: Annotated[str | None, Says("the last CLOSE of a file that was loaded, or was a duplicate")]
    expect_every_s: Annotated[int | None, Says("how often a file is expected; null where none is")]
    expect_grace_s: Annotated[int | None, Says("how late it may be")]
    overdue_at: Annotated[str | None, Says("from when on the segment is overdue; null where no file is expected")]


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
    def segment(self) -> str:
        """Its title."""
        return self.title

    @property
    def retired(self) -> bool:
        """Whether it is out of use."""
        return self.retired_at is not None

    @property
    def overdue_at(self) -> datetime | None:
        """From when on it is overdue; None where no file is expected, or the segment is retired."""
        if self.expect_every_s is None or self.expect_grace_s is None or self.heard_at is None or self.retired_at:
            return None
        expectation = Expectation(self.expect_every_s, self.expect_grace_s)
        return expectation.overdue_at(datetime.fromisoformat(self.heard_at))

    def as_json(self) -> SegmentOut:
        """Give the fields of `segment list --json`."""
        return write(SegmentOut, self)


class SnapshotOut(TypedDict):
    """A snapshot that is kept."""

    number: int
    members: int
    entered: int | None
    left: int | None
    stamp: str
    loaded_at: str
    upload_id: str
    filename: str
    current: Annotated[bool, Says("what readers have; of a retired segment, what they have again once it is restored")]
    previous: Annotated[bool, Says("what readers had before: a rollback without a number makes it current")]
    counted_from: Annotated[int | None, Says("the number of what `entered` and `left` are counted against")]
    periods: Annotated[list[PeriodOut], Says("when readers had it, old to new")]


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

    @property
    def loaded_at(self) -> str:
        """The moment of its publishing."""
        return self.published_at

    def as_json(self) -> SnapshotOut:
        """Give the fields of `segment history --json`."""
        return write(SnapshotOut, self)


class IfApprovedOut(TypedDict):
    """What a held upload would change if it were approved now."""

    members_now: Annotated[int | None, Says("null if there is no segment yet")]
    enter: Annotated[int | None, Says("null while it is counted, or cannot be at this node")]
    leave: Annotated[int | None, Says("null while it is counted, or cannot be at this node")]
    retired: Annotated[bool, Says("the segment takes no files until it is restored: nothing can be approved")]


@dataclass(frozen=True, slots=True, kw_only=True)
class IfApproved:
    """What a held upload would change if it were approved now.

    `now` is how many members the segment has, None if there is none yet. `enter` and `leave` are None while they
    are counted, and where they cannot be. Of a segment that is `retired` nothing can be approved.
    """

    now: int | None
    enter: int | None = None
    leave: int | None = None
    is_counting: bool = False
    retired: bool = False

    @property
    def members_now(self) -> int | None:
        """The same as `now`."""
        return self.now

    def as_json(self) -> IfApprovedOut:
        """Give the fields of `if_approved`."""
        return write(IfApprovedOut, self)


class _Standing(TypedDict):
    current: Annotated[bool, Says("whether its list was applied")]
    periods: Annotated[list[PeriodOut], Says("when readers had its list, old to new")]
    if_approved: Annotated[IfApprovedOut | None, Says("null unless it is held")]
    duplicate_of: Annotated[str | None, Says("the upload that a duplicate is the same as; null for any other")]


class UploadDetail(UploadOut, _Standing):
    """An upload, and what it has to do with what readers have now."""


class UploadStory(TypedDict):
    """An upload, and in a sentence or two what became of its list; None where it made none."""

    upload: UploadDetail
    list: str | None


def detail(
    upload: Upload, periods: Sequence[Period], approved: IfApproved | None, twin: Twin | None = None
) -> UploadDetail:
    """Tell of an upload, with when readers had its list, what it would change, and what it is the same as."""
    return {
        **upload.as_json(),
        "current": is_current(periods),
        "periods": [period.as_json() for period in periods],
        "if_approved": approved.as_json() if approved else None,
        "duplicate_of": twin.id if twin else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Two snapshots of a segment, and the ids that are in one of them only, ascending."""

    old: Snapshot
    new: Snapshot
    entered: "Ids"
    left: "Ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a publishing ended: `number` is the snapshot's in its segment, and who came and went is counted.

    These are None unless `state` is loaded. Where rows of the list before are left, it is not tidy: `RowSets.tidy`.
    """

    state: State
    code: str | None = None
    reason: str | None = None
    number: int | None = None
    entered: int | None = None
    left: int | None = None
    is_tidy: bool = True


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


class DeliveryOut(TypedDict):
    """A delivery, as `hook deliveries --json` tells it."""

    hook: int
    address: str
    event: int
    message_id: str
    kind: str
    at: str
    client: str | None
    segment: str | None
    upload_id: str | None
    state: str
    attempts: int
    next_at: str | None
    done_at: str | None
    last_error: str | None


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


class HookOut(TypedDict):
    """Who is told: nothing of it is secret."""

    id: int
    kind: Literal["webhook", "message"]
    address: str
    client: str | None
    events: list[str] | None
    created_at: str


class HookBacklog(HookOut):
    """A hook, and how much waits for it, and was given up."""

    pending: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Who is told: a webhook, which signs with its `secret`, or people (None). `url` is for no eyes: show `address`."""

    id: int
    url: str
    shown: str
    client: str | None
    events: list[str] | None
    secret: str | None
    created_at: str

    @property
    def kind(self) -> Literal["webhook", "message"]:
        """Whether it is a program or people that are told."""
        return "webhook" if self.secret else "message"

    @property
    def address(self) -> str:
        """Its address without what is secret in it."""
        return self.shown

    def as_json(self) -> HookOut:
        """Give the fields of `hook list --json`."""
        return write(HookOut, self)


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


class TokenOut(TypedDict):
    """Who may use the API, as `token list --json` tells it."""

    name: str
    client: str | None
    scope: Literal["admin", "read"]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


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

    @property
    def scope(self) -> Literal["admin", "read"]:
        """What it may do."""
        return "admin" if self.admin else "read"

    def as_json(self) -> TokenOut:
        """Give the fields of `token list --json`."""
        return write(TokenOut, self)


class GateOut(TypedDict):
    """An item, and the segments whose members may see it."""

    client: str
    kind: str
    item: str
    segments: list[str]
    set_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An item, and the titles of the segments whose members may see it."""

    client: str
    kind: str
    item: str
    segments: list[str]
    set_at: str

    def as_json(self) -> GateOut:
        """Give the fields of `gate list --json`."""
        return write(GateOut, self)
