"""The limits of the door and of the house behind it, each at its edge, on the real server."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest
from asyncssh.constants import (
    FX_FAILURE,
    FX_OK,
    FXF_APPEND,
    FXF_CREAT,
    FXF_WRITE,
    FXP_FSETSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_RENAME,
    FXP_STAT,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
)
from asyncssh.packet import String, UInt32, UInt64

from ctsftp.sftp.penalties import Offence
from ctsftp.sftp.standing import Standing

from ..sftp.raw import NO_ATTRS, RawSftp
from ..sftp.room import ACME, GOLD, PATIENCE_S, Room
from ..sftp.stock import StockSftp
from .attacker import ADDRESS, Attacker

OK = (FX_OK, "")
TRY_LATER = b"Too many connections: try again later.\r\n"
GREETING = b"SSH-2.0-ctsftp\r\n"
OTHER_ADDRESS = "127.0.0.3"

# Who may connect.


async def test_one_connection_more_than_in_all_is_refused(room: Room, attacker: Attacker) -> None:
    await room.restart(max_connections=2)
    await room.connect()
    assert await (await attacker.connect()).line() == GREETING
    assert await (await attacker.connect(OTHER_ADDRESS)).line() == TRY_LATER
    room.connections[0].abort()
    await room.disconnected(but=1)
    assert await (await attacker.connect(OTHER_ADDRESS)).line() == GREETING


async def test_one_connection_more_than_an_address_may_have_is_refused(room: Room, attacker: Attacker) -> None:
    await room.restart(max_connections_per_address=2)
    for _ in range(2):
        await attacker.log_in()
    assert await (await attacker.connect()).line() == TRY_LATER
    assert await (await attacker.connect(OTHER_ADDRESS)).line() == GREETING
    await room.connect()  # from 127.0.0.1


async def test_one_more_that_has_not_signed_in_than_an_address_may_have_is_refused(
    room: Room, attacker: Attacker
) -> None:
    await room.restart(unauthenticated_per_address=2)
    await attacker.log_in()
    for _ in range(2):
        assert await (await attacker.connect()).line() == GREETING
    assert await (await attacker.connect()).line() == TRY_LATER


async def test_where_too_many_sign_in_one_of_them_has_to_go(room: Room, attacker: Attacker) -> None:
    await room.restart(unauthenticated_start=3, unauthenticated_full=3)
    signed_in = await room.sftp()
    waiting = [await attacker.connect(f"127.0.1.{number}") for number in range(1, 10)]
    for _ in range(3):
        await signed_in.stat("/")  # a full round: all have arrived
    assert len(room.server.connections) == 4
    for one in waiting:
        one.close()


async def test_a_trusted_proxy_has_no_limits_of_its_own(
    room: Room, attacker: Attacker, strange_keys: list[asyncssh.SSHKey]
) -> None:
    await room.restart(
        trusted_addresses=("127.0.0.0/30",), unauthenticated_per_address=1, max_connections_per_address=1
    )
    for _ in range(5):
        await attacker.fails_to_log_in(client_keys=strange_keys)
    (penalty,) = room.server.penalties()  # it is seen, and has no effect
    assert (penalty.source, penalty.refused) == (ADDRESS, False)
    for _ in range(3):
        assert await (await attacker.connect()).line() == GREETING


async def test_refusals_are_told_in_sums(room: Room, attacker: Attacker) -> None:
    await room.restart(unauthenticated_per_address=1)
    for _ in range(5):
        await (await attacker.connect()).line()
    await room.stop()
    told = [entry for entry in room.logs if entry["event"].startswith("connection")]
    assert [entry["event"] for entry in told if "refused" in entry["event"]] == [
        "connection refused",
        "connections refused",
    ]
    assert told[0]["cause"] == "unauthenticated_per_address"
    assert told[1]["unauthenticated_per_address"] == 3


# Silence.


class Clock:
    """What the server sees when it looks for who is quiet; only the test makes it look."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.restarted()

    def restarted(self) -> None:
        assert self._room.server._watching is not None
        self._room.server._watching.cancel()
        self._began_s = self._room.server.clock_s()

    def turn_to(self, seconds: float) -> None:
        self._room.server.look(self._began_s + seconds)


@pytest.fixture
def clock(room: Room) -> Clock:
    return Clock(room)


async def test_a_connection_that_asks_for_nothing_is_ended(room: Room, clock: Clock) -> None:
    idle, busy, unused = await room.raw(), await room.raw(), await room.connect()
    await room.logins.first(3)
    clock.turn_to(0)
    clock.turn_to(899)
    await busy.ask(FXP_STAT, String("/"))
    assert len(room.server.connections) == 3
    clock.turn_to(901)
    async with asyncio.timeout(PATIENCE_S):
        await idle.channel.get_connection().wait_closed()
        await unused.wait_closed()
    await busy.ask(FXP_STAT, String("/"))
    assert "Nothing was asked for in 900 s" in [entry.get("reason") for entry in room.logs]


async def test_keepalives_are_no_requests(room: Room, clock: Clock) -> None:
    await room.restart(keepalive_interval_s=0.01)
    clock.restarted()
    raw = await room.raw()
    clock.turn_to(0)
    connection = raw.channel.get_connection()
    for _ in range(3):
        await connection._make_global_request(b"keepalive@openssh.com")
    clock.turn_to(901)
    async with asyncio.timeout(PATIENCE_S):
        await connection.wait_closed()


async def test_a_peer_that_only_sends_what_is_ignored_is_idle(room: Room, clock: Clock) -> None:
    await room.restart(keepalive_interval_s=0.02, keepalive_count_max=1)
    clock.restarted()
    raw = await room.raw()
    connection = raw.channel.get_connection()
    answers_no_keepalive(connection)
    clock.turn_to(0)
    for _ in range(10):
        connection.send_packet(MSG_IGNORE, String(b"I am here"))
        await asyncio.sleep(0.01)
    assert len(room.server.connections) == 1
    clock.turn_to(901)
    await room.disconnected()
    assert "Nothing was asked for in 900 s" in [entry.get("reason") for entry in room.logs]


async def test_an_upload_during_which_only_what_is_ignored_comes_is_cut_off(room: Room, clock: Clock) -> None:
    raw = await room.raw()
    await raw.write(await raw.create(GOLD), 0, b"CTUserID\n")
    clock.turn_to(0)
    raw.channel.get_connection().send_packet(MSG_IGNORE, String(b"I am here"))
    await raw.ask(FXP_STAT, String("/"))  # it has arrived
    clock.turn_to(301)
    await room.sessions_ended()
    assert room.partial(GOLD) == b"CTUserID\n"


async def test_an_upload_that_receives_nothing_is_cut_off(room: Room, clock: Clock) -> None:
    raw, other = await room.raw(), await room.raw()
    handle, growing = await raw.create(GOLD), await other.create("other.csv")
    await raw.write(handle, 0, b"CTUserID\n")
    clock.turn_to(0)
    await other.write(growing, 0, b"CTUserID\n")
    await raw.ask(FXP_STAT, String("/"))  # asking is not sending
    clock.turn_to(299)
    assert len(room.server.connections) == 2
    clock.turn_to(301)
    await room.sessions_ended()
    assert room.partial(GOLD) == b"CTUserID\n"
    await other.write(growing, 9, b"1\n")
    assert "The upload of /Gold_20261101_0001.csv received nothing for 300 s" in [
        one.get("reason") for one in room.logs
    ]


async def test_an_upload_whose_close_waits_for_the_disk_is_not_quiet(room: Room, clock: Clock) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, b"CTUserID\n1\n")
    clock.turn_to(0)
    gate = room.disk.hold("fsync")
    raw.send(4, String(handle))
    await gate.reached()
    clock.turn_to(100_000)
    room.disk.gates.clear()
    gate.open()
    assert (await raw.answer()).status() == OK


async def test_the_watch_looks_by_itself(room: Room) -> None:
    await room.restart(idle_timeout_s=0.2)
    connection = await room.connect()
    async with asyncio.timeout(PATIENCE_S):
        await connection.wait_closed()


def answers_no_keepalive(connection: asyncssh.SSHClientConnection) -> None:
    """Have a client throw away the server's questions, as some libraries do with those that they do not know."""
    connection._packet_handlers = {
        **connection._packet_handlers,
        MSG_GLOBAL_REQUEST: lambda *_: True,
    }


async def test_a_live_peer_that_answers_no_keepalive_stays(room: Room) -> None:
    await room.restart(keepalive_interval_s=0.05, keepalive_count_max=2)
    raw = await room.raw()
    answers_no_keepalive(raw.channel.get_connection())
    handle = await raw.create(GOLD)
    for offset in range(10):
        assert await raw.write(handle, offset, b"1") == OK
        await asyncio.sleep(0.06)  # longer than until the next question, shorter than until the last
    assert await raw.close(handle) == OK


async def test_a_peer_that_is_silent_from_some_moment_on_is_gone(room: Room) -> None:
    await room.restart(keepalive_interval_s=0.05, keepalive_count_max=2)
    raw = await room.raw()
    answers_no_keepalive(raw.channel.get_connection())
    await raw.ask(FXP_STAT, String("/"))
    await room.disconnected()


async def test_a_peer_that_answers_no_keepalive_is_gone(room: Room) -> None:
    await room.restart(keepalive_interval_s=0.05, keepalive_count_max=2)
    connection = await room.connect()
    connection._transport.pause_reading()
    await room.disconnected()


# Room.


async def refused(raw: RawSftp, handle: bytes, offset: int, data: bytes) -> str:
    code, reason = await raw.write(handle, offset, data)
    assert code == FX_FAILURE
    return reason


async def test_a_quota_is_kept_while_writing_and_what_was_acknowledged_stays(room: Room) -> None:
    await room.restart(quota_bytes=100)
    await room.landed_put(GOLD, b"x" * 60)
    raw = await room.raw()
    handle = await raw.create("next.csv")
    assert await raw.write(handle, 0, b"y" * 40) == OK
    reason = await refused(raw, handle, 40, b"y")
    assert "(quota_bytes)" in reason
    assert await raw.close(handle) == (FX_FAILURE, reason)
    assert room.home("next.csv") is None
    assert room.home(GOLD) == b"x" * 60
    handle = await raw.create("next.csv")
    assert await raw.write(handle, 0, b"y" * 40) == OK
    assert await raw.close(handle) == OK


async def test_a_full_quota_refuses_the_open_and_a_client_may_have_its_own(room: Room) -> None:
    await room.restart(quota_bytes=10)
    await room.landed_put(GOLD, b"x" * 10)
    opening = (FXP_OPEN, String("next.csv"), UInt32(FXF_WRITE | FXF_CREAT), NO_ATTRS)
    code, reason = (await (await room.raw()).ask(*opening)).status()
    assert (code, "(quota_bytes)" in reason) == (FX_FAILURE, True)
    (room.clients.folder / ACME / "client.toml").write_text("quota_bytes = 20\n")
    assert (await (await room.raw()).ask(*opening)).handle()


async def test_a_file_is_not_extended_beyond_the_quota(room: Room) -> None:
    await room.restart(quota_bytes=10)
    raw = await room.raw()
    handle = await raw.create(GOLD)
    size = UInt32(1) + UInt64(11)
    code, reason = (await raw.ask(FXP_FSETSTAT, String(handle), size)).status()
    assert (code, "(quota_bytes)" in reason) == (FX_FAILURE, True)


async def test_a_resumed_upload_counts_its_bytes_once(room: Room) -> None:
    await room.restart(quota_bytes=100)
    await room.leave_partial(GOLD, b"x" * 90)
    raw = await room.raw()
    handle = await raw.create(GOLD, FXF_WRITE | FXF_CREAT | FXF_APPEND)
    assert await raw.write(handle, 90, b"x" * 10) == OK
    assert await raw.close(handle) == OK


@pytest.mark.parametrize("what", ["file", "folder", "rename"])
async def test_the_number_of_files_and_folders_has_its_edge(room: Room, what: str) -> None:
    await room.restart(quota_files=2)
    await room.landed_put(GOLD, b"CTUserID\n1\n")
    raw = await room.raw()
    assert (await raw.ask(FXP_MKDIR, String("in"), NO_ATTRS)).status() == OK
    requests = {
        "file": (FXP_OPEN, String("more.csv"), UInt32(FXF_WRITE | FXF_CREAT), NO_ATTRS),
        "folder": (FXP_MKDIR, String("more"), NO_ATTRS),
        "rename": (FXP_RENAME, String(GOLD), String("Silver_20261101_0001.csv")),
    }
    code, reason = (await raw.ask(*requests[what])).status()
    assert (code, "(quota_files)" in reason) == (FX_FAILURE, True)


async def test_each_list_that_a_rename_makes_of_the_same_bytes_counts(room: Room) -> None:
    await room.restart(quota_bytes=100)
    await room.landed_put("list.filepart", b"CTUserID\n".ljust(60, b"1"))
    raw = await room.raw()

    async def rename(old: str, new: str) -> tuple[int, str]:
        return (await raw.ask(FXP_RENAME, String(old), String(new))).status()

    assert await rename("list.filepart", GOLD) == OK
    for old, new in ((GOLD, "Silver_20261101_0001.csv"), (GOLD, "aside.txt"), ("aside.txt", "Tin_20261101_0001.csv")):
        code, reason = await rename(old, new)
        if new == "aside.txt":
            assert code == FX_OK, "no new upload"
        else:
            assert (code, "(quota_bytes)" in reason) == (FX_FAILURE, True)
    assert room.spool.measure(ACME) == (60, 2)


@pytest.mark.parametrize("what", ["folder", "rename"])
async def test_folders_and_renames_leave_the_floor_free_as_well(
    room: Room, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    free = leave_free(room, monkeypatch)
    await room.landed_put(GOLD, b"CTUserID\n1\n")
    raw = await room.raw()
    requests = {
        "folder": (FXP_MKDIR, String("more"), NO_ATTRS),
        "rename": (FXP_RENAME, String(GOLD), String("Silver_20261101_0001.csv")),
    }
    free(100)
    code, reason = (await raw.ask(*requests[what])).status()
    assert (code, "free_floor_bytes" in reason) == (FX_FAILURE, True)
    free(101)
    assert (await raw.ask(*requests[what])).status() == OK


async def test_uploads_and_folders_leave_files_of_the_disk_free(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    files = 301
    monkeypatch.setattr(
        room.disk, "room", lambda _: os.statvfs_result((1024, 1024, 1000, 900, 900, 3000, files, files, 0, 255))
    )
    raw = await room.raw()
    assert (await raw.ask(FXP_MKDIR, String("in"), NO_ATTRS)).status() == OK
    files = 300
    opening = (FXP_OPEN, String("next.csv"), UInt32(FXF_WRITE | FXF_CREAT), NO_ATTRS)
    for request in (opening, (FXP_MKDIR, String("more"), NO_ATTRS)):
        code, reason = (await raw.ask(*request)).status()
        assert (code, "free_floor_files" in reason) == (FX_FAILURE, True)


async def test_of_many_uploads_at_once_no_more_land_than_the_quota_holds(room: Room) -> None:
    await room.restart(quota_bytes=10_000)
    raws = [await room.raw() for _ in range(8)]
    handles = [await raw.create(f"{number}.csv") for number, raw in enumerate(raws)]
    written = await asyncio.gather(
        *(raw.write(handle, 0, b"x" * 3000) for raw, handle in zip(raws, handles, strict=True))
    )
    closed = await asyncio.gather(*(raw.close(handle) for raw, handle in zip(raws, handles, strict=True)))
    assert [one[0] for one in written].count(FX_OK) == 3
    assert [one[0] for one in closed] == [one[0] for one in written]
    assert room.spool.measure(ACME) == (9000, 3)


def leave_free(room: Room, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the disk have a thousand blocks of 1 KiB, of which so many are free."""
    free = 1000

    def found(_: Path) -> os.statvfs_result:
        return os.statvfs_result((1024, 1024, 1000, free, free, 0, 0, 0, 0, 255))

    def set_free(blocks: int) -> None:
        nonlocal free
        free = blocks

    monkeypatch.setattr(room.disk, "room", found)
    return set_free


async def test_uploads_leave_a_tenth_of_the_disk_free(
    room: Room, stock: StockSftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = leave_free(room, monkeypatch)
    raw = await room.raw()
    handle = await raw.create(GOLD)
    free(102)
    assert await raw.write(handle, 0, b"x" * 2048) == OK
    free(100)
    reason = await refused(raw, handle, 16 << 20, b"x")
    assert "free_floor_bytes" in reason
    assert (await raw.close(handle))[0] == FX_FAILURE
    stock.file(GOLD, b"CTUserID\n1\n")
    done = await stock.batch(f"put {GOLD}")
    assert done.code == 1
    assert "The server's disk is nearly full: uploads leave 102,400 bytes of it free" in done.err
    free(200)
    assert (await stock.batch(f"put {GOLD}")).code == 0


async def test_a_person_with_the_stock_sftp_is_told_which_limit_it_was(room: Room, stock: StockSftp) -> None:
    await room.restart(max_file_size_bytes=100_000)
    stock.file(GOLD, b"x" * 100_001)
    done = await stock.batch(f"put {GOLD}")
    assert done.code == 1
    assert "is larger than the limit of 100000 bytes" in done.err


async def test_an_address_is_known_after_a_login_and_no_more_after_an_excess(room: Room) -> None:
    door = room.server.door
    assert door.standing(ADDRESS) is Standing.STRANGER
    await room.connect(local_addr=(ADDRESS, 0))
    assert door.standing(ADDRESS) is Standing.KNOWN
    door.blame(ADDRESS, Offence.EXCESS)
    assert door.standing(ADDRESS) is Standing.STRANGER
