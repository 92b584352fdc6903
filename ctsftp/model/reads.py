"""What a command may ask to see, by its name on the control socket: each is answered with rows of a shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from ctsftp.model import wire

if TYPE_CHECKING:  # a command that asks needs no records: it prints what it is answered
    from ctsftp.model import records  # noqa: F401  within the quotes below

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True)
class Read(Generic[Row_co]):
    """A question that changes nothing; the answer is rows."""

    wire: ClassVar[str]


@dataclass(frozen=True)
class ListSegments(Read["records.SegmentOut"]):
    """The segments by client and title: of one client, or all."""

    wire = "segment.list"
    client: str | None


@dataclass(frozen=True)
class ShowSegment(Read["records.SegmentOut"]):
    """The one segment of a name, as a person writes it."""

    wire = "segment.show"
    name: str
    client: str | None


@dataclass(frozen=True)
class ListSnapshots(Read["records.SnapshotOut"]):
    """The snapshots of such a segment that are kept, newest first."""

    wire = "segment.history"
    name: str
    client: str | None


@dataclass(frozen=True)
class ListMemberSegments(Read["records.SegmentOut"]):
    """The segments that a member is in."""

    wire = "member.segments"
    ct_user_id: int


@dataclass(frozen=True)
class ListUploads(Read["records.UploadOut"]):
    """The uploads, newest first, at most `limit` of them."""

    wire = "upload.list"
    client: str | None
    state: str | None
    segment_key: str | None
    limit: int | None


@dataclass(frozen=True)
class FindUpload(Read["records.UploadOut"]):
    """The upload that a person means by an id, the beginning of one, or a file's name, or by its segment's name."""

    wire = "upload.find"
    given: str | None
    segment: str | None
    client: str | None
    states: tuple[str, ...]


@dataclass(frozen=True)
class ShowUpload(Read["records.UploadStory"]):
    """One upload, with what it has to do with what readers have now."""

    wire = "upload.show"
    upload_id: str


@dataclass(frozen=True)
class ListRejected(Read["records.RejectedOut"]):
    """The rejected rows of an upload that are kept."""

    wire = "upload.rejects"
    upload_id: str


@dataclass(frozen=True)
class ListGates(Read["records.GateOut"]):
    """The gates by client, kind and item."""

    wire = "gate.list"
    client: str | None


@dataclass(frozen=True)
class ListHooks(Read["records.HookBacklog"]):
    """The hooks."""

    wire = "hook.list"


@dataclass(frozen=True)
class ListDeliveries(Read["records.DeliveryOut"]):
    """The deliveries, newest event first, at most `limit` of them."""

    wire = "hook.deliveries"
    hook_id: int | None
    state: str | None
    limit: int | None


@dataclass(frozen=True)
class ListTokens(Read["records.TokenOut"]):
    """The tokens by name."""

    wire = "token.list"


READS: dict[str, type[Read[object]]] = {kind.wire: kind for kind in Read.__subclasses__()}


def encode(asked: Read[Row]) -> dict[str, object]:
    """Write a question for the control socket."""
    return wire.encode(asked, by="read")


def decode(message: dict[str, object]) -> Read[object]:
    """Read a question; `UsageError` for one that this version does not know, or whose fields it does not."""
    return wire.decode(READS, message.get("read"), message.get("with"))
