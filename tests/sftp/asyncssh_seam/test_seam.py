"""A file lands after its client's own CLOSE and after nothing else, however a connection dies."""

import asyncio
import inspect
import re
import socket
import struct
from hashlib import sha256
from pathlib import Path

import pytest
from asyncssh import kex, kex_dh
from asyncssh.channel import SSHChannel
from asyncssh.connection import SSHConnection, SSHServerConnection
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    FX_BAD_MESSAGE,
    FX_FAILURE,
    FX_OK,
    FXF_CREAT,
    FXF_WRITE,
    FXP_CLOSE,
    MSG_IGNORE,
    MSG_KEXINIT,
)
from asyncssh.packet import Byte, String, UInt32
from asyncssh.sftp import SFTPHandler, SFTPServerHandler

from ctsftp.contract.codes import Code, Fault
from ctsftp.sftp import asyncssh_seam
from ctsftp.sftp.asyncssh_seam.exchange import GROUP_BITS, BoundedGroupExchange
from ctsftp.sftp.asyncssh_seam.handler import REQUESTS, FilesHandler
from ctsftp.sftp.negotiation import GROUP_EXCHANGE

from ..raw import RawSftp
from ..room import GOLD, PATIENCE_S, Room
from ..stock import StockSftp, finish

SILVER = "Silver_20261101_0001.csv"
LIST = b"CTUserID\n" + b"".join(b"%d\n" % number for number in range(1, 1001))
HALF = len(LIST) // 2
# A put that takes minutes unless it is killed.
LONG_LIST = LIST * 1000
SLOW_KBIT = 2000


async def half_an_upload(room: Room) -> RawSftp:
    """A channel on which half of a file was written and acknowledged."""
    raw = await room.raw()
    handle = await raw.create(GOLD)
    assert (await raw.write(handle, 0, LIST[:HALF]))[0] == FX_OK
    return raw


async def assert_only_the_half_is_kept(room: Room) -> None:
    await room.sessions_ended()
    assert room.landed.all == []
    assert room.home(GOLD) is None
    assert room.partial(GOLD) == LIST[:HALF]
    [told] = room.cut_offs.all
    assert (told.client, str(told.path), told.kept_bytes) == ("acme", f"/{GOLD}", HALF)
    assert room.nothing_left_open()


async def assert_only_a_beginning_is_kept(room: Room) -> None:
    await room.sessions_ended()
    assert room.landed.all == []
    assert room.home(GOLD) is None
    kept = room.partial(GOLD)
    assert kept
    assert LONG_LIST.startswith(kept)
    assert len(kept) < len(LONG_LIST)
    assert room.nothing_left_open()


async def test_a_plain_put_lands(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LIST)
    done = await stock.batch(f"put {GOLD}")
    assert done.code == 0, done.err
    upload = await room.landed.one()
    assert (upload.client, upload.filename) == ("acme", GOLD)
    assert upload.path.read_bytes() == LIST == room.home(GOLD)
    await room.sessions_ended()
    assert room.partial(GOLD) is None
    assert room.cut_offs.all == []
    assert room.nothing_left_open()


async def test_an_upload_whose_sftp_is_killed_never_lands(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LONG_LIST)
    process = await stock.start(f"put {GOLD}", limit_kbit=SLOW_KBIT)
    await room.disk.wrote(1)
    process.kill()
    await finish(process)
    await assert_only_a_beginning_is_kept(room)


async def test_an_upload_whose_ssh_is_killed_never_lands(room: Room, stock: StockSftp) -> None:
    stock.file(GOLD, LONG_LIST)
    process = await stock.start(f"put {GOLD}", limit_kbit=SLOW_KBIT)
    await room.disk.wrote(1)
    stock.kill_ssh()
    assert (await finish(process)).code != 0
    await assert_only_a_beginning_is_kept(room)


async def test_an_upload_whose_tcp_connection_is_reset_never_lands(room: Room) -> None:
    raw = await half_an_upload(room)
    peer = raw.channel.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.channel.get_connection().abort()
    await assert_only_the_half_is_kept(room)


async def test_a_channel_eof_while_its_ssh_lives_never_lands_an_upload(room: Room) -> None:
    raw = await half_an_upload(room)
    raw.channel.write_eof()
    await assert_only_the_half_is_kept(room)
    assert not raw.channel.get_connection().is_closed()


async def test_a_channel_close_never_lands_an_upload(room: Room) -> None:
    raw = await half_an_upload(room)
    connection = raw.channel.get_connection()
    raw.channel.close()
    await assert_only_the_half_is_kept(room)
    assert not connection.is_closed()


@pytest.mark.parametrize("body", [String(b"\0\0\0\0") + b"more", UInt32(4) + b"\0"], ids=["too long", "too short"])
async def test_a_broken_close_packet_never_lands_an_upload(room: Room, body: bytes) -> None:
    raw = await half_an_upload(room)
    answer = await raw.ask(FXP_CLOSE, body)
    assert answer.status()[0] == FX_BAD_MESSAGE
    raw.channel.close()
    await assert_only_the_half_is_kept(room)


async def test_a_close_packet_without_a_number_ends_the_session_and_lands_nothing(room: Room) -> None:
    raw = await half_an_upload(room)
    raw.send_bytes(Byte(FXP_CLOSE) + b"\0")
    await assert_only_the_half_is_kept(room)


async def test_a_packet_that_is_longer_than_any_may_be_ends_the_session_and_lands_nothing(room: Room) -> None:
    raw = await half_an_upload(room)
    raw.channel.write(UInt32(0xFFFFFFFF))
    await assert_only_the_half_is_kept(room)


async def test_a_close_of_an_unknown_handle_never_lands_an_upload(room: Room) -> None:
    raw = await half_an_upload(room)
    assert (await raw.close(b"\xff\xff\xff\xff"))[0] == FX_FAILURE
    raw.channel.close()
    await assert_only_the_half_is_kept(room)


@pytest.mark.parametrize("interruption", ["signal", "break"])
async def test_a_channel_signal_or_break_makes_a_partial(room: Room, interruption: str) -> None:
    raw = await half_an_upload(room)
    if interruption == "signal":
        raw.channel.send_signal("TERM")
    else:
        raw.channel.send_break(100)
    await assert_only_the_half_is_kept(room)


async def test_an_upload_completes_though_its_ssh_is_killed_while_the_close_is_awaited(
    room: Room, stock: StockSftp
) -> None:
    stock.file(GOLD, LIST)
    gate = room.disk.hold("fsync")
    process = await stock.start(f"put {GOLD}")
    await gate.reached()
    stock.kill_ssh()
    await finish(process)
    await room.disconnected()
    assert room.landed.all == []
    gate.open()
    upload = await room.landed.one()
    assert upload.path.read_bytes() == LIST == room.home(GOLD)
    await room.sessions_ended()
    assert room.nothing_left_open()


async def test_of_several_open_uploads_each_becomes_a_partial_though_one_cannot_be_kept(room: Room) -> None:
    raw = await half_an_upload(room)
    for name in (SILVER, "Bronze_20261101_0001.csv"):
        await raw.write(await raw.create(name), 0, LIST[:HALF])
    room.disk.fail_once["fsync"] = OSError(5, "Input/output error")
    raw.channel.close()
    await room.sessions_ended()
    assert room.landed.all == []
    kept = [room.partial(name) for name in (GOLD, SILVER, "Bronze_20261101_0001.csv")]
    assert kept.count(LIST[:HALF]) == 2
    assert room.nothing_left_open()


async def test_a_stop_lets_an_open_upload_finish_and_takes_no_new_one(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST[:HALF])
    port = room.server.port
    stopping = asyncio.create_task(room.server.stop())
    await asyncio.sleep(0)  # the stop begins
    with pytest.raises(AssertionError, match="The server is stopping"):
        await raw.create(SILVER)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert (await raw.write(handle, HALF, LIST[HALF:]))[0] == FX_OK
    assert (await raw.close(handle))[0] == FX_OK
    await stopping
    assert (await room.landed.one()).path.read_bytes() == LIST
    assert room.nothing_left_open()


async def test_a_stop_waits_until_a_close_that_is_being_awaited_was_answered(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST)
    gate = room.disk.hold("fsync")
    closing = asyncio.create_task(raw.close(handle))
    await gate.reached()
    stopping = asyncio.create_task(room.server.stop())
    await asyncio.sleep(0)  # the stop begins
    gate.open()
    assert await closing == (FX_OK, "")
    await stopping


async def test_a_stop_does_not_wait_for_an_upload_that_was_refused(room: Room) -> None:
    room.faults[GOLD] = Fault(Code.EMPTY_FILE, "The file is empty.")
    raw = await room.raw()
    handle = await raw.create(GOLD)
    gate = room.disk.hold("fsync")
    closing = asyncio.create_task(raw.close(handle))
    await gate.reached()
    stopping = asyncio.create_task(room.server.stop())
    await asyncio.sleep(0)  # the stop begins
    gate.open()
    async with asyncio.timeout(PATIENCE_S):  # far less than the drain's limit
        await stopping
    assert await closing == (FX_FAILURE, "The file is empty.")


async def test_what_a_stop_cuts_off_is_a_partial_and_reput_completes_it_after_the_restart(
    room: Room, stock: StockSftp
) -> None:
    await room.restart(drain_timeout_s=0)
    await half_an_upload(room)
    await room.server.stop()
    await assert_only_the_half_is_kept(room)
    await room.restart()
    stock.file(GOLD, LIST)
    before = room.disk.bytes_written
    done = await stock.batch(f"reput {GOLD}")
    assert done.code == 0, done.err
    assert (await room.landed.one()).path.read_bytes() == LIST == room.home(GOLD)
    assert room.disk.bytes_written - before == len(LIST) - HALF
    assert room.partial(GOLD) is None


async def test_after_a_stop_no_connection_is_left_and_stopping_twice_is_fine(room: Room) -> None:
    connection = await room.connect()
    await room.server.stop()
    assert not room.server.connections
    await connection.wait_closed()
    await room.server.stop()


async def test_an_open_that_is_under_way_when_the_connection_drops_leaves_nothing_behind(room: Room) -> None:
    raw = await room.raw()
    gate = room.disk.hold("create")
    opening = asyncio.create_task(raw.create(GOLD))
    await gate.reached()
    raw.channel.get_connection().abort()
    await asyncio.wait({opening})
    assert opening.exception()
    await room.disconnected()
    gate.open()
    await room.sessions_ended()
    assert room.nothing_left_open()
    assert room.landed.all == []


async def test_a_resume_that_is_under_way_when_everything_is_cancelled_leaves_the_partial_where_it_was(
    room: Room,
) -> None:
    await room.restart(drain_timeout_s=0)
    raw = await half_an_upload(room)
    raw.channel.close()
    await assert_only_the_half_is_kept(room)
    raw = await room.raw()
    gate = room.disk.hold("rename")  # the partial is claimed
    opening = asyncio.create_task(raw.create(GOLD, FXF_WRITE | FXF_CREAT))
    await gate.reached()
    owner = room.crash()
    await asyncio.wait({opening})
    assert opening.exception()
    gate.open()
    await asyncio.wait({owner})
    assert isinstance(owner.exception(), ExceptionGroup)
    assert room.partial(GOLD) == LIST[:HALF]
    assert room.nothing_left_open()


async def test_an_upload_completes_though_everything_is_cancelled_while_its_close_is_awaited(room: Room) -> None:
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST)
    gate = room.disk.hold("fsync")
    closing = asyncio.create_task(raw.close(handle))
    await gate.reached()
    owner = room.crash()
    await asyncio.wait({closing})
    assert closing.exception()
    gate.open()
    await asyncio.wait({owner})
    assert isinstance(owner.exception(), ExceptionGroup)
    assert (await room.landed.one()).path.read_bytes() == LIST
    assert room.nothing_left_open()


async def test_a_bug_while_a_session_ends_stays_in_that_session(room: Room) -> None:
    await room.landed_put(SILVER, LIST)
    raw = await half_an_upload(room)
    await raw.read_handle(SILVER)
    room.disk.faults["close"] = ValueError("a bug")
    raw.channel.send_signal("TERM")
    await room.sessions_ended(2)
    room.disk.faults.clear()
    assert [error["event"] for error in room.errors()] == [
        "upload cut off, and lost",
        "session could not be cleaned up",
    ]
    await room.landed_put(GOLD, LIST)  # the server is still there


def test_asyncssh_has_the_parts_that_the_seam_stands_on() -> None:
    assert list(inspect.signature(SFTPServerHandler._process_packet).parameters) == [
        "self",
        "pkttype",
        "pktid",
        "packet",
    ]
    assert "self._process_packet(pkttype, pktid, packet)" in inspect.getsource(SFTPHandler.recv_packets)
    assert set(REQUESTS) <= set(SFTPServerHandler._packet_handlers)


def test_asyncssh_has_the_parts_that_bounded_work_stands_on() -> None:
    """What `ctsftp/sftp/seam.py` takes the place of, or calls."""
    parse = inspect.getsource(SSHConnection._recv_data)
    assert "while self._inpbuf and self._recv_handler():" in parse
    assert "self._send_disconnect(exc.code, exc.reason, exc.lang)" in parse
    packet = inspect.getsource(SSHConnection._recv_packet)
    assert "self._recv_handler = lambda: False" in packet  # by which a packet is seen whose answer takes time
    assert "self._finish_recv_packet, pkttype, seq, is_async=True" in packet
    finish = inspect.getsource(SSHConnection._finish_recv_packet)
    assert "self._recv_seq = (seq + 1) & 0xffffffff" in finish  # which is done in its place for data
    assert "self._recv_handler = self._recv_pkthdr" in finish
    assert "self._inpbuf = b''" in inspect.getsource(SSHConnection._cleanup)
    assert "self._deferred_packets.append" in inspect.getsource(SSHConnection.send_packet)
    assert "self._kex_complete = False" in inspect.getsource(SSHConnection._send_kexinit)
    assert "self._kex_complete = True" in inspect.getsource(SSHConnection.send_newkeys)
    assert "self._recv_buf.append((data, datatype))" in inspect.getsource(SSHChannel._accept_data)
    assert "'starting'" in inspect.getsource(SSHChannel.__init__)


async def test_a_connection_that_is_over_keeps_nothing(room: Room) -> None:
    peer = await room.connect()
    (connection,) = room.server.connections
    connection.ssh.data_received(b"x")
    peer.abort()
    await room.disconnected()
    assert not connection.ssh._inpbuf
    assert not connection.ssh._deferred_packets
    assert connection.ssh.answerable.is_set()


async def test_what_came_before_the_end_is_worked_off_before_it(room: Room) -> None:
    """A peer that says goodbye and leaves is not one whose connection was lost."""
    peer = await room.connect()
    peer.disconnect(DISC_BY_APPLICATION, "done")
    await room.disconnected()
    (ended,) = [entry for entry in room.logs if entry["event"] == "connection ended"]
    assert ended["error"] is None


async def test_a_connection_has_the_parts_that_key_exchange_and_keepalives_stand_on(room: Room) -> None:
    """Without one of them slow exchanges would not wait, failures not be told, and live peers be ended."""
    connection = await room.connect()
    [served] = room.server.connections
    for name in ("_kex_algs", "_server_host_key_algs", "_mac_algs"):
        assert all(isinstance(one, bytes) for one in getattr(served.ssh, name))
    assert asyncio.iscoroutinefunction(SSHServerConnection._packet_handlers[MSG_KEXINIT])
    assert served.ssh._packet_handlers[MSG_KEXINIT] is not SSHServerConnection._packet_handlers[MSG_KEXINIT]
    served.ssh._keepalive_count = 2
    connection.send_packet(MSG_IGNORE, String(b""))
    await room.raw(connection)
    assert served.ssh._keepalive_count == 0


def test_asyncssh_gives_the_group_exchange_to_the_class_of_the_house() -> None:
    assert kex._kex_handlers[GROUP_EXCHANGE.encode()] == (BoundedGroupExchange, sha256, ())
    assert {bits for bits, _, _ in kex_dh._dh_gex_groups} >= set(GROUP_BITS)
    assert set(BoundedGroupExchange._packet_handlers) == set(kex_dh._KexDHGex._packet_handlers)


async def test_if_asyncssh_answered_a_close_by_itself_nothing_would_land(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = SFTPServerHandler._packet_handlers[FXP_CLOSE]
    monkeypatch.setitem(FilesHandler._packet_handlers, FXP_CLOSE, upstream)
    raw = await room.raw()
    handle = await raw.create(GOLD)
    await raw.write(handle, 0, LIST[:HALF])
    assert (await raw.close(handle))[0] == FX_FAILURE
    raw.channel.close()
    await assert_only_the_half_is_kept(room)


async def test_a_session_ends_with_an_exit_status_that_says_whether_all_went_well(room: Room) -> None:
    for last_words, status in ((b"", 0), (UInt32(1 << 30), 1)):
        raw = await room.raw()
        raw.channel.write(last_words)
        raw.channel.write_eof()
        await raw.channel.wait_closed()
        assert raw.channel.get_exit_status() == status


@pytest.mark.parametrize("version", [3, 4, 5, 6, 7])
@pytest.mark.parametrize(
    "pairs", [b"", String(b"newline@vandyke.com") + String(b"\r\n") + String(b"x@y") + String(b"")]
)
async def test_an_init_of_a_newer_version_is_answered_with_version_3(room: Room, version: int, pairs: bytes) -> None:
    raw = await RawSftp.open(await room.connect(), init=UInt32(version) + pairs)
    assert raw.extensions[b"posix-rename@openssh.com"] == b"1"
    handle = await raw.create(GOLD)
    assert await raw.write(handle, 0, LIST) == (FX_OK, "")
    assert await raw.close(handle) == (FX_OK, "")


@pytest.mark.parametrize("init", [b"", b"\xff", UInt32(3) + b"x", UInt32(6) + String(b"alone"), UInt32(4) + UInt32(99)])
async def test_a_broken_init_ends_the_session_alone(room: Room, init: bytes) -> None:
    connection = await room.connect()
    with pytest.raises(asyncio.IncompleteReadError):
        await RawSftp.open(connection, init=init)
    await room.sessions_ended()
    await room.raw(connection)


def test_nothing_else_leans_on_the_inside_of_asyncssh() -> None:
    """Its names with an underscore need a mark for the linter, and its modules an import."""
    seam = Path(asyncssh_seam.__file__).parent
    found = [
        f"{path.name}: {line.strip()}"
        for path in seam.parent.parent.rglob("*.py")
        if seam not in path.parents
        for line in path.read_text().splitlines()
        if re.match(r"\s*(from|import) asyncssh\.(?!constants\b|packet\b)", line)
        or (path.parent == seam.parent and "SLF001" in line)
    ]
    assert found == []
