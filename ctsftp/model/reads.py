"""What a command may ask to see, by its name on the control socket: each is answered with rows of a shape."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:  # a command that asks needs no records: it prints what it is answered
    from ctsftp.model import records  # noqa: F401  within the quotes below

Row = TypeVar("Row")


class Read(Generic[Row]):
    """A question that changes nothing."""


@dataclass(frozen=True, kw_only=True)
class ListSegments(Read["records.SegmentOut"]):
    """The segments by client and title: of one client, or all."""

    client: str | None


@dataclass(frozen=True, kw_only=True)
class ShowSegment(Read["records.SegmentOut"]):
    """The one segment of a name, as a person writes it."""

    name: str
    client: str | None


@dataclass(frozen=True, kw_only=True)
class ListSnapshots(Read["records.SnapshotOut"]):
    """The snapshots of such a segment that are kept, newest first."""

    name: str
    client: str | None


@dataclass(frozen=True, kw_only=True)
class ListMemberSegments(Read["records.SegmentOut"]):
    """The segments that a member is in."""

    ct_user_id: int


@dataclass(frozen=True, kw_only=True)
class ListUploads(Read["records.UploadOut"]):
    """The uploads, newest first, at most `limit` of them."""

    client: str | None
    state: str | None
    segment_key: str | None
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class FindUpload(Read["records.UploadOut"]):
    """The upload that a person means by an id, the beginning of one, or a file's name, or by its segment's name."""

    given: str | None
    segment: str | None
    client: str | None
    states: list[str]


@dataclass(frozen=True, kw_only=True)
class ShowUpload(Read["records.UploadStory"]):
    """One upload, with what it has to do with what readers have now."""

    upload_id: str


@dataclass(frozen=True, kw_only=True)
class ListRejected(Read["records.RejectedOut"]):
    """The rejected rows of an upload that are kept."""

    upload_id: str


@dataclass(frozen=True, kw_only=True)
class ListGates(Read["records.GateOut"]):
    """The gates by client, kind and item."""

    client: str | None


@dataclass(frozen=True, kw_only=True)
class ListHooks(Read["records.HookBacklog"]):
    """The hooks."""


@dataclass(frozen=True, kw_only=True)
class ListDeliveries(Read["records.DeliveryOut"]):
    """The deliveries, newest event first, at most `limit` of them."""

    hook_id: int | None
    state: str | None
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class ListTokens(Read["records.TokenOut"]):
    """The tokens by name."""


READS: dict[str, type[Read[Any]]] = {
    "segment.list": ListSegments,
    "segment.show": ShowSegment,
    "segment.history": ListSnapshots,
    "member.segments": ListMemberSegments,
    "upload.list": ListUploads,
    "upload.find": FindUpload,
    "upload.show": ShowUpload,
    "upload.rejects": ListRejected,
    "gate.list": ListGates,
    "hook.list": ListHooks,
    "hook.deliveries": ListDeliveries,
    "token.list": ListTokens,
}
_NAMES = {kind: name for name, kind in READS.items()}


def on_the_wire(asked: Read[Any]) -> tuple[str, dict[str, Any]]:
    """Give the name of a question, and its arguments."""
    return _NAMES[type(asked)], asdict(asked)  # type: ignore[call-overload]  # each is a dataclass
