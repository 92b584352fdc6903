"""The shapes of requests and answers, with examples: the OpenAPI document is made of them."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ctsftp.web.problems import ProblemDocument

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "model": ProblemDocument,
        "description": text,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    for status, text in {
        401: "no token, or one that is unknown, revoked or expired",
        404: "not there, or not for this token",
        422: "the request is wrong",
    }.items()
}

NUMBER = Field(ge=1, le=2**31 - 1, examples=[3])

ClientPath = Annotated[str, Path(min_length=1, max_length=32, examples=["acme"])]
SegmentPath = Annotated[
    str, Path(min_length=1, max_length=255, examples=["VIP"], description="title or underscore form, in any case")
]
ClientFilter = Annotated[str | None, Query(max_length=32, examples=["acme"], description="only this client's")]


class Input(BaseModel):
    """A body: a field that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")


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


class SegmentList(BaseModel):
    """A page of segments."""

    items: list[SegmentOut]
    next: str | None = Field(description="the cursor of the next page; null on the last", examples=[None])


class Rollback(Input):
    """Which snapshot is to be current again."""

    number: int | None = Field(None, ge=1, le=2**31 - 1, examples=[16], description="null: the one before the current")
