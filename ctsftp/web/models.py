"""The shapes of requests and answers, with examples: the OpenAPI document is made of them.

Those of the records stand in `model.records`; here they are given what pydantic is to know of them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator, with_config

from ctsftp.contract.rows import MAX_ID
from ctsftp.contract.states import State
from ctsftp.model.records import GateOut, RejectedOut, SegmentOut, SnapshotOut, UploadOut
from ctsftp.web.examples import EXAMPLES
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
BAD_BODY = _problems({400: "the body cannot be read", 413: "the body is too large"})
REFUSED = _problems({403: "the token is read-only", 409: "refused, with the reason"})
GONE = _problems({410: "the snapshot is no longer kept"})


def _digits(value: object) -> object:
    """Take digits for an id and nothing else, as the file contract does: no sign, no space, no underscore."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("is not an id: an id is 1 to 19 digits")
    return value


CtUserId = Annotated[
    int, BeforeValidator(_digits), Path(ge=1, le=MAX_ID, examples=[1234567], description="a member's CTUserID")
]
ClientPath = Annotated[str, Path(min_length=1, max_length=32, examples=["acme"])]
SegmentPath = Annotated[
    str, Path(min_length=1, max_length=255, examples=["VIP"], description="title or underscore form, case-insensitive")
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
    def _require_few(cls, data: object) -> object:
        """Stop at a body of very many fields: an error for each of them would take seconds of everybody's time."""
        if isinstance(data, dict) and len(data) > MAX_FIELDS:
            raise ValueError(f"has at most {MAX_FIELDS} fields")
        return data


class Output(BaseModel):
    """An answer: a field of a record that is forgotten here is a mistake, and raises."""

    model_config = ConfigDict(extra="forbid")


def _show(shape: type, example: Mapping[str, Any]) -> None:
    """Let the document show a record by an example, and an answer with a field that its shape does not have raise."""
    with_config(ConfigDict(extra="forbid", json_schema_extra={"examples": [dict(example)]}))(shape)


for _shape, _example in EXAMPLES.items():
    _show(_shape, _example)


class SegmentList(Output):
    """A page of segments."""

    items: list[SegmentOut]
    next: str | None = NextCursor


class History(Output):
    """A segment's snapshots, newest first."""

    items: list[SnapshotOut]


class ChangesOut(Output):
    """A page of who entered and who left; take out who left, put in who entered, and keep the cursor."""

    old: int | None = Field(examples=[16], description="number of the snapshot that is compared with; null: no members")
    new: int | None = Field(examples=[17], description="number of the snapshot that readers see; null: it is retired")
    entered: list[int] = Field(examples=[[1234567]])
    left: list[int] = Field(examples=[[7654321]])
    exited: list[int] = Field(examples=[[7654321]], deprecated=True, description="the former name of `left`")
    more: bool = Field(examples=[False], description="whether there are more changes to fetch now")
    cursor: str = Field(examples=["WzE3LDE3LDBd"], description="for the next request, whenever that is")


class Rollback(Input):
    """Which snapshot is to be current again."""

    number: int | None = Field(
        None, ge=1, le=2**31 - 1, examples=[16], description="null: what readers had before the current one"
    )


class IsMember(Output):
    """Whether a member is in a segment."""

    ct_user_id: int = Field(examples=[1234567])
    member: bool = Field(examples=[True])


class SegmentName(Output):
    """A segment by its client and title."""

    client: str = Field(examples=["acme"])
    segment: str = Field(examples=["VIP Members"])


class SegmentNames(Output):
    """The segments in use that a member is in."""

    items: list[SegmentName]


class Members(Output):
    """Those of the ids asked for that are members, ascending."""

    members: list[int] = Field(examples=[[1234567]])


class SegmentMembers(SegmentName, Members):
    """Those of the ids asked for that are members of one segment."""


class BatchAnswer(Output):
    """Each segment in use that any of the ids is in."""

    items: list[SegmentMembers]


class GateList(Output):
    """A page of gates."""

    items: list[GateOut]
    next: str | None = NextCursor


class GateIn(Input):
    """Which segments open a gate."""

    segments: list[str] = Field(min_length=1, max_length=100, examples=[["VIP Members"]])


class IsOpen(Output):
    """Whether a member may see an item."""

    ct_user_id: int = Field(examples=[1234567])
    open: bool = Field(examples=[True])


class GateName(Output):
    """A gate by its client, kind and item."""

    client: str = Field(examples=["acme"])
    kind: str = Field(examples=["reward"])
    item: str = Field(examples=["4711"])


class GateNames(Output):
    """What a member may see."""

    items: list[GateName]


class UploadList(Output):
    """A page of uploads, newest first."""

    items: list[UploadOut]
    next: str | None = NextCursor


class RejectedRows(Output):
    """The rejected rows that are kept: the first 1,000."""

    items: list[RejectedOut]
