"""The index of a client's files and the read-me: what a sender learns without asking anybody."""

from dataclasses import replace

import pytest

from ctsftp.contract.codes import PAGES, Code, fault
from ctsftp.contract.states import State
from ctsftp.model.guide import render_index, render_readme, to_change
from ctsftp.model.receipt import Receipt
from ctsftp.model.timeline import Period, StepKind
from ctsftp.model.twins import Twin

NAME = "VIP_Members_20261123_0900.csv"
LOADED_ANEW, ROLLED_BACK, RETIRED, _ = StepKind
NOW = Period(since="2026-11-23T09:00:13.000Z", until=None, began_by=LOADED_ANEW, ended_by=None)
LOADED = Receipt(
    id="019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10",
    client="acme",
    filename=NAME,
    segment_title="VIP Members",
    segment_key="vip members",
    stamp="20261123_0900",
    state=State.LOADED,
    rows=300,
    members=290,
    duplicates=10,
    rejected=0,
    size=1234,
    received_at="2026-11-23T09:00:12.000Z",
    periods=[NOW],
)
UNTIL = "until 2026-11-24 10:30 UTC"


def over(ended_by: StepKind) -> Period:
    return replace(NOW, until="2026-11-24T10:30:00.000Z", ended_by=ended_by)


FAULT = fault(Code.DELIMITER, "The columns are divided by semicolons.")
SHEET = {
    "host": "sftp.example.com",
    "port": 2022,
    "directory": "/",
    "username": "acme",
    "authentication": "SSH key",
    "host_keys": [{"type": "ssh-ed25519", "fingerprint": "SHA256:abc"}],
    "file": {"Name": "no prefix, your segment name, YYYYMMDD_HH24MI.csv", "Field delimiter": "Comma"},
}


def lines(*receipts: Receipt) -> list[str]:
    return render_index(receipts).decode().splitlines()[3:]


def test_a_line_tells_time_file_state_members_and_what_to_change() -> None:
    rejected = replace(LOADED, state=State.REJECTED, code=FAULT.code.value, reason=FAULT.reason, members=0)
    assert lines(LOADED, rejected) == [
        f"2026-11-23 09:00  {NAME}  loaded                290      nothing",
        f"2026-11-23 09:00  {NAME}  rejected (delimiter)           Field delimiter: Comma",
    ]
    assert lines() == []


def test_a_folder_is_shown_before_the_name() -> None:
    assert f"  in/lists/{NAME}  " in lines(replace(LOADED, directory="/in/lists"))[0]


@pytest.mark.parametrize("name", [f"tmp.{NAME}", f"{NAME}.filepart", f"tmp/{NAME}"])
def test_a_temporary_name_has_a_line_until_its_list_came(name: str) -> None:
    directory, _, filename = f"/{name}".rpartition("/")
    unfinished = replace(
        LOADED,
        state=State.IGNORED,
        filename=filename,
        directory=directory or "/",  # type: ignore[arg-type]
        segment_title=None,
        segment_key=None,
        stamp=None,  # type: ignore[arg-type]
    )
    assert len(lines(unfinished)) == 1
    assert len(lines(LOADED, unfinished)) == 1
    assert len(lines(replace(LOADED, stamp="20261123_0901"), unfinished)) == 2
    assert len(lines(unfinished, LOADED)) == 2  # it came after the list


def test_a_list_that_was_taken_back_is_nothing_to_ask_about_once_a_later_one_was_loaded() -> None:
    taken_back = replace(LOADED, periods=[over(ROLLED_BACK)])
    assert "ask the server's admin" in lines(taken_back)[0]
    held = replace(LOADED, state=State.HELD)
    assert "ask the server's admin" in lines(held, taken_back)[1]
    assert "ask the server's admin" in lines(replace(LOADED, segment_key="gold"), taken_back)[1]
    assert lines(LOADED, taken_back)[1].endswith("  nothing: a later file was loaded")


def test_a_list_whose_segment_was_deleted_is_not_called_right() -> None:
    gone = replace(LOADED, periods=())
    again = replace(gone, state=State.DUPLICATE, twin=Twin(id="0", state=State.LOADED))
    refused = replace(gone, state=State.REJECTED, code=Code.DELIMITER)
    found = [line.split("  ")[-1] for line in lines(again, gone)]
    assert found == ["ask the server's admin: the segment was deleted"] * 2
    assert [line.split("  ")[-1].strip() for line in lines(LOADED, again, gone, refused)][1:] == [
        "nothing: a later file was loaded",
        "nothing: a later file was loaded",
        to_change(refused),
    ]


def test_nothing_in_a_name_forges_a_line() -> None:
    [line] = lines(replace(LOADED, filename="a\nb\x1b[2J", directory="/c\r"))
    assert line.isprintable()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"rejected": 12}, "12 of 300 rows, rejected: see its receipt"),
        ({"warnings": [{"text": FAULT.reason}, {"text": FAULT.reason}, {}]}, "Field delimiter: Comma"),
        (
            {"state": State.HELD, "code": "shrunk"},
            "nothing, if the audience is that small: it waits for the server's admin",
        ),
        (
            {"state": State.HELD, "code": "of long ago"},
            "nothing, if the list is right: it waits for the server's admin",
        ),
        ({}, "nothing"),
        ({"periods": [over(LOADED_ANEW)]}, "nothing"),
        (
            {"periods": [over(ROLLED_BACK)]},
            f"ask the server's admin: the list was in use {UNTIL}: an admin made another list current",
        ),
        ({"periods": [over(RETIRED)]}, f"ask the server's admin: the list was in use {UNTIL}: the segment was retired"),
        ({"state": State.DUPLICATE}, "nothing: the same file came before"),
        (
            {"state": State.DUPLICATE, "twin": Twin(id="0", state=State.LOADED, periods=[NOW])},
            "nothing: the same list is in use",
        ),
        (
            {"state": State.DUPLICATE, "twin": Twin(id="0", state=State.LOADED, periods=[over(ROLLED_BACK)])},
            f"ask the server's admin: the list was in use {UNTIL}: an admin made another list current",
        ),
        (
            {"state": State.DUPLICATE, "twin": Twin(id="0", state=State.HELD)},
            "nothing: the same list is held already, and waits for the server's admin (ctsftp upload approve 0)",
        ),
        ({"state": State.REJECTED, "code": None}, "see its receipt"),
        (
            {"warnings": [{"code": "no_last_newline", "text": "The last line does not end with a line break."}]},
            "nothing, if the export ran to its end: the last line has no line break",
        ),
        ({"warnings": [{"code": "byte_order_mark", "text": "It begins with one."}]}, "nothing"),
        ({"state": State.IGNORED, "filename": "ready"}, "nothing: no list"),
        ({"state": State.IGNORED, "directory": "/tmp"}, "the name or folder, if it is a list: this one is temporary"),
        ({"state": State.SUPERSEDED}, "nothing: a newer list was used instead"),
    ],
)
def test_what_to_change_fits_what_became_of_the_file(changes: dict[str, object], found: str) -> None:
    assert to_change(replace(LOADED, **changes)) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("state", State)
def test_every_state_has_something_to_change_or_nothing(state: State) -> None:
    assert to_change(replace(LOADED, state=state))


def test_the_readme_has_naming_settings_connection_and_every_code() -> None:
    text = render_readme(SHEET, ["/", "/in"]).decode()
    for words in ("20261123_0900.csv", "Put lists into: /, /in.", "sftp.example.com", "SHA256:abc", "2022"):
        assert words in text
    assert "Field delimiter         Comma" in text
    assert "Put lists into: /. " in render_readme(SHEET).decode()
    assert {code for code in Code if f"\n{code.value:<24}" in text} == {
        code for code, page in PAGES.items() if page.kind != "failed"
    }
    assert "`ctsftp" not in text
    assert max(map(len, text.splitlines())) <= 100
