"""File names as strange as senders make them: what a name says is the segment's title, and never anything else."""

import json

import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.demo.connect import ExportFile

from .inprocess import FIXTURES, Sender, ids, in_process, stamp

pytest_plugins = FIXTURES

END = f"_{stamp(1)}.csv"
LONGEST = "x" * (255 - len(END))
TITLES = {
    "VIP": "VIP",
    "Gold_2024_Q1": "Gold 2024 Q1",
    "  a __ b  ": "a b",
    "Été_à_Zürich": "Été à Zürich",
    "Cafe\u0301": "Café",
    "会員_リスト": "会員 リスト",
    "会员": "会员",
    "회원": "회원",
    "участники": "участники",
    "μέλη": "μέλη",
    "أعضاء": "أعضاء",
    "חברים": "חברים",
    "सदस्य": "सदस्य",
    "สมาชิก": "สมาชิก",
    "🎉_party": "🎉 party",
    "O'Neill": "O'Neill",
    'The_"Boss"': 'The "Boss"',
    "100%_%s_%(x)s_{0}": "100% %s %(x)s {0}",
    "'; drop table uploads; --": "'; drop table uploads; --",
    "a' OR '1'='1": "a' OR '1'='1",
    "$(reboot)`id`&|<>": "$(reboot)`id`&|<>",
    "*?[x]": "*?[x]",
    "-rf": "-rf",
    "VIP~": "VIP~",
    "=cmd()": "=cmd()",
    "<script>alert(1)": "<script>alert(1)",
    "VIP\u200f": "VIP\u200f",
    "VIP\u202evsc": "VIP\u202evsc",
    "a\u00a0b": "a b",
    LONGEST: LONGEST,
    "é" * ((255 - len(END)) // 2): "é" * ((255 - len(END)) // 2),
}


@in_process
@pytest.mark.parametrize(("name", "title"), TITLES.items(), ids=range(len(TITLES)))
async def test_a_name_of_any_script_is_the_segments_title_to_the_ledger_and_to_plain_sql(
    sender: Sender, name: str, title: str
) -> None:
    filename = f"{name}{END}"
    assert await sender.send(ExportFile(filename, ids(1, 2))) == ""
    row = await sender.newest(filename)
    assert (row["state"], row["segment"], row["filename"]) == (State.LOADED, title, filename)
    assert await sender.segments() == [title]
    assert sender.members(title) == [1, 2]
    segment = await sender.on_segment("retire", name)
    assert segment["segment"] == title


@in_process
@pytest.mark.parametrize("name", ["'; drop table uploads; --", '"Boss"', "100%", "会員", "VIP\u202e", LONGEST])
async def test_the_stock_sftp_brings_such_names_too(sender: Sender, name: str) -> None:
    pushed = await sender.push(ExportFile(f"{name}{END}", ids(1)))
    assert pushed.ok, pushed.output
    assert (await sender.newest(f"{name}{END}"))["state"] == State.LOADED


@in_process
async def test_a_name_over_255_bytes_is_refused_and_one_of_255_can_have_a_temporary_name_no_more(
    sender: Sender,
) -> None:
    answer = await sender.send(ExportFile(f"x{LONGEST}{END}", ids(1)))
    assert "255 bytes" in answer
    answer = await sender.send(ExportFile(f"{LONGEST}{END}", ids(1)), temporary_name=True)
    assert "255 bytes" in answer
    assert await sender.ledger() == []


@in_process
async def test_case_form_and_separator_of_a_name_make_no_second_segment(sender: Sender) -> None:
    for number, name in enumerate(["Straße_Café_", "STRASSE_CAFÉ-", "strasse Cafe\u0301 ", "Straße  café"], 1):
        row = await sender.put(f"{name}{stamp(number)}.csv", ids(number))
        assert row["state"] == State.LOADED
        assert bool(row["warnings"]) is (row["segment"] != "Straße Café")
    assert await sender.segments() == ["Straße Café"]
    assert sender.members("Straße Café") == [4]


@in_process
@pytest.mark.parametrize(
    "name",
    ["ready", "VIP.csv.filepart", f".VIP{END}", f"VIP{END}.tmp", "data.json", f"VIP{END}.done", "_SUCCESS", "csv"],
)
async def test_what_is_no_segment_file_is_kept_and_ignored(sender: Sender, name: str) -> None:
    assert await sender.send(ExportFile(name, b"anything\0")) == ""
    row = await sender.newest(name)
    assert (row["state"], row["code"], row["segment"], row["stamp"], row["rows"]) == (
        State.IGNORED,
        None,
        None,
        None,
        None,
    )
    assert row["finished_at"] is not None
    assert "It is no list" in row["reason"]


@in_process
async def test_a_list_in_a_folder_replaces_nothing_until_client_toml_names_the_folder(sender: Sender) -> None:
    sender.make_folder("test")
    assert (await sender.put(f"VIP{END}", ids(1, 2)))["state"] == State.LOADED
    row = await sender.put(f"test/VIP_{stamp(2)}.csv", ids(3))
    assert (row["state"], row["code"], row["directory"]) == (State.REJECTED, Code.DIRECTORY, "/test")
    assert sender.members("VIP") == [1, 2]
    sender.configure('directories = ["/test/", "/tmp"]\n')
    sender.make_folder("tmp")
    for number, folder in enumerate(("test", "tmp"), 3):
        row = await sender.put(f"{folder}/VIP_{stamp(number)}.csv", ids(number))
        assert (row["state"], row["directory"]) == (State.LOADED, f"/{folder}")
        assert "directory" not in [one["code"] for one in row["warnings"]]
    assert (await sender.put(f"VIP_{stamp(5)}.csv", ids(5)))["directory"] == "/"
    assert sender.members("VIP") == [5]


@in_process
@pytest.mark.parametrize(
    "temporary", ["tmp.VIP", "TMP-VIP", "inprogress-VIP", "uploading-VIP", "~VIP", "tmp/VIP", "in/Temp/VIP"]
)
async def test_half_a_list_under_a_temporary_name_is_none_and_the_renamed_whole_is(
    sender: Sender, temporary: str
) -> None:
    sender.make_folder(f"{temporary}/..")
    path = f"{temporary}{END}"
    assert await sender.send(ExportFile(path, ids(1))) == ""
    assert (await sender.newest(path))["state"] == State.IGNORED
    assert await sender.segments() == []
    await sender.send(ExportFile(path, ids(1, 2, 3)))
    sftp = await sender.connect()
    await sftp.posix_rename(path, f"VIP{END}")
    await sender.settled()
    assert await sender.segments() == ["VIP"]
    assert sender.members("VIP") == [1, 2, 3]
    await sftp.rename(f"VIP{END}", path)
    await sender.settled()
    assert (await sender.newest(path))["state"] != State.REJECTED


@in_process
async def test_a_client_may_add_temporary_names(sender: Sender) -> None:
    sender.configure('temporary_names = ["new-", "incoming"]\n')
    sender.make_folder("Incoming")
    for path in (f"NEW-VIP{END}", f"Incoming/VIP{END}"):
        assert (await sender.put(path, ids(1)))["state"] == State.IGNORED
    assert await sender.segments() == []


@in_process
async def test_the_companions_of_a_list_trouble_nobody(sender: Sender) -> None:
    await sender.put(f"VIP{END}", ids(*range(30)))
    stem = f"VIP{END}".removesuffix(".csv")
    for name in (f"{stem}.txt", f"{stem}.ready", f"{stem}.csv.ready", stem, f"{stem}_count.csv", f"{stem}.count"):
        assert await sender.send(ExportFile(name, b"30\n")) == "", name
        assert (await sender.newest(name))["state"] == State.IGNORED
    assert "does not end in .csv" in await sender.send(ExportFile(f"Gold{END}".removesuffix(".csv"), ids(1, 2)))


@in_process
@pytest.mark.parametrize("path", ["\\upload\\VIP", "C:\\out\\VIP", "out\\VIP"])
async def test_a_windows_path_makes_no_segment(sender: Sender, path: str) -> None:
    assert "is a Windows path" in await sender.send(ExportFile(f"{path}{END}", ids(1)))
    assert await sender.segments() == []


@in_process
@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"会員{stamp(1)}_{stamp(1)}.csv", Code.NAME),
        (f"\u200f\u202e{END}", Code.NAME),
        (f"{END}", Code.NAME),
        ("VIP_20240230_0900.csv", Code.NAME),
        ("VIP_00000000_0000.csv", Code.NAME),
        ("VIP_２０２４０１０１_0900.csv", Code.NAME),
        ("VIP_20240101_900.csv", Code.NAME),
        ("VIP_20240101-0900.csv", Code.NAME),
        (".csv", None),
        (f"VIP{END}.ZIP", Code.PACKED),
    ],
)
async def test_a_name_that_says_no_segment_or_no_day_is_answered_with_the_name(
    sender: Sender, name: str, code: Code | None
) -> None:
    answer = await sender.send(ExportFile(name, ids(1)))
    row = await sender.newest(name)
    assert row["code"] == code
    assert answer == (row["reason"] if code else "")
    assert answer.isprintable()
    assert await sender.segments() == []


@in_process
async def test_what_the_command_line_prints_turns_no_line_around_and_json_keeps_the_name(sender: Sender) -> None:
    title = "VIP\u202e'; drop table uploads; --%s"
    assert (await sender.put(f"{title}{END}", ids(1)))["state"] == State.LOADED
    printed = await sender.server.cli("upload", "list")
    assert "VIP\\u202e'; drop table uploads; --%s" in printed
    assert "\u202e" not in printed
    listed = json.loads(await sender.server.cli("segment", "list", "--json"))
    assert title in {row["segment"] for row in listed}
