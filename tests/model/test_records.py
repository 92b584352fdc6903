"""A field of a record stands in the record and in its shape; whatever else knows it is derived, or held to it here."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime

import pytest

from ctsftp.contract.states import State
from ctsftp.model import records
from ctsftp.model.receipt import Receipt, render_json
from ctsftp.model.records import Facts, Findings, Upload, UploadOut, detail
from ctsftp.model.timeline import Period, StepKind
from ctsftp.model.writing import write

# What nobody outside is told of an upload.
INSIDE = {"segment_title", "segment_key", "approved", "attempts", "deaths", "retry_at", "node"}

UPLOAD = Upload(
    id="019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10",
    client="acme",
    filename="VIP_20261123_0900.csv",
    segment_title="VIP",
    segment_key="vip",
    stamp="20261123_0900",
    state=State.HELD,
    size=12,
    received_at="2026-11-23T09:00:12.000Z",
    directory="/",
)


def test_a_field_of_an_upload_is_shown_or_said_to_be_inside() -> None:
    assert {field.name for field in fields(Upload)} - set(UploadOut.__annotations__) == INSIDE


def test_a_record_is_written_with_all_fields_of_its_shape_in_their_order() -> None:
    assert list(UPLOAD.as_json()) == list(UploadOut.__annotations__)
    assert UPLOAD.as_json()["segment"] == "VIP"


def test_a_shape_asks_for_nothing_that_its_record_does_not_have() -> None:
    with pytest.raises(AttributeError, match="number"):
        write(records.SnapshotOut, UPLOAD)


@dataclass(frozen=True)
class Odd:
    line: list[Period]
    value: None
    reason: datetime


def test_moments_and_the_records_within_a_record_are_written_too() -> None:
    period = Period(since="a", until=None, began_by=StepKind.LOADED, ended_by=None)
    written = write(records.RejectedOut, Odd([period], None, datetime(2026, 3, 10, 9, tzinfo=UTC)))
    assert json.loads(json.dumps(written)) == {
        "line": [{"since": "a", "until": None, "began_by": "loaded", "ended_by": None}],
        "value": None,
        "reason": "2026-03-10T09:00:00.000Z",
    }


def test_whatever_is_told_of_an_upload_s_move_is_a_field_of_it() -> None:
    names = {field.name for field in fields(Upload)}
    assert set(Findings.__annotations__) < set(Facts.__annotations__) <= names


def test_a_receipt_tells_its_sender_every_field_but_whose_it_is() -> None:
    receipt = Receipt(**{field.name: getattr(UPLOAD, field.name) for field in fields(Upload)})
    assert set(UploadOut.__annotations__) - {"client"} < set(json.loads(render_json(receipt)))


def test_the_details_of_an_upload_say_whether_readers_have_it_now() -> None:
    now = Period(since="a", until=None, began_by=StepKind.LOADED, ended_by=None)
    then = Period(since="a", until="b", began_by=StepKind.LOADED, ended_by=StepKind.RETIRED)
    assert [detail(UPLOAD, periods, None)["current"] for periods in ([], [then], [then, now])] == [False, False, True]
