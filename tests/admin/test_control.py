"""The control socket: one question, one answer, and nobody else listens."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from ctsftp import errors
from ctsftp.admin.control import KINDS, MAX_LINE_BYTES, ControlSocket, ask
from ctsftp.contract.states import IllegalMoveError
from ctsftp.errors import CtsftpError, RefusedError, SettingsError, UsageError
from ctsftp.model.commands import Command, RollBackSegment, Sweep

PATIENCE_S = 20.0


class WrongPortError(SettingsError):
    """An error that the other side does not know."""


async def echo(command: Command[object]) -> object:
    return {"did": command.wire, **{one.name: getattr(command, one.name) for one in fields(command)}}


@asynccontextmanager
async def listening(place: Path, perform: Any = echo) -> AsyncIterator[ControlSocket]:
    control = ControlSocket(place, perform)
    await control.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield control
    finally:
        await control.close()


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
        await ControlSocket(tmp_path / "control.sock", echo).start()


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
async def test_every_error_keeps_its_class_and_its_text(place: Path, kind: type[CtsftpError]) -> None:
    async def refuse(_command: Command[object]) -> None:
        raise kind('"no" – ausdrücklich')

    async with listening(place, refuse):
        with pytest.raises(kind, match=r'^"no" – ausdrücklich$') as told:
            await ask(place, Sweep())
    assert type(told.value) is kind


@pytest.mark.parametrize(("raised", "told"), [(WrongPortError, SettingsError), (IllegalMoveError, RefusedError)])
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
        b'{"do": "sweep"}\n',
        b'{"do": "fly", "with": {}}\n',
        b'{"do": [], "with": 1}\n',
        b"\xff\n",
    ],
)
async def test_what_is_no_question_gets_an_error(place: Path, line: bytes) -> None:
    async with listening(place):
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(line)
        assert b'"error"' in await reader.readline()
        writer.close()
        assert await ask(place, Sweep()) == {"did": "sweep"}


async def test_a_question_that_never_ends_is_broken_off(place: Path, events: list[EventDict]) -> None:
    async with listening(place):
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(b"x" * (MAX_LINE_BYTES + 1))
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
        asking = asyncio.create_task(ask(place, Sweep()))
        await begun.wait()
        asking.cancel()
        await asyncio.wait([asking])
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

    async with listening(place, forever) as control:
        asking = asyncio.create_task(ask(place, Sweep()))
        await begun.wait()
        await control.close()
        with pytest.raises(CtsftpError, match="stopped before it answered"):
            await asking
        assert mode_of(place) is None
        await control.close()
