"""The shapes of requests and answers, with examples: the OpenAPI document is made of them."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ctsftp.contract.rows import MAX_ID
from ctsftp.contract.states import State
from ctsftp.contract.timeline import StepKind
from ctsftp.web.problems import ProblemDocument

MAX_FIELDS = 20

Responses = dict[int | str, dict[str, Any]]


def answers(model: type[BaseModel]) -> Responses:
    """Say what a route answers that writes its JSON itself."""
    return {200: {"model": model}}


def _problems(texts: dict[int, str]) -> Responses:
    return {status: {"model": ProblemDocument, "description": text} for status, text in texts.items()}


PROBLEMS = _problems(
    {
        401: "no token, or one that is unknown, revoked or expired",
        404: "not there, or not for this token; a cursor that was not given by this list",
        422: "the request is wrong",
        503: "the server cannot answer now",
    }
)
BAD_BODY = _problems({400: "a body that cannot be read", 413: "a body that is too large"})
REFUSED = _problems({403: "the token may only read", 409: "the answer is no, and why"})
GONE = _problems({410: "a snapshot that is not kept any more"})


def _digits(value: Any) -> Any:
    """Take digits for an id and nothing else, as the file contract does: no sign, no space, no underscore."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("an id is 1 to 19 digits")
    return value


CtUserId = Annotated[
    int, BeforeValidator(_digits), Path(ge=1, le=MAX_ID, examples=[1234567], description="a member's CTUserID")
]
ClientPath = Annotated[str, Path(min_length=1, max_length=32, examples=["acme"])]
SegmentPath = Annotated[
    str, Path(min_length=1, max_length=255, examples=["VIP"], description="title or underscore form, in any case")
]
KindPath = Annotated[str, Path(min_length=1, max_length=100, examples=["reward"], description="in any case")]
ItemPath = Annotated[str, Path(min_length=1, max_length=100, examples=["4711"])]
UploadPath = Annotated[str, Path(min_length=1, max_length=36, examples=["019cd6f2-3b7a-7c11-8a55-0d1f6f3f5b10"])]
ClientFilter = Annotated[str | None, Query(max_length=32, examples=["acme"], description="only this client's")]
KindFilter = Annotated[str | None, Query(max_length=100, examples=["reward"], description="only of this kind")]
StateFilter = Annotated[State | None, Query(examples=["held"], description="only those in this state")]

NextCursor = Field(description="the cursor of the next page; null on the last", examples=[None])


class Input(BaseModel):
    """A body: a field that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _require_few(cls, data: Any) -> Any:
        """Stop at a body of very many fields: an error for each of them would take seconds of everybody's time."""
        if isinstance(data, dict) and len(data) > MAX_FIELDS:
            raise ValueError(f"a body has at most {MAX_FIELDS} fields")
        return data


class SegmentOut(BaseModel):
    """A segment and its current snapshot."""

    client: str = Field(examples=["acme"])
    segment: str = Field(examples=["VIP Members"])
    members: int = Field(examples=[120_000])
    stamp: str = Field(examples=["20260310_0900"])
    loaded_at: str = Field(examples=["2026-03-10T09:00:02.117Z"])
    upload_id: str = Field(examples=["019cd6f2-3b7a-7c11-8a55-0d1f6f3f5b10"])
    number: int = Field(examples=[17], description="of the snapshot in its segment")
    entered: int | None = Field(examples=[812], description="null until it is counted")
    left: int | None = Field(examples=[75], description="null until it is counted")
    retired: bool = Field(examples=[False])
    rolled_back: bool = Field(examples=[False], description="uploads are held until one is approved")


class SegmentList(BaseModel):
    """A page of segments."""

    items: list[SegmentOut]
    next: str | None = NextCursor


class PeriodOut(BaseModel):
    """A time in which readers had a list."""

    since: str = Field(examples=["2026-03-10T09:00:02.117Z"])
    until: str | None = Field(examples=[None], description="null while they have it")
    began_by: StepKind = Field(examples=["loaded"])
    ended_by: StepKind | None = Field(examples=[None])


class SnapshotOut(BaseModel):
    """A snapshot that is kept."""

    number: int = Field(examples=[17])
    members: int = Field(examples=[120_000])
    entered: int | None = Field(examples=[812])
    left: int | None = Field(examples=[75])
    stamp: str = Field(examples=["20260310_0900"])
    loaded_at: str = Field(examples=["2026-03-10T09:00:02.117Z"])
    upload_id: str = Field(examples=["019cd6f2-3b7a-7c11-8a55-0d1f6f3f5b10"])
    filename: str = Field(examples=["VIP_Members_20260310_0900.csv"])
    current: bool = Field(examples=[True])
    periods: list[PeriodOut] = Field(description="when readers had it, old to new")


class History(BaseModel):
    """A segment's snapshots, newest first."""

    items: list[SnapshotOut]


class ChangesOut(BaseModel):
    """A page of who entered and who left; take the exits out, put the entries in, and keep the cursor."""

    old: int | None = Field(examples=[16], description="number of the snapshot that is compared with; null: no members")
    new: int | None = Field(examples=[17], description="number of the snapshot that readers see; null: it is retired")
    entered: list[int] = Field(examples=[[1234567]])
    exited: list[int] = Field(examples=[[7654321]])
    more: bool = Field(examples=[False], description="whether there is more to be told now")
    cursor: str = Field(examples=["WzE3LDE3LDBd"], description="for the next request, now or tomorrow")


class Rollback(Input):
    """Which snapshot is to be current again."""

    number: int | None = Field(None, ge=1, le=2**31 - 1, examples=[16], description="null: the one before the current")


class IsMember(BaseModel):
    """Whether a member is in a segment."""

    ct_user_id: int = Field(examples=[1234567])
    member: bool = Field(examples=[True])


class SegmentName(BaseModel):
    """A segment by its client and title."""

    client: str = Field(examples=["acme"])
    segment: str = Field(examples=["VIP Members"])


class SegmentNames(BaseModel):
    """The segments in use that a member is in."""

    items: list[SegmentName]


class Members(BaseModel):
    """Those of the ids asked for that are members, ascending."""

    members: list[int] = Field(examples=[[1234567]])


class SegmentMembers(SegmentName, Members):
    """Those of the ids asked for that are members of one segment."""


class BatchAnswer(BaseModel):
    """Each segment in use that any of the ids is in."""

    items: list[SegmentMembers]


class GateOut(BaseModel):
    """An item, and the segments whose members may see it."""

    client: str = Field(examples=["acme"])
    kind: str = Field(examples=["reward"])
    item: str = Field(examples=["4711"])
    segments: list[str] = Field(examples=[["VIP Members"]])
    set_at: str = Field(examples=["2026-03-10T09:00:02.117Z"])


class GateList(BaseModel):
    """A page of gates."""

    items: list[GateOut]
    next: str | None = NextCursor


class GateIn(Input):
    """Which segments open a gate."""

    segments: list[str] = Field(min_length=1, max_length=100, examples=[["VIP Members"]])


class IsOpen(BaseModel):
    """Whether a member may see an item."""

    ct_user_id: int = Field(examples=[1234567])
    open: bool = Field(examples=[True])


class GateName(BaseModel):
    """A gate by its client, kind and item."""

    client: str = Field(examples=["acme"])
    kind: str = Field(examples=["reward"])
    item: str = Field(examples=["4711"])


class GateNames(BaseModel):
    """What a member may see."""

    items: list[GateName]


class Notice(BaseModel):
    """A warning on an upload."""

    code: str = Field(examples=["bom"])
    text: str = Field(examples=["The file begins with a byte-order mark."])


class UploadOut(BaseModel):
    """A row of the ledger: a file, and what became of it."""

    id: str = Field(examples=["019cd6f2-3b7a-7c11-8a55-0d1f6f3f5b10"])
    client: str = Field(examples=["acme"])
    filename: str = Field(examples=["VIP_Members_20260310_0900.csv"])
    segment: str | None = Field(examples=["VIP Members"], description="null where the name could not be read")
    stamp: str | None = Field(examples=["20260310_0900"])
    state: State = Field(examples=["loaded"])
    code: str | None = Field(examples=[None])
    reason: str | None = Field(examples=[None])
    rows: int | None = Field(examples=[120_003])
    members: int | None = Field(examples=[120_000])
    duplicates: int | None = Field(examples=[2])
    rejected: int | None = Field(examples=[1])
    warnings: list[Notice]
    sha256: str | None = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    size: int = Field(examples=[960_021])
    received_at: str = Field(examples=["2026-03-10T09:00:01.905Z"], description="the CLOSE")
    finished_at: str | None = Field(examples=["2026-03-10T09:00:02.117Z"], description="null while held")


class IfApprovedOut(BaseModel):
    """What a held upload would change if it were approved now."""

    members_now: int | None = Field(examples=[120_000], description="null where there is no segment yet")
    enter: int | None = Field(examples=[12], description="null while it is counted, or cannot be at this node")
    leave: int | None = Field(examples=[64_100], description="null while it is counted, or cannot be at this node")


class UploadDetail(UploadOut):
    """An upload, and what it has to do with what readers have now."""

    current: bool = Field(examples=[True], description="whether its members are the segment's now")
    periods: list[PeriodOut] = Field(description="when readers had its list, old to new")
    if_approved: IfApprovedOut | None = Field(examples=[None], description="null unless it is held")


class UploadList(BaseModel):
    """A page of uploads, newest first."""

    items: list[UploadOut]
    next: str | None = NextCursor


class RejectedOut(BaseModel):
    """A rejected row."""

    line: int = Field(examples=[7], description="physical, the header is line 1")
    value: str = Field(examples=["1.23E+10"])
    reason: str = Field(examples=["the id is not a whole number of 1 to 19 digits"])


class RejectedRows(BaseModel):
    """The rejected rows that are kept: the first 1,000."""

    items: list[RejectedOut]
