"""The control socket: one question, one answer, and nobody else listens."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.typing import EventDict

from ctsftp import errors
from ctsftp.admin import asking, control
from ctsftp.admin.control import ControlSocket
from ctsftp.admin.wire import ERROR, FRAME_HEAD, KINDS, MAX_FRAME_BYTES, PROTOCOL, dump
from ctsftp.errors import CtsftpError, OtherVersionError, RefusedError, SettingsError, UsageError
from ctsftp.model import commands, reads
from ctsftp.model.commands import Command, RollBackSegment, Sweep
from ctsftp.model.reads import ListSegments, Read

PATIENCE_S = 20.0
R = TypeVar("R")


class NeverHeardOfError(RefusedError):
    """Another one."""


class WrongPortError(SettingsError):
    """An error that the other side does not know."""


LIST = ListSegments(None)
LIST_ON_THE_WIRE = dump({"protocol": PROTOCOL, "ask": reads.encode(LIST)}) + b"\n"


async def echo(command: Command[object]) -> object:
    return {"did": command.wire, **{one.name: getattr(command, one.name) for one in fields(command)}}


def pages(*counts: int, width: int = 0) -> Any:
    """Answers with pages of so many rows."""

    async def answer(asked: Read[object]) -> AsyncIterator[list[Any]]:
        for count in counts:
            yield [f"{asked.wire} {'x' * width}"] * count

    return answer


NO_ROWS = pages()


async def ask(place: Path, command: Command[R]) -> R:
    return await asyncio.to_thread(asking.perform, place, command)


async def read(place: Path) -> list[Any]:
    return await asyncio.to_thread(asking.read, place, LIST)


@asynccontextmanager
async def listening(place: Path, perform: Any = echo, rows: Any = NO_ROWS) -> AsyncIterator[ControlSocket]:
    listener = ControlSocket(place, perform, rows)
    await listener.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield listener
    finally:
        await listener.close()


def mode_of(place: Path) -> int | None:
    """The mode of what stands there, None if nothing does."""
    return stat.S_IMODE(place.stat().st_mode) if place.exists() else None


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def far_place(tmp_path: Path) -> Path:
    folder = tmp_path.joinpath(*["a folder with quite a long name"] * 6)
    folder.mkdir(parents=True)
    return folder / "control.sock"


async def test_a_question_is_answered(place: Path) -> None:
    async with listening(place):
        answer = await ask(place, RollBackSegment("Größe\n\udcff", number=2**70))
        assert answer == {"did": "segment.rollback", "name": "Größe\n\udcff", "client": None, "number": 2**70}


async def test_a_path_that_is_too_long_for_an_address_works_as_well(far_place: Path) -> None:
    assert len(os.fsencode(far_place)) > 107
    async with listening(far_place):
        assert mode_of(far_place) == 0o600
        assert await ask(far_place, Sweep()) == {"did": "sweep"}
    assert mode_of(far_place) is None


async def test_only_the_owner_may_open_it_and_nobody_elses_files_change_their_mode(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The umask belongs to all threads, of which one may be making folders."""

    def never(_mask: int) -> int:
        raise AssertionError("the umask was changed")

    monkeypatch.setattr(os, "umask", never)
    async with listening(place):
        assert mode_of(place) == 0o600


async def test_a_socket_that_a_dead_process_left_is_replaced(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    with pytest.raises(ConnectionRefusedError):
        await ask(place, Sweep())
    async with listening(place):
        assert await ask(place, Sweep()) == {"did": "sweep"}


async def test_where_nobody_listens_the_connection_is_refused(place: Path, far_place: Path) -> None:
    for nobody in (place, far_place, place.parent / "no" / "such" / "folder", far_place.parent / "none" / "here"):
        with pytest.raises(ConnectionRefusedError):
            await ask(nobody, Sweep())


async def test_a_socket_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be opened"):
        await ask(tmp_path / "file" / "control.sock", Sweep())


async def test_a_socket_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "control.sock").mkdir()
    with pytest.raises(SettingsError, match="CTSFTP_DATA_DIR"):
        await ControlSocket(tmp_path / "control.sock", echo, NO_ROWS).start()


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
async def test_every_error_keeps_its_class_and_its_text(place: Path, kind: type[CtsftpError]) -> None:
    async def refuse(_command: Command[object]) -> None:
        raise kind('"no" – ausdrücklich')

    async with listening(place, refuse):
        with pytest.raises(kind, match=r'^"no" – ausdrücklich$') as told:
            await ask(place, Sweep())
    assert type(told.value) is kind


@pytest.mark.parametrize(("raised", "told"), [(WrongPortError, SettingsError), (NeverHeardOfError, RefusedError)])
async def test_an_error_from_elsewhere_keeps_its_nearest_kind(
    place: Path, raised: type[CtsftpError], told: type[CtsftpError]
) -> None:
    async def refuse(_command: Command[object]) -> None:
        raise raised("no")

    async with listening(place, refuse):
        with pytest.raises(told, match=r"^no$") as answer:
            await ask(place, Sweep())
    assert type(answer.value) is told


def test_all_errors_are_known_by_name() -> None:
    assert KINDS["RefusedError"] is RefusedError
    assert len(KINDS) == len({kind.__name__ for kind in vars(errors).values() if isinstance(kind, type)})


async def test_a_bug_is_logged_and_told_without_ending_the_server(place: Path, events: list[EventDict]) -> None:
    async def break_down(_command: Command[object]) -> None:
        _ = 1 / 0

    async with listening(place, break_down):
        for _ in range(2):
            with pytest.raises(CtsftpError, match=r"ZeroDivisionError.* Its log says more"):
                await ask(place, Sweep())
    assert [event["event"] for event in events] == ["control request failed"] * 2


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'{"do": "sweep", "with": {}}\n',
        b'{"protocol": 2, "ask": 1}\n',
        b"\xff\n",
    ],
)
async def test_what_is_no_question_gets_an_error(place: Path, line: bytes) -> None:
    async with listening(place):
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(line)
        told = json.loads(await reader.readline())
        assert (told["error"], "another version" in told["text"]) == ("UsageError", True)
        writer.close()
        assert await ask(place, Sweep()) == {"did": "sweep"}


async def test_a_question_that_never_ends_is_broken_off(place: Path, events: list[EventDict]) -> None:
    async with listening(place):
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(b"x" * (MAX_FRAME_BYTES + 1))
        assert await reader.read() == b""
        writer.close()
        assert await ask(place, Sweep()) == {"did": "sweep"}
    assert [event["event"] for event in events] == ["control connection broke off"]


async def test_a_client_that_hangs_up_stops_nothing(place: Path) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_command: Command[object]) -> str:
        begun.set()
        await go_on.wait()
        done.set()
        return "x" * 10_000_000

    async with listening(place, slow):
        _, writer = await asyncio.open_unix_connection(str(place))
        writer.write(dump({"protocol": PROTOCOL, "ask": commands.encode(Sweep())}) + b"\n")
        await begun.wait()
        writer.close()
        silent = await asyncio.open_unix_connection(str(place))
        silent[1].close()  # and one that says nothing at all
        go_on.set()
        await done.wait()
        assert len(await ask(place, Sweep())) == 10_000_000


async def test_closing_breaks_off_what_is_still_being_answered_and_says_so(place: Path) -> None:
    begun = asyncio.Event()

    async def forever(_command: Command[object]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with listening(place, forever) as listener:
        asking = asyncio.create_task(ask(place, Sweep()))
        await begun.wait()
        await listener.close()
        with pytest.raises(CtsftpError, match="stopped before it answered"):
            await asking
        assert mode_of(place) is None
        await listener.close()


@pytest.mark.parametrize("asked", [{"do": "fly", "with": {}}, {"do": [], "with": 1}, {"read": "sky", "with": {}}, {}])
async def test_what_this_version_does_not_know_is_refused(place: Path, asked: dict[str, Any]) -> None:
    async with listening(place):
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(dump({"protocol": PROTOCOL, "ask": asked}) + b"\n")
        await reader.readline()
        kind, length = FRAME_HEAD.unpack(await reader.readexactly(FRAME_HEAD.size))
        assert (kind, json.loads(await reader.readexactly(length))["error"]) == (ERROR, "UsageError")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("counts", [(2, 0, 1), (0,), ()])
async def test_rows_come_page_by_page_in_their_order(place: Path, counts: tuple[int, ...]) -> None:
    async with listening(place, rows=pages(*counts)):
        assert await read(place) == ["segment.list "] * sum(counts)


@pytest.mark.parametrize("asked", [reads.encode(LIST), commands.encode(Sweep())])
async def test_no_frame_is_longer_than_its_limit_however_long_the_answer_is(
    place: Path, asked: dict[str, object]
) -> None:
    async def long(_command: Command[object]) -> str:
        return "x" * 5_000_000

    lengths: list[int] = []
    async with listening(place, long, pages(1, 5_000, width=1_000)):
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(dump({"protocol": PROTOCOL, "ask": asked}) + b"\n")
        await reader.readline()
        while not lengths or lengths[-1]:
            _, length = FRAME_HEAD.unpack(await reader.readexactly(FRAME_HEAD.size))
            lengths.append(len(await reader.readexactly(length)))
        writer.close()
        assert max(lengths) + FRAME_HEAD.size <= MAX_FRAME_BYTES
        assert (sum(lengths) > 5_000_000, len(lengths) < 10) == (True, True)
        assert len(await read(place)) == 5_001


async def test_a_reader_that_takes_nothing_is_waited_for(place: Path) -> None:
    """Nothing is made that nobody takes: neither in our memory nor in the socket's."""
    made = 0

    async def endless(_asked: Read[object]) -> AsyncIterator[list[str]]:
        nonlocal made
        while True:
            made += 1
            yield ["x" * 500_000]

    async with listening(place, rows=endless):
        reader, writer = await asyncio.open_unix_connection(str(place), limit=1 << 16)
        writer.write(LIST_ON_THE_WIRE)
        await reader.readline()
        before = -1
        while before != made:  # until it stands still
            before = made
            for _ in range(50):
                await asyncio.sleep(0)
        assert made <= 10
        writer.close()


async def test_one_that_takes_nothing_for_long_is_broken_off(
    place: Path, events: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STALLED_S", 0.05)
    ended = asyncio.Event()

    async def endless(_asked: Read[object]) -> AsyncIterator[list[str]]:
        try:
            while True:
                yield ["x" * 500_000]
        finally:
            ended.set()

    async with listening(place, rows=endless):
        reader, writer = await asyncio.open_unix_connection(str(place), limit=1 << 16)
        writer.write(LIST_ON_THE_WIRE)
        await reader.readline()
        await ended.wait()
        writer.close()
    assert [event["event"] for event in events] == ["control connection broke off"]


async def test_an_error_amid_the_rows_is_raised(place: Path) -> None:
    async def fail(_asked: Read[object]) -> AsyncIterator[list[int]]:
        yield [1]
        raise RefusedError("no further")

    async with listening(place, rows=fail):
        with pytest.raises(RefusedError, match="no further"):
            await read(place)


async def test_a_reading_command_waits_for_an_answer_only_so_long(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "READ_WAIT_S", 0.05)

    async def hang(_asked: Read[object]) -> AsyncIterator[list[int]]:
        yield [1]
        await asyncio.Event().wait()

    async with listening(place, rows=hang):
        with pytest.raises(TimeoutError):
            await read(place)


async def test_an_answer_that_takes_longer_is_waited_for_while_it_shows_signs_of_life(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "READ_WAIT_S", 1.0)

    async def slow(_asked: Read[object]) -> AsyncIterator[list[int]]:
        for _ in range(3):
            await asyncio.sleep(0.4)
            yield []
        yield [1]

    async with listening(place, rows=slow):
        assert await read(place) == [1]


async def test_a_server_of_another_version_does_nothing_and_is_told(place: Path) -> None:
    asked = []

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As servers answered before there were frames: `do` is what they were asked."""
        asked.append(json.loads(await reader.readline()))
        assert "do" not in asked[-1]
        writer.write(b'{"error": "CtsftpError", "text": "KeyError"}\n')
        writer.close()

    server = await asyncio.start_unix_server(old, place)
    for question in (ask(place, Sweep()), read(place)):
        with pytest.raises(OtherVersionError, match="restart it"):
            await question
    server.close()
    assert len(asked) == 2


async def test_a_server_that_ends_amid_an_answer_gave_none(place: Path) -> None:
    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(dump({"protocol": PROTOCOL}) + b"\n" + FRAME_HEAD.pack(b"R", 100) + b"[")
        writer.close()

    server = await asyncio.start_unix_server(cut, place)
    with pytest.raises(EOFError):
        await read(place)
    with pytest.raises(CtsftpError, match="stopped before it answered"):
        await ask(place, Sweep())
    server.close()


async def test_whether_a_server_answers_can_be_told_without_asking_anything(place: Path) -> None:
    assert not asking.is_answered(place)
    async with listening(place):
        assert await asyncio.to_thread(asking.is_answered, place)
    assert not asking.is_answered(place / "no" / "folder")
