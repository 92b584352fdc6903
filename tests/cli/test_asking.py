"""Commands that read ask the server that runs, and read the database themselves where it does not answer in time."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from ctsftp.admin import asking
from ctsftp.admin.administration import open_service
from ctsftp.admin.control import ControlSocket
from ctsftp.admin.reading import HANDLERS, PAGE_ROWS
from ctsftp.admin.wire import PROTOCOL, dump
from ctsftp.cli.main import COMMANDS
from ctsftp.model.commands import Command
from ctsftp.model.reads import READS, Read
from ctsftp.settings import read_settings
from tests.app.bench import NAME, NEXT, rows

from .shell import Shell

HEAVY = ("pydantic", "sqlalchemy", "numpy", "asyncssh", "structlog", "asyncio")
# Runs a command, and tells on stderr which of the heavy modules were imported for it.
TELL = f"""
import sys
from ctsftp.admin import asking
from ctsftp.cli import main
asking.READ_WAIT_S = 60  # whatever else this machine does
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture
def known(shell: Shell) -> Shell:
    """A shell with something of each kind to see."""
    shell.load(NAME, rows([*range(1, 200), "x"]))
    shell.load(NEXT, rows([1]))  # is held
    shell.run("gate", "set", "reward", "4711", "--segment", "VIP")
    shell.run("token", "add", "shop")
    shell.run("hook", "add", "http://127.0.0.1:9/", "--no-test")
    return shell


@pytest.fixture(autouse=True)
def _anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for group in ("SFTP", "HTTP"):
        monkeypatch.setenv(f"CTSFTP_{group}__PORT", "0")
    monkeypatch.setenv("CTSFTP_NOTIFY__ALLOW_INTERNAL", "true")


@asynccontextmanager
async def serving() -> AsyncIterator[None]:
    """A server in this process, which says nothing on the streams of the commands."""
    with capture_logs():
        async with open_service(read_settings()), asyncio.timeout(60):
            yield


@asynccontextmanager
async def in_its_place(answer: bytes) -> AsyncIterator[list[bytes]]:
    """Something else that listens where the server would, and answers everything with this; give what it is asked."""
    asked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(answer)
        await reader.read()  # until the other side has gone
        writer.close()

    server = await asyncio.start_unix_server(listen, read_settings().data_dir / "control.sock")
    try:
        yield asked
    finally:
        server.close()


async def typed(shell: Shell, *command: str) -> Any:
    return await asyncio.to_thread(shell.run, *command)


def commands(held: str) -> list[Sequence[str]]:
    return [
        ("segment", "list"),
        ("segment", "show", "vip"),
        ("segment", "history", "vip"),
        ("member", "segments", "7"),
        ("upload", "list"),
        ("upload", "list", "--state", "held", "--client", "acme", "--segment", "vip"),
        ("upload", "show", held),
        ("upload", "show", NEXT),
        ("upload", "show", held[:18]),
        ("upload", "rejects", NAME),
        ("gate", "list"),
        ("token", "list"),
        ("hook", "list"),
        ("hook", "deliveries"),
    ]


async def test_a_server_tells_what_the_database_holds(known: Shell) -> None:
    [held] = await asyncio.to_thread(known.json, "upload", "list", "--state", "held")
    wanted = [(*command, *form) for command in commands(held["id"]) for form in ((), ("--json",))]
    alone = [await typed(known, *command) for command in wanted]
    async with serving():
        asked = [await typed(known, *command) for command in wanted]
    for command, one, other in zip(wanted, alone, asked, strict=True):
        assert one == other, command
    assert all(done.out for done in alone)


async def test_what_is_not_there_is_told_in_the_same_words(known: Shell) -> None:
    wanted = [
        ("segment", "show", "gold"),
        ("segment", "list", "--client", "nobody"),
        ("upload", "show", "gold.csv"),
        ("upload", "rejects", "019ab8f0-5c1e-7a52-9a3b-0f2d4c6e8a10"),
        ("hook", "deliveries", "--hook", "7"),
    ]
    alone = [await asyncio.to_thread(known.refused, *command, code=1) for command in wanted]
    async with serving():
        assert [await asyncio.to_thread(known.refused, *command, code=1) for command in wanted] == alone


@pytest.mark.parametrize("command", ["segment list", "segment list --json", "upload list", "upload show", "login list"])
async def test_to_ask_a_server_costs_no_import_of_its_own(known: Shell, command: str) -> None:
    words = [*command.split(), *([NAME] if command == "upload show" else [])]
    async with serving():
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", TELL, *words],
            cwd=known.folder,
            env=known.env,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("noun", COMMANDS)
def test_help_imports_nothing_that_is_heavy(empty_shell: Shell, noun: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TELL, noun, "--help"],
        cwd=empty_shell.folder,
        env=empty_shell.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"


async def test_without_an_answer_in_time_the_database_is_read_and_that_is_said(
    known: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "READ_WAIT_S", 0.1)
    alone = await typed(known, "segment", "list")
    async with in_its_place(dump({"protocol": PROTOCOL}) + b"\n") as asked:
        done = await typed(known, "segment", "list")
    assert (done.out, len(asked)) == (alone.out, 1)
    assert "gave no answer" in done.err
    assert "database was read instead" in done.err


@pytest.mark.parametrize("answer", [{"protocol": PROTOCOL + 1}, {"error": "CtsftpError", "text": "KeyError('do')"}])
async def test_a_server_of_another_protocol_is_not_believed(known: Shell, answer: dict[str, Any]) -> None:
    alone = await typed(known, "segment", "list", "--json")
    async with in_its_place(dump(answer) + b"\n"):
        done = await typed(known, "segment", "list", "--json")
        refused = await asyncio.to_thread(known.refused, "sweep", code=1)
    assert done.out == alone.out
    for told in (done.err, refused):
        assert "is of another version of ctsftp than this command: restart it." in told
    assert "The database was read instead." in done.err


async def test_a_server_that_stops_amid_its_answer_is_as_good_as_none(known: Shell) -> None:
    begun = asyncio.Event()

    async def stop(_asked: Read[object]) -> AsyncIterator[list[Any]]:
        yield [{"client": "nobody"}]
        begun.set()
        await asyncio.Event().wait()

    async def perform(_command: Command[object]) -> None: ...

    control = ControlSocket(read_settings().data_dir / "control.sock", perform, stop)
    await control.start()
    command = asyncio.create_task(typed(known, "segment", "list", "--json"))
    await begun.wait()
    await control.close()
    assert [row["client"] for row in json.loads((await command).out)] == ["acme"]


def test_every_question_has_a_name_and_an_answer() -> None:
    assert set(READS.values()) == set(HANDLERS)


async def test_a_list_of_many_pages_is_whole(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctsftp.admin.reading.PAGE_ROWS", 2)
    assert PAGE_ROWS == 1_000
    names = [f"S{number}_20260310_0900.csv" for number in range(5)]
    for name in names:
        await asyncio.to_thread(shell.load, name, rows([1]))
        await typed(shell, "gate", "set", "reward", name[:2], "--segment", name[:2])
    async with serving():
        for noun, field in (("segment", "segment"), ("gate", "item")):
            found = await asyncio.to_thread(shell.json, noun, "list")
            assert [one[field] for one in found] == [name[:2] for name in names]
        uploads = await asyncio.to_thread(shell.json, "upload", "list")
        assert [one["filename"] for one in uploads] == names[::-1]


def test_a_completion_imports_nothing_that_is_heavy_and_ends_well(empty_shell: Shell) -> None:
    words = {"_CTSFTP_COMPLETE": "bash_complete", "COMP_WORDS": "ctsftp segment hi", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['ctsftp']\n" + TELL],
        cwd=empty_shell.folder,
        env={**empty_shell.env, **words},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "plain,history\n"
    assert done.stderr.strip() == "[]"
