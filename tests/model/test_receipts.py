"""The receipt: what a sender reads about its upload, and how its forms are named."""

import csv
import io
import json
from dataclasses import replace

import pytest

from ctsftp.contract.codes import PAGES, Code, fault
from ctsftp.contract.rows import RejectedRow
from ctsftp.contract.states import State
from ctsftp.model.receipt import (
    MAX_NAME_BYTES,
    Kind,
    Receipt,
    read_receipt_name,
    render_json,
    render_rejected,
    render_text,
)
from ctsftp.model.timeline import Period, StepKind
from ctsftp.model.twins import Twin

ID = "019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10"
NAME = "VIP_Members_20261123_0900.csv"
NEW = Receipt(
    id=ID,
    client="acme",
    filename=NAME,
    segment_title="VIP Members",
    segment_key="vip members",
    stamp="20261123_0900",
    state=State.RECEIVED,
    size=1234,
    received_at="2026-11-23T09:00:12.000Z",
)
FAULT = fault(Code.DELIMITER, "The columns are divided by semicolons.")
REJECTED = replace(
    NEW, state=State.REJECTED, code=FAULT.code.value, reason=FAULT.reason, finished_at="2026-11-23T09:00:13.000Z"
)
LOADED = replace(
    NEW, state=State.LOADED, rows=1500, members=290, duplicates=10, rejected=1200, entered=40, left=2, sha256="ab" * 32
)


def text(receipt: Receipt) -> str:
    return render_text(receipt).decode()


def paragraphs(receipt: Receipt) -> dict[str, str]:
    """The facts of a text by their label, unwrapped."""
    facts: dict[str, str] = {}
    label = ""
    for line in text(receipt).splitlines()[2:]:
        label = line[:12].strip() or label
        facts[label] = f"{facts.get(label, '')} {line[12:]}".strip()
    return facts


def cells(rows: list[RejectedRow]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(render_rejected(rows).decode(), newline="")))


def test_a_refused_file_is_told_why_and_what_to_change() -> None:
    facts = paragraphs(REJECTED)
    assert facts["State"].startswith("rejected (delimiter) It was not applied.")
    assert facts["Reason"] == FAULT.reason
    assert facts["To change"] == "Field delimiter: Comma"
    assert facts["Meaning"] == PAGES[Code.DELIMITER].meaning


def test_the_setting_is_the_one_that_the_reason_names() -> None:
    better = fault(Code.NAME, "The extension is missing.", setting="Name: extension .csv")
    assert json.loads(render_json(replace(REJECTED, code="name", reason=better.reason)))["setting"] == better.setting


def test_the_counts_add_up_in_words() -> None:
    facts = paragraphs(LOADED)
    assert facts["Rows"] == "1,500 = 290 members + 10 duplicates + 1,200 rejected"
    assert facts["Members"] == "40 entered, 2 left"
    assert facts["Rejected"].startswith("1,200: the first 1,000 of them are in")
    assert paragraphs(replace(LOADED, rejected=1))["Rejected"].startswith("1: they are in")
    assert facts["SHA-256"] == "ab" * 32


def test_what_is_not_known_yet_is_not_said() -> None:
    assert list(paragraphs(NEW)) == ["State", "Segment", "Stamp", "Size", "Received", "Upload"]
    assert "Rows" not in paragraphs(replace(REJECTED, rows=0, members=0, duplicates=0, rejected=0))
    assert "Members" not in paragraphs(replace(LOADED, left=None))


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained_in_both_forms(state: State) -> None:
    receipt = replace(NEW, state=state)
    explained = json.loads(render_json(receipt))["next"]
    assert explained in paragraphs(receipt)["State"]


def test_only_what_the_server_is_about_to_decide_is_on_its_way() -> None:
    moving = {state for state in State if replace(NEW, state=state).is_on_its_way}
    assert moving == {State.RECEIVED, State.LOADING}


def test_json_has_every_fact_of_the_ledger() -> None:
    warning = {"code": "enclosure", "text": "Values are enclosed."}
    read = json.loads(render_json(replace(LOADED, warnings=[warning])))
    assert list(read) == [
        *("id", "filename", "segment", "stamp", "state", "code", "reason", "setting", "next"),
        *("rows", "members", "duplicates", "rejected", "entered", "left", "id_title", "warnings"),
        *("sha256", "size", "received_at", "finished_at", "directory", "current", "duplicate_of"),
    ]
    assert read["warnings"] == [warning]
    assert read["setting"] is None
    assert (read["members"], read["entered"], read["left"]) == (290, 40, 2)


def test_a_list_that_was_taken_back_is_not_said_to_be_the_segments() -> None:
    since, until = "2026-11-23T09:00:13.000Z", "2026-11-24T10:30:00.000Z"
    now = Period(since=since, until=None, began_by=StepKind.LOADED, ended_by=None)
    over = Period(since=since, until=until, began_by=StepKind.LOADED, ended_by=StepKind.ROLLED_BACK)
    current, taken_back = replace(LOADED, periods=[now]), replace(LOADED, periods=[over])
    assert "The segment has these members, since 2026-11-23 09:00 UTC." in paragraphs(current)["State"]
    assert "had these members until 2026-11-24 10:30 UTC: an admin" in paragraphs(taken_back)["State"]
    assert [json.loads(render_json(one))["current"] for one in (current, taken_back, LOADED)] == [True, False, False]
    assert [one.changed_at for one in (current, taken_back, LOADED)] == [since, until, LOADED.received_at]


def test_a_duplicate_is_told_what_has_become_of_the_same_file() -> None:
    other = ID[:-1] + "1"
    twin = Twin(id=other, state=State.HELD, code="shrunk")
    duplicate = replace(
        LOADED, state=State.DUPLICATE, reason="The same file was applied, or is held, already.", twin=twin
    )
    facts = paragraphs(duplicate)
    assert (
        f"It is held, and waits for the server's admin to approve it (ctsftp upload approve {other})" in facts["State"]
    )
    assert "Reason" not in facts
    assert json.loads(render_json(duplicate))["duplicate_of"] == other


def test_the_folder_is_told() -> None:
    assert paragraphs(replace(LOADED, directory="/in/lists"))["Folder"] == "/in/lists"


@pytest.mark.parametrize("code", [None, *Code])
@pytest.mark.parametrize("state", State)
def test_nothing_is_said_that_an_admin_alone_can_do(state: State, code: Code | None) -> None:
    reason = "The server died: `ctsftp upload retry` tries again." if state is State.FAILED else None
    receipt = replace(NEW, state=state, code=code and code.value, reason=reason)
    for shown in (text(receipt), render_json(receipt).decode()):
        # What is held, the sender asks an admin for, in words to pass on.
        approval = f"ctsftp upload approve {ID}" if state is State.HELD else ""
        assert "ctsftp " not in shown.replace("that ctsftp did not expect", "").replace(approval, "")
        assert "client.toml" not in shown


def test_a_warning_is_told() -> None:
    warned = replace(LOADED, warnings=[{"code": "enclosure", "text": "Values are enclosed."}, {}])
    assert "Values are enclosed. (enclosure)" in text(warned)


@pytest.mark.parametrize("field", ["filename", "segment_title", "reason"])
def test_nothing_in_a_name_or_a_reason_forges_a_line_or_moves_a_cursor(field: str) -> None:
    forged = "x\nState       loaded\r\x1b[2J\u202ey"
    receipt = replace(REJECTED, **{field: forged})
    shown = text(receipt)
    assert [line for line in shown.splitlines() if line.startswith("State")] == [
        line for line in text(REJECTED).splitlines() if line.startswith("State")
    ]
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert all(32 <= byte < 127 or byte == 10 for byte in render_json(receipt))


def test_rejected_rows_are_csv_whatever_stands_in_them() -> None:
    rows = [RejectedRow(2, 'a,"b"\r\nc', "why, so"), RejectedRow(3, "", "empty"), RejectedRow(4, "\udc80", "odd")]
    assert cells(rows) == [
        ["line", "value", "reason"],
        ["2", 'a,"b"\r\nc', "why, so"],
        ["3", "", "empty"],
        ["4", "?", "odd"],
    ]


@pytest.mark.parametrize("value", ["=1+1", "@SUM(A1)", "-1+cmd|' /C calc'!A0", "+A1", "\t=1", "-"])
def test_a_spreadsheet_takes_no_value_for_a_formula(value: str) -> None:
    assert cells([RejectedRow(2, value, "x")])[1][1].startswith(f"'{value[0]}")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x;=HYPERLINK(1)", "x;'=HYPERLINK(1)"),
        ("x;+A1;-A1;@A1;5", "x;'+A1;'-A1;'@A1;5"),
        ("x\t=1", "x\t'=1"),
        ("x,=1", "x,'=1"),
        ("x|=1", "x|'=1"),
        ("x\n=1", "x\n'=1"),
        ("x\r=1", "x\r'=1"),
        ("x; =1", "x;' =1"),
        ("x;\u3000=1", "x;'\u3000=1"),
        ('x;"=1"', 'x;\'"=1"'),
        (' "=1"', '\' "=1"'),
        ("＝1+1", "'＝1+1"),
        ("＋A1", "'＋A1"),
        ("－A1", "'－A1"),
        ("＠A1", "'＠A1"),
        ("x;＝1", "x;'＝1"),
    ],
)
def test_a_formula_is_none_behind_any_separator_and_in_any_width(value: str, shown: str) -> None:
    assert cells([RejectedRow(2, value, "x")])[1][1] == shown


@pytest.mark.parametrize("value", ["-5", "+5", "-1,234.50", "1.23E+10", "a=1", "a;-5;+5,5", "a, b; c", "x＝1"])
def test_what_is_no_formula_stays_as_it_was(value: str) -> None:
    assert cells([RejectedRow(2, value, "x")])[1][1] == value


def test_the_newest_upload_of_a_name_bears_it_and_each_has_one_with_its_id() -> None:
    assert NEW.name(Kind.TEXT, newest=True) == f"{NAME}.txt"
    assert NEW.name(Kind.JSON, newest=False) == f"{NAME}.{ID}.json"


def test_there_are_rejected_rows_only_where_rows_were_rejected() -> None:
    assert NEW.kinds == [Kind.TEXT, Kind.JSON]
    assert replace(LOADED, rejected=0).kinds == [Kind.TEXT, Kind.JSON]
    assert LOADED.kinds == [Kind.TEXT, Kind.JSON, Kind.REJECTED]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("letter", ["a", "é", "漢"])
def test_no_receipt_s_name_is_too_long_for_a_disk(kind: Kind, letter: str) -> None:
    longest = letter * (MAX_NAME_BYTES // len(letter.encode()))
    receipt = replace(NEW, filename=longest)
    name = receipt.name(kind, newest=True)
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith(f".{ID}{kind}")
    read = read_receipt_name(name)
    assert read is not None
    assert longest.startswith(read[0])
    assert read[1:] == (ID, kind)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("filename", [NAME, "a.txt", "b.rejected.csv", "c.d.json", ".hidden", "no extension"])
def test_a_receipt_s_name_is_read_as_it_was_made(filename: str, kind: Kind) -> None:
    receipt = replace(NEW, filename=filename)
    assert read_receipt_name(receipt.name(kind, newest=True)) == (filename, None, kind)
    assert read_receipt_name(receipt.name(kind, newest=False)) == (filename, ID, kind)


@pytest.mark.parametrize("name", ["", "x", "x.csv", ".txt", ".rejected.csv", f"x.{ID}"])
def test_other_names_are_no_receipt_s(name: str) -> None:
    assert read_receipt_name(name) is None
