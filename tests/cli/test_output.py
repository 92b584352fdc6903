"""What is printed: harmless whatever a sender calls its files, one row a line, and data only where it is piped on."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.console import Console

from ctsftp.cli import output
from ctsftp.cli.output import iso_time, plain, print_facts, print_json, print_table, short_time
from tests.app.bench import rows

from .shell import Shell

# A terminal's colours, an 8-bit control sequence, text that is turned around, markup, an emoji's name, a tab.
WILD = "\x1b[31mred\x9b2J\N{RIGHT-TO-LEFT OVERRIDE}gpj\N{RIGHT-TO-LEFT MARK}[bold]x[/bold]:smile:\t\u2028"
SHOWN = r"\x1b[31mred\x9b2J\u202egpj\u200f[bold]x[/bold]:smile:\t\u2028"


def is_harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def test_a_value_is_one_line_that_moves_nothing() -> None:
    assert plain(WILD) == SHOWN
    assert plain("a\nb\r") == r"a\nb\r"
    assert plain("Größe Ω 日本") == "Größe Ω 日本"
    assert (plain(None), plain(1234567), plain(True), plain("1234567")) == ("-", "1,234,567", "True", "1234567")  # noqa: FBT003


def test_tables_and_facts_show_wild_names_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"name": WILD}], [("NAME", "name"), ("", lambda row: row["name"])], empty="")
    print_facts([("name", WILD)])
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert out.count(SHOWN) == 3


def test_json_shows_wild_names_as_its_own_escapes_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": WILD, "tag": "\U000e0041", "delete": "\x7f", "umlaut": "Größe 日本 😀"}
    print_json(value)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert json.loads(out) == value
    assert "Größe 日本 😀" in out


def test_a_value_that_has_no_json_is_a_bug() -> None:
    with pytest.raises(TypeError):
        print_json({"when": object()})


def test_where_output_is_piped_on_a_row_is_a_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 255
    print_table([{"name": name, "reason": "y" * 500}] * 2, [("NAME", "name"), ("REASON", "reason")], empty="")
    print_facts([("reason", "word " * 200)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(name in line for line in lines[1:3])


def test_on_a_terminal_a_row_is_folded_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=sys.stdout, width=40, highlight=False, emoji=False, markup=False)
    monkeypatch.setattr(output, "_console", lambda: console)
    with console.capture() as captured:
        print_table([{"name": "0123456789" * 10}], [("NAME", "name")], empty="")
    lines = captured.get().splitlines()
    assert len(lines) == 4
    assert "".join(line.strip() for line in lines[1:]) == "0123456789" * 10


def test_on_a_narrow_terminal_spare_columns_go_first_and_an_id_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(file=sys.stdout, width=40, highlight=False, emoji=False, markup=False)
    monkeypatch.setattr(output, "_console", lambda: console)
    row = {"name": "a long name that folds", "rows": 123456, "members": 5, "id": "x" * 24}
    columns = [("NAME", "name"), ("ROWS", "rows"), ("MEMBERS", "members"), ("ID", "id")]
    with console.capture() as captured:
        print_table([row], columns, empty="", spare=("ROWS", "MEMBERS"))
    assert captured.get().split("\n")[0].split() == ["NAME", "ID"]
    assert "x" * 24 in captured.get()
    assert "ROWS, MEMBERS" in capsys.readouterr().err


def test_on_a_narrow_terminal_what_can_be_written_short_is_before_anything_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = [("NAME", "name"), ("ROWS", "rows"), ("ID", "id")]
    shown = {}
    for width in (40, 30, 20):
        console = Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
        monkeypatch.setattr(output, "_console", lambda console=console: console)
        with console.capture() as captured:
            short = [("ID", lambda row: row["id"][:8])]
            print_table([{"name": "VIP", "rows": 7, "id": "x" * 26}], columns, empty="", spare=("ROWS",), short=short)
        shown[width] = [line.split() for line in captured.get().splitlines()]
    assert shown[40] == [["NAME", "ROWS", "ID"], ["VIP", "7", "x" * 26]]
    assert shown[30] == [["NAME", "ROWS", "ID"], ["VIP", "7", "x" * 8]]
    assert shown[20] == shown[30]
    assert capsys.readouterr().err == ""


def test_times_of_json_are_iso_8601_in_utc() -> None:
    east = datetime(2026, 3, 10, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert iso_time(east) == "2026-03-10T12:00:00.123Z"
    assert datetime.fromisoformat(iso_time(east)).tzinfo == UTC
    assert (short_time(iso_time(east)), short_time(None)) == ("2026-03-10 12:00:00", "-")


def test_a_wild_file_name_is_harmless_in_every_command(shell: Shell) -> None:
    wild = "\N{RIGHT-TO-LEFT OVERRIDE}[red]VIP\N{RIGHT-TO-LEFT MARK}\x9b_20260310_0900.csv".replace("\x9b", "")
    shown = r"\u202e[red]VIP\u200f_20260310_0900.csv"
    row = shell.load(wild, rows([1]))
    name = "\N{RIGHT-TO-LEFT OVERRIDE}[red]vip\N{RIGHT-TO-LEFT MARK}"
    for command in (
        ("upload", "list"),
        ("upload", "show", row.id),
        ("segment", "list"),
        ("segment", "show", name),
        ("segment", "history", name),
        ("member", "segments", "1"),
    ):
        out = shell.run(*command).out
        assert is_harmless(out)
        assert r"\u202e[red]VIP\u200f" in out or "history" in command
        assert is_harmless(shell.run(*command, "--json").out)
    assert shell.json("upload", "list")[0]["filename"] == wild
    assert shown in shell.run("upload", "list").out
    assert is_harmless(shell.run("segment", "retire", name).err)
    assert is_harmless(shell.run("segment", "retire", name, code=1).err)
    assert is_harmless(shell.run("upload", "approve", row.id, code=1).err)


def test_a_wild_file_name_with_control_characters_is_rejected_and_shown_harmlessly(shell: Shell) -> None:
    """SFTP refuses such names; a local user can bring one."""
    place = shell.folder / "data" / "clients" / "acme" / "home"
    place.mkdir(parents=True)
    row = shell.load("\x1b[31mVIP\n_20260310_0900.csv", rows([1]))
    assert row.code == "name"
    for command in (("upload", "list"), ("upload", "show", row.id)):
        assert is_harmless(shell.run(*command).out)
        assert is_harmless(shell.run(*command, "--json").out)


def test_a_table_of_very_many_rows_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """rich took half a minute for so many."""
    rows = [{"name": f"Größe {number}", "id": number} for number in range(20_000)]
    began = time.process_time()
    print_table(rows, [("NAME", "name"), ("ID", "id")], empty="")
    assert time.process_time() - began < 2
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[1], lines[-1]] == ["NAME         ID    ", "Größe 0      0     ", "Größe 19999  19,999"]


def test_a_wide_letter_takes_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"name": "日本", "id": 1}, {"name": "abcd", "id": 2}], [("NAME", "name"), ("ID", "id")], empty="")
    assert capsys.readouterr().out.splitlines() == ["NAME  ID", "日本  1 ", "abcd  2 "]
