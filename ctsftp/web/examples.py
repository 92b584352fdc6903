"""The records that the OpenAPI document shows: real ones, so that it shows no field, code or name that there is not."""

from collections.abc import Mapping
from dataclasses import asdict

from ctsftp.contract.codes import Code, Notice
from ctsftp.contract.reasons import RejectedRow
from ctsftp.contract.states import State
from ctsftp.model.records import (
    Gate,
    GateOut,
    IfApproved,
    IfApprovedOut,
    RejectedOut,
    Segment,
    SegmentOut,
    Snapshot,
    SnapshotOut,
    Upload,
    UploadDetail,
    UploadOut,
    detail,
    warnings_out,
)
from ctsftp.model.records import Notice as NoticeOut
from ctsftp.model.timeline import Period, PeriodOut, StepKind

LOADED_AT = "2026-03-10T09:00:02.117Z"

UPLOAD = Upload(
    id="019cd6f2-3b7a-7c11-8a55-0d1f6f3f5b10",
    client="acme",
    filename="VIP_Members_20260310_0900.csv",
    segment_title="VIP Members",
    segment_key="vip members",
    stamp="20260310_0900",
    state=State.LOADED,
    code=None,
    reason=None,
    rows=120_003,
    members=120_000,
    duplicates=2,
    rejected=1,
    warnings=warnings_out([Notice(Code.BYTE_ORDER_MARK, "The file begins with a byte-order mark.")]),
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    size=960_021,
    received_at="2026-03-10T09:00:01.905Z",
    finished_at=LOADED_AT,
    approved=False,
    attempts=1,
    deaths=0,
    retry_at=None,
    directory="/",
    id_title="CTUserID",
)
REJECTED = RejectedRow(7, "1.23E+10", "the id is not a whole number of 1 to 19 digits")
PERIOD = Period(since=LOADED_AT, until=None, began_by=StepKind.LOADED, ended_by=None)
IF_APPROVED = IfApproved(now=120_000, enter=12, leave=64_100)
SNAPSHOT = Snapshot(
    id=42,
    number=17,
    upload_id=UPLOAD.id,
    filename=UPLOAD.filename,
    stamp="20260310_0900",
    members=120_000,
    entered=812,
    left=75,
    counted_from=16,
    published_at=LOADED_AT,
    current=True,
    periods=[PERIOD],
)
SEGMENT = Segment(
    client=UPLOAD.client,
    key="vip members",
    title="VIP Members",
    members=SNAPSHOT.members,
    stamp=SNAPSHOT.stamp,
    loaded_at=LOADED_AT,
    upload_id=UPLOAD.id,
    number=SNAPSHOT.number,
    entered=SNAPSHOT.entered,
    left=SNAPSHOT.left,
    snapshot_id=SNAPSHOT.id,
    newest_stamp=SNAPSHOT.stamp,
    rolled_back=False,
    retired_at=None,
    heard_at=UPLOAD.received_at,
    expect_every_s=86_400,
    expect_grace_s=7_200,
    overdue_since=None,
)
GATE = Gate(client="acme", kind="reward", item="4711", segments=[SEGMENT.title], set_at=LOADED_AT)

# Each shape of a record, with the record that shows it.
EXAMPLES: dict[type, Mapping[str, object]] = {
    NoticeOut: UPLOAD.warnings[0],
    UploadOut: UPLOAD.as_json(),
    UploadDetail: detail(UPLOAD, [PERIOD], None),
    RejectedOut: asdict(REJECTED),
    PeriodOut: PERIOD.as_json(),
    IfApprovedOut: IF_APPROVED.as_json(),
    SnapshotOut: SNAPSHOT.as_json(),
    SegmentOut: SEGMENT.as_json(),
    GateOut: GATE.as_json(),
}
