"""The tour as a stranger runs it: a process of its own, in an environment that is full of another server's settings."""

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from ctsftp.contract.states import State
from ctsftp.demo import screen
from ctsftp.demo.sample import open_sample
from ctsftp.demo.visit import READY, describe
from ctsftp.model.records import Upload

pytestmark = pytest.mark.slow

PATIENCE_S = 90

needs_sftp = pytest.mark.skipif(
    shutil.which("sftp") is None and "CTSFTP_TESTS_NO_SKIP" not in os.environ, reason="no stock sftp here"
)

# What must not reach the tour: a server that the visitor runs in earnest, and settings that are wrong.
OTHERS = {
    "CTSFTP_DATA_DIR": "/nonexistent/data",
    "CTSFTP_DATABASE_URL": "sqlite+aiosqlite:////nonexistent/ctsftp.db",
    "CTSFTP_SFTP__PORT": "1",
    "CTSFTP_SFTP__MAX_FILE_SIZE_BYTES": "nonsense",
}


class Visitor:
    """A person with a folder for temporary files and a choice of programs on PATH, who runs the tour."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        (folder / "ctsftp.toml").write_text("this is no TOML")
        self._folder = folder
        ours = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "COLUMNS"}}
        self.env = {**ours, **OTHERS, "TMPDIR": str(self.temporary)}

    def replace_sftp(self, script: str | None) -> None:
        """Put a program in front of the stock sftp, or None: leave nothing on PATH."""
        programs = self._folder / "bin"
        programs.mkdir()
        if script is not None:
            (programs / "sftp").write_text(f"#!/bin/sh\n{script}\n")
            (programs / "sftp").chmod(0o755)
        self.env["PATH"] = str(programs) if script is None else f"{programs}{os.pathsep}{self.env['PATH']}"

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ctsftp", "demo", *options],
            cwd=self._folder,
            env=self.env | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run_once(self) -> subprocess.CompletedProcess[str]:
        with self.start("--once") as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(tmp_path)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def numbers(pattern: str, text: str) -> list[tuple[int, ...]]:
    """Return the numbers in each place where a pattern stands; `N` in it is a number."""
    found = re.finditer(pattern.replace("N", r"([\d,]+)"), text)
    return [tuple(int(group.replace(",", "")) for group in match.groups()) for match in found]


def gold_members(sample: sqlite3.Connection) -> list[int]:
    """Choose the audience without the tour's SQL."""
    query = "SELECT CTUserID, TIER, EMAIL_PERMISSION_STATUS_ FROM CONTACTS"
    return [member for member, tier, status in sample.execute(query) if (tier, status) == ("Gold", "I") and member]


def gold_members_of_the_next_run(sample: sqlite3.Connection) -> list[int]:
    """Choose it as it is after the changes that the tour shows: new ones in, who opted out left."""
    query = "SELECT CTUserID, TIER, EMAIL_PERMISSION_STATUS_, POINTS FROM CONTACTS"
    gold = [
        (member, status, points)
        for member, tier, status, points in sample.execute(query)
        if tier == "Gold" or (tier == "Silver" and points > 45_000)
    ]
    return [member for member, status, points in gold if status == "I" and points >= 2_000 and member]


class TestOnce:
    @pytest.fixture(scope="class")
    @classmethod
    def once(cls, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
        visitor = Visitor(tmp_path_factory.mktemp("once"))
        done = visitor.run_once()
        assert done.returncode == 0, done.stderr
        assert list(visitor.temporary.iterdir()) == []
        return done

    @pytest.fixture(scope="class")
    @classmethod
    def sample(cls) -> Iterator[sqlite3.Connection]:
        with closing(open_sample()) as connection:
            yield connection

    def test_it_ends_well_with_nothing_of_the_servers_log_and_no_control_codes(
        self, once: subprocess.CompletedProcess[str]
    ) -> None:
        assert once.stderr == ""
        assert [char for char in once.stdout if not char.isprintable() and char != "\n"] == []

    def test_its_steps_are_numbered_and_each_says_what_happens(self, once: subprocess.CompletedProcess[str]) -> None:
        steps = re.findall(r"^(\d+)\. .+\n\w.+", once.stdout, re.MULTILINE)

        assert steps == ["1", "2", "3", "4", "5", "6", "7", "8", "9"]

    def test_the_segment_has_the_members_of_the_audience(
        self, once: subprocess.CompletedProcess[str], sample: sqlite3.Connection
    ) -> None:
        audience = gold_members(sample)
        rows, members = len(audience), len(set(audience))
        text = in_one_line(once.stdout)

        assert numbers("gives N rows with N different members", text) == [(rows, members)]
        assert numbers("N rows = N members", text) == [(rows, members)]
        assert numbers(r"N duplicates \+ N rejected", text) == [(rows - members, 0)]
        assert numbers("All N ids", text) == [(members,)]
        assert numbers(r"Gold Members N N N \d+_\d+ N", text)[0] == (members, members, 0, 1)

    def test_the_first_ids_are_the_lowest_of_the_audience(
        self, once: subprocess.CompletedProcess[str], sample: sqlite3.Connection
    ) -> None:
        shown = re.search(r"segment members gold_members \| head -3\n((?:  \d+\n)+)", once.stdout)

        assert shown
        assert [int(line) for line in shown[1].split()] == sorted(set(gold_members(sample)))[:3]

    def test_the_next_run_tells_who_entered_and_who_left(
        self, once: subprocess.CompletedProcess[str], sample: sqlite3.Connection
    ) -> None:
        before, after = set(gold_members(sample)), set(gold_members_of_the_next_run(sample))
        listed = numbers(r"Gold Members N N N \d+_\d+ N", in_one_line(once.stdout))

        assert before - after
        assert after - before
        assert listed[1:] == [(len(after), len(after - before), len(before - after), 2)]

    def test_who_came_may_see_the_reward_and_who_left_may_not(
        self, once: subprocess.CompletedProcess[str], sample: sqlite3.Connection
    ) -> None:
        before, after = set(gold_members(sample)), set(gold_members_of_the_next_run(sample))
        answers = re.findall(r'\{"ct_user_id":(\d+),"open":(true|false)\}', once.stdout)

        assert answers == [(str(min(after - before)), "true"), (str(min(before - after)), "false")]

    def test_the_wrong_setting_is_answered_and_the_segment_stays(
        self, once: subprocess.CompletedProcess[str], sample: sqlite3.Connection
    ) -> None:
        answer = once.stdout.partition("word for word:\n")[2].partition("Code ")[0]

        assert "semicolons" in answer
        assert "In the Connect job's form, set Field delimiter: Comma." in answer
        assert re.search(r"Setting to change +Field delimiter: Comma", once.stdout)
        assert numbers("still has its N members", once.stdout) == [(len(set(gold_members_of_the_next_run(sample))),)]

    def test_the_ledger_has_all_three_uploads_with_the_same_numbers(
        self, once: subprocess.CompletedProcess[str], sample: sqlite3.Connection
    ) -> None:
        ledger = once.stdout.partition("$ ctsftp upload list\n")[2]
        runs = gold_members(sample), gold_members_of_the_next_run(sample)

        assert len(re.findall(r"^Gold_Members_\d{8}_\d{4}\.csv ", ledger, re.MULTILINE)) == 3
        assert len(re.findall(r"csv +rejected \(delimiter\)", ledger)) == 1
        assert numbers(r"csv +loaded +N +N +N", ledger) == [(len(run), len(set(run)), 0) for run in reversed(runs)]

    @needs_sftp
    def test_the_stock_sftp_pushes(self, once: subprocess.CompletedProcess[str]) -> None:
        assert len(re.findall(r"  sftp> put \S+ \"/Gold_Members_", once.stdout)) == 3

    def test_without_an_sftp_it_tells_the_same(self, visitor: Visitor, once: subprocess.CompletedProcess[str]) -> None:
        visitor.replace_sftp(None)
        done = visitor.run_once()
        counts = r"csv +loaded +N +N +N"

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("asyncssh's client (there is no sftp here) pushes it.") == 2
        assert done.stdout.count("asyncssh's client (there is no sftp here) pushes it, and fails.") == 1
        assert numbers(counts, done.stdout) == numbers(counts, once.stdout)
        assert list(visitor.temporary.iterdir()) == []


class TestStaying:
    @needs_sftp
    def test_a_visitors_own_sftp_is_told_of_until_ctrl_c(self, visitor: Visitor) -> None:
        with visitor.start() as process:
            told = read_until(process, READY)
            [cd], [sftp], [put, put_wrong] = (typed(told, word) for word in ("cd", "sftp", "put"))
            in_its_folder(cd, sftp, f"{put}\n{put_wrong}\n")
            rejected, loaded = sorted(read_until(process, "VIP_Guests").strip() for _ in range(2))
            segments = json.loads(in_its_folder(cd, f"{shlex.quote(sys.executable)} -m ctsftp segment list --json"))
            process.send_signal(signal.SIGINT)
            rest, err = process.communicate(timeout=PATIENCE_S)

        with closing(open_sample()) as sample:
            [(guests,)] = sample.execute("SELECT count(DISTINCT CTUserID) FROM VIP_GUESTS")
        assert loaded.endswith(f'loaded, the segment "VIP Guests" has {guests} members')
        assert rejected.startswith("VIP_Guests.csv: rejected (name), ")
        assert "In the Connect job's form, set Name: no prefix" in rejected
        assert [(segment["segment"], segment["members"]) for segment in segments] == [
            ("Gold Members", numbers("still has its N members", told)[0][0]),
            ("VIP Guests", guests),
        ]
        assert len(rest.strip().splitlines()) == 1
        assert (process.returncode, err) == (0, "")
        assert list(visitor.temporary.iterdir()) == []


class TestEndings:
    def test_an_sftp_that_did_nothing_ends_the_tour_with_an_error(self, visitor: Visitor) -> None:
        visitor.replace_sftp("echo no route to host; exit 0")
        done = visitor.run_once()

        assert done.returncode == 1
        assert re.fullmatch(r"ctsftp: Gold_Members_\S+ did not reach .* sftp said .*: no route to host\n", done.stderr)
        assert list(visitor.temporary.iterdir()) == []

    def test_ctrl_c_during_the_tour_ends_it_and_leaves_nothing_behind(self, visitor: Visitor) -> None:
        visitor.replace_sftp("exec sleep 600")
        with visitor.start("--once") as process:
            read_until(process, "begins with")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE_S)

        assert process.returncode == 130
        assert "Traceback" not in err
        assert list(visitor.temporary.iterdir()) == []


def typed(told: str, word: str) -> list[str]:
    """Return the commands that the tour asks to be typed and that begin with a word."""
    return [line.strip() for line in told.splitlines() if line.startswith(f"  {word} ")]


def in_its_folder(cd: str, command: str, lines: str = "") -> str:
    """Type a command in a terminal of one's own, which has no settings, and lines for it; return what it prints."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CTSFTP_")}
    return subprocess.run(
        ["sh", "-c", f"{cd} && {command}"],
        env=env | {"PYTHONPATH": os.pathsep.join(sys.path)},
        input=lines,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    ).stdout


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """Read what a process prints, up to the line that holds `wanted`."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return "".join(lines)
    pytest.fail(f"it ended before {wanted!r}: {''.join(lines)}")


def upload(state: State, **facts: object) -> Upload:
    given = dict.fromkeys(Upload.__dataclass_fields__) | {"filename": "VIP_20260131_0900.csv", "state": state} | facts
    return Upload(**given)  # type: ignore[arg-type]


class TestDescribing:
    def test_a_loaded_upload_is_told_by_its_segment_and_its_members(self) -> None:
        told = describe(upload(State.LOADED, segment_title="VIP", members=12_345))

        assert told == 'VIP_20260131_0900.csv: loaded, the segment "VIP" has 12,345 members'

    def test_any_other_is_told_by_its_code_and_its_reason(self) -> None:
        told = describe(upload(State.HELD, segment_title="VIP", code="empty", reason="It has no members."))

        assert told == "VIP_20260131_0900.csv: held (empty), It has no members."

    def test_one_without_a_reason_is_told_by_the_move_that_brought_it_there(self) -> None:
        told = describe(upload(State.IGNORED, filename="ready.flag"))

        assert told == "ready.flag: ignored, its name does not look like a segment file"

    def test_a_name_cannot_move_the_cursor_or_turn_the_line_around(self) -> None:
        told = describe(upload(State.LOADED, filename="a\x1b[2J", segment_title="\u202eb", members=1))

        assert told.isprintable()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class TestScreen:
    @pytest.fixture(autouse=True)
    def narrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("COLUMNS", "30")
        monkeypatch.setenv("LINES", "24")

    def test_headings_are_bold_in_a_terminal(self) -> None:
        with redirect_stdout(Terminal()) as terminal:
            screen.heading("1. [Choose]")

        assert terminal.getvalue() == "\n\x1b[1m1. [Choose]\x1b[0m\n"

    def test_prose_is_wrapped_at_spaces_and_keeps_long_words_whole(self) -> None:
        with redirect_stdout(Terminal()) as terminal:
            screen.prose("It is in /a/path/that-is/longer-than/the-terminal, and that is that.")

        assert terminal.getvalue().splitlines() == [
            "It is in",
            "/a/path/that-is/longer-than/the-terminal,",
            "and that is that.",
        ]

    def test_what_is_to_be_pasted_is_never_wrapped(self) -> None:
        line = "sftp -P 2022 -i acme_key acme@127.0.0.1 and more"
        with redirect_stdout(Terminal()) as terminal:
            screen.verbatim(line)
            screen.command(line)

        assert terminal.getvalue().splitlines() == [f"  {line}", f"\x1b[36m$ {line}\x1b[0m"]
