"""`serve`: what it says at its start, what refuses it, and the order in which it stops."""

import asyncio
import ctypes
import errno
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from ctsftp.admin import asking
from ctsftp.admin.administration import open_service, serve
from ctsftp.admin.control import ControlSocket
from ctsftp.admin.doctor import examine
from ctsftp.app.engine import Engine
from ctsftp.app.lock import data_lock
from ctsftp.app.loginbook import LoginNotes
from ctsftp.app.service import OTHER_DESCRIPTORS
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.contract.finding import Level
from ctsftp.contract.states import State
from ctsftp.errors import DataFolderBusyError, LostDatabaseError, RefusedError, SettingsError, StoreError
from ctsftp.ingest.sweeper import Sweeper
from ctsftp.model.commands import AddToken, ListFaults, RecheckSessions
from ctsftp.settings import Settings
from ctsftp.sftp.server import SftpServer
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.disk import LocalDisk
from ctsftp.spool.ground import NETWORK_KINDS, file_system
from ctsftp.store import Store

from .bench import NAME, PATIENCE_S, Door, put, rows


def is_free(settings: Settings) -> bool:
    try:
        with data_lock(settings.data_dir):
            return True
    except DataFolderBusyError:
        return False


async def test_the_start_tells_where_everything_is(settings: Settings, events: list[EventDict]) -> None:
    async with open_service(settings) as service:
        port = service.server.port
    [serving] = [event for event in events if event["event"] == "serving"]
    assert serving == {
        "event": "serving",
        "log_level": "info",
        "host": "127.0.0.1",
        "port": port,
        "data": str(settings.data_dir),
        "keys": str(settings.keys_dir),
        "host_keys": str(settings.keys_dir / "host"),
        "database": f"sqlite+aiosqlite:///{settings.data_dir}/ctsftp.db",
    }


async def test_a_data_folder_without_hard_links_refuses_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(LocalDisk, "link", link)
    with pytest.raises(SettingsError, match=r"Hard links cannot be made in .*CTSFTP_DATA_DIR") as refusal:
        async with open_service(settings):
            pass
    assert "\n" not in str(refusal.value)
    assert is_free(settings)


async def test_a_data_folder_in_the_net_is_warned_of_and_served(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, events: list[EventDict]
) -> None:
    monkeypatch.setitem(NETWORK_KINDS, file_system(settings.data_dir), "NFS")
    async with open_service(settings):
        pass
    [told] = [event for event in events if event["event"] == "data folder on a disk in the net"]
    assert (told["log_level"], "lies on NFS" in told["found"]) == ("warning", True)


async def test_a_port_in_use_refuses_the_start_and_lets_go_of_everything(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = settings.model_copy(update={"sftp": SftpSettings(host="127.0.0.1", port=port)})
        with pytest.raises(SettingsError, match=f"Port {port} on 127.0.0.1.*CTSFTP_SFTP__PORT") as refusal:
            async with open_service(busy):
                pass
    assert "\n" not in str(refusal.value)
    assert is_free(settings)
    assert not (settings.data_dir / "control.sock").exists()


async def test_a_second_server_is_refused_and_the_first_goes_on(settings: Settings) -> None:
    async with open_service(settings):
        with pytest.raises(DataFolderBusyError):
            async with open_service(settings):
                pass
        assert await asyncio.to_thread(asking.perform, settings.data_dir / "control.sock", RecheckSessions()) == 0


async def test_a_damaged_database_refuses_the_start(settings: Settings) -> None:
    (settings.data_dir / "ctsftp.db").write_bytes(b"This is no database. " * 1000)
    with pytest.raises(StoreError):
        async with open_service(settings):
            pass
    assert is_free(settings)


async def test_a_host_key_that_others_may_read_refuses_the_start(settings: Settings) -> None:
    (settings.host_keys / "ssh_host_ed25519_key").chmod(0o644)
    with pytest.raises(RefusedError, match="chmod 600"):
        async with open_service(settings):
            pass
    assert is_free(settings)


async def test_the_stop_goes_in_its_order(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def watch(owner: type, method: str, step: str) -> None:
        real: Any = getattr(owner, method)

        async def watched(self: Any) -> None:
            await real(self)
            order.append(step)

        monkeypatch.setattr(owner, method, watched)

    door = Door()
    monkeypatch.setattr(Engine, "config_of", lambda _engine, client: door.config_of(client))
    watch(SftpServer, "stop", "the listener has drained")
    watch(ControlSocket, "close", "the control socket is closed")
    watch(LoginNotes, "flush", "the logins are written down")
    watch(Store, "close", "the database is closed")
    async with open_service(settings) as service:
        real_move = service.engine.store.ledger.move

        async def move(upload_id: str, to: State, **facts: Any) -> bool:
            if to is State.RECEIVED:
                order.append("the load goes back")
            return await real_move(upload_id, to, **facts)

        monkeypatch.setattr(service.engine.store.ledger, "move", move)
        service.engine.landed(put(service.engine.spool, NAME, rows([1])))
        await door.reached()
        assert not is_free(settings)
    door.open()
    assert is_free(settings)
    assert order == [
        "the listener has drained",
        "the control socket is closed",
        "the logins are written down",
        "the load goes back",
        "the database is closed",
    ]


async def test_a_sweep_that_runs_says_nothing_after_the_stop_began(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, events: list[EventDict]
) -> None:
    swept, counted, stop = asyncio.Event(), asyncio.Event(), SftpServer.stop
    real_find = Sweeper._find

    async def find(sweeper: Sweeper) -> list[str]:
        swept.set()
        await counted.wait()
        return await real_find(sweeper)

    async def stop_slowly(server: SftpServer) -> None:
        counted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):  # in which the sweep would come to its end
                await asyncio.Event().wait()
        await stop(server)

    monkeypatch.setattr(Sweeper, "_find", find)
    monkeypatch.setattr(SftpServer, "stop", stop_slowly)
    async with asyncio.timeout(PATIENCE_S), open_service(settings):
        await swept.wait()
    said = [event["event"] for event in events]
    assert said[said.index("stopping") :] == ["stopping", "stopped"]


async def test_a_task_that_fails_ends_the_server_with_its_own_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_notes: LoginNotes) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(LoginNotes, "run", fail)
    with pytest.raises(StoreError, match=r"^gone$"):
        async with open_service(settings):
            await asyncio.Event().wait()
    assert is_free(settings)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_ends_in_good_order_on_a_signal(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, events: list[EventDict], number: signal.Signals
) -> None:
    up = asyncio.Event()
    start = SftpServer.start

    async def started(server: SftpServer) -> None:
        await start(server)
        up.set()

    monkeypatch.setattr(SftpServer, "start", started)
    serving = asyncio.create_task(serve(settings, lambda: settings))
    async with asyncio.timeout(PATIENCE_S):
        await up.wait()
        os.kill(os.getpid(), number)
        await serving
    assert [event["event"] for event in events][-1] == "stopped"
    assert is_free(settings)


async def test_ctrl_c_says_what_it_waits_for_how_long_and_what_would_cut_it_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, events: list[EventDict]
) -> None:
    monkeypatch.setattr(SftpServer, "open_uploads", 2)
    async with asyncio.timeout(PATIENCE_S):
        await serve(settings, lambda: settings, welcome=lambda _: os.kill(os.getpid(), signal.SIGINT))
    said = {event["event"]: event for event in events}
    waiting = said["waiting for uploads that run"]
    assert waiting["uploads"] == 2
    assert waiting["at_most_s"] == settings.sftp.drain_timeout_s
    assert waiting["cut_off_by"] == "a second signal"
    assert list(said).index("waiting for uploads that run") < list(said).index("stopping")


# A process of its own: what is asked of the C library holds for all of it.
BLOCKS = """
import ctypes, sys
from ctsftp.app import serving

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    _fields_ = [(name, ctypes.c_size_t) for name in names]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = Info
if sys.argv[1] == "serving":
    serving._give_large_blocks_back()
libc.free(libc.malloc(8 << 20))
before = libc.mallinfo2().hblkhd
libc.malloc(4 << 20)
print(libc.mallinfo2().hblkhd - before >= 4 << 20)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2") and "CTSFTP_TESTS_NO_SKIP" not in os.environ,
    reason="the C library is not glibc 2.33 or newer",
)
@pytest.mark.parametrize(("who", "apart"), [("serving", "True"), ("any process", "False")])
def test_large_blocks_of_memory_lie_apart_where_they_can_be_given_back(who: str, apart: str) -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKS, who], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == apart


async def test_a_data_folder_deep_down_serves_its_commands_as_well(settings: Settings, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a folder with quite a long name"] * 6) / "data"
    async with open_service(settings.model_copy(update={"data_dir": deep})):
        assert await asyncio.to_thread(asking.perform, deep / "control.sock", RecheckSessions()) == 0


def replaced(database: Path) -> None:
    copy = database.with_name("copy")
    shutil.copyfile(database, copy)
    copy.replace(database)


@pytest.mark.parametrize("lose", [Path.unlink, replaced])
async def test_a_database_that_is_deleted_or_replaced_is_noticed_and_written_no_more(
    settings: Settings, lose: Callable[[Path], None]
) -> None:
    async with open_service(settings) as service:
        await service.perform(AddToken(name="before"))
        assert await service.unready() == []
        lose(settings.data_dir / "ctsftp.db")
        [reason] = await service.unready()
        assert "deleted or replaced" in reason
        with pytest.raises(LostDatabaseError, match=r"stop the server, put the file or a backup in its place"):
            await service.perform(AddToken(name="lost"))
        assert b"ctsftp_ledger_up 0.0" in await service.metrics()
        found = [one for one in await asyncio.to_thread(examine, settings) if one.level is Level.BAD]
        assert [one.text for one in found if one.part == "server"] == [reason]


async def test_a_data_folder_that_is_moved_away_is_a_reason_and_no_failure(
    settings: Settings, events: list[EventDict]
) -> None:
    async with open_service(settings) as service:
        gone = settings.data_dir.rename(settings.data_dir.with_name("gone"))
        assert "The data folder is not there, or cannot be looked at." in await service.unready()
        assert b"ctsftp_ledger_up 0.0" in await service.metrics()
        settings.data_dir.mkdir()
        assert "The data folder was moved away, and another is in its place." in await service.unready()
        settings.data_dir.rmdir()
        gone.rename(settings.data_dir)
        assert await service.unready() == []
    assert [event for event in events if event.get("exc_info")] == []


async def test_a_start_in_a_new_folder_says_so_and_warns_where_something_was_served_before(
    settings: Settings, events: list[EventDict]
) -> None:
    for key in settings.host_keys.iterdir():
        os.utime(key, (0, 0))
    async with open_service(settings):
        pass
    assert [event["log_level"] for event in events if "is new" in event["event"]] == ["warning"]
    async with open_service(settings):
        pass
    assert len([event for event in events if "is new" in event["event"]]) == 1
    shutil.rmtree(settings.keys_dir)
    shutil.rmtree(settings.data_dir)
    load_or_create_host_keys(settings.host_keys)  # as `client show` does, before the first start
    async with open_service(settings):
        pass
    assert [event["log_level"] for event in events if "is new" in event["event"]] == ["warning", "info"]


async def test_a_limit_on_open_files_that_one_client_could_reach_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_service(settings) as service:
        wanted = service.server.settings.descriptors + OTHER_DESCRIPTORS
        assert service.server.settings.descriptors == 200 + 20 * 10 * 64
        for limit, told in ((wanted, False), (resource.RLIM_INFINITY, False), (wanted - 1, True)):
            monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
            faults = await service.perform(ListFaults())
            assert any("LimitNOFILE" in fault for fault in faults) is told
