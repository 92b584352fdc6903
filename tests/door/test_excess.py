"""Peers that send for nothing, before and after the login: it costs them the connection, and nobody else anything."""

import asyncio
from pathlib import Path

import asyncssh
import paramiko
import pytest
from asyncssh.channel import SSHChannel
from asyncssh.constants import (
    FXP_READ,
    FXP_STAT,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_SUCCESS,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_UNIMPLEMENTED,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Byte, String, UInt32, UInt64

from ctsftp.sftp.asyncssh_seam import connection as seam
from ctsftp.sftp.budget import IDLE_PACKETS, LOGIN_PACKETS
from ctsftp.sftp.penalties import Offence

from ..sftp.room import ACME, GOLD, PATIENCE_S, Room
from ..sftp.stock import StockSftp
from .attacker import ADDRESS, Attacker, RawSsh, slow_line
from .bursts import BURSTS, EXCESSES
from .conftest import GoodSender
from .floods import CHANNEL_OPENED, CLIENTS, Flood, begin_key_exchange, say_no_ignore, take_any


async def refused_for_excess(room: Room) -> None:
    """Wait until the attacker's connections are over, and see that its address is refused."""
    await room.disconnected()
    penalty = next(one for one in room.server.penalties() if one.source == ADDRESS)
    assert (penalty.last, penalty.refused) == (Offence.EXCESS, True)
    assert penalty.seconds_left > 100


# Before the login.


@pytest.mark.parametrize("burst", EXCESSES.values(), ids=EXCESSES)
async def test_a_stranger_that_sends_too_much_is_disconnected_and_refused(
    room: Room, attacker: Attacker, good_sender: GoodSender, burst: bytes
) -> None:
    one = await attacker.connect()
    one.say(b"SSH-2.0-x\r\n" + burst)
    await one.ends()
    await refused_for_excess(room)
    assert await (await attacker.connect()).line() == b"Not allowed at this time.\r\n"
    reasons = [entry["reason"] for entry in room.logs if entry["event"] == "connection ended"]
    assert reasons == ["it sent far more than a login takes"]
    await good_sender.gets_a_file_in()


@pytest.mark.parametrize("kind", sorted(set(BURSTS) - set(EXCESSES) - {"nothing"}))
async def test_what_is_no_packet_ends_the_connection_too(room: Room, attacker: Attacker, kind: str) -> None:
    one = await attacker.connect()
    one.say(b"" if kind == "lines without an end" else b"SSH-2.0-x\r\n")
    one.say(BURSTS[kind])
    await one.ends()
    await room.disconnected()


async def test_a_stranger_that_asks_to_sign_in_again_and_again_is_disconnected_and_refused(
    room: Room, good_sender: GoodSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests by a method that is not offered were counted by nothing."""

    def ask_for_ever(connection: asyncssh.SSHClientConnection, **_: object) -> None:
        for _ in range(100):
            connection.send_packet(MSG_USERAUTH_REQUEST, String(ACME), String("ssh-connection"), String("none"))

    monkeypatch.setattr(asyncssh.SSHClientConnection, "try_next_auth", ask_for_ever)
    monkeypatch.setitem(asyncssh.connection.SSHConnection._packet_handlers, MSG_USERAUTH_FAILURE, lambda *_: True)
    with pytest.raises((asyncssh.DisconnectError, OSError)):
        await room.connect(local_addr=(ADDRESS, 0), client_factory=asyncssh.SSHClient)
    monkeypatch.undo()
    await refused_for_excess(room)
    await good_sender.gets_a_file_in()


async def test_a_stranger_that_leaves_before_it_is_too_much_pays_for_its_part(room: Room, attacker: Attacker) -> None:
    one = await attacker.connect()
    one.say(b"SSH-2.0-x\r\n" + RawSsh.packet(Byte(MSG_IGNORE) + String(b"")) * (LOGIN_PACKETS * 3 // 4))
    assert await one.line()
    await one.payload()
    (connection,) = room.server.connections
    async with asyncio.timeout(PATIENCE_S):
        while connection.ssh.login_budget.packets < LOGIN_PACKETS * 3 // 4:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
    one.close()
    await room.disconnected()
    (penalty,) = room.server.penalties()
    assert penalty.refused
    assert 60 < penalty.seconds_left < 100


async def test_a_refused_address_costs_no_connection(room: Room, attacker: Attacker) -> None:
    room.server.door.blame(ADDRESS, Offence.EXCESS)
    before = asyncssh.SSHServerConnection.next_conn
    for _ in range(5):
        assert await (await attacker.connect()).line() == b"Not allowed at this time.\r\n"
    assert asyncssh.SSHServerConnection.next_conn == before


async def test_what_a_stranger_sends_while_its_request_is_looked_up_is_not_read(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = asyncio.Event()

    async def wait(_name: str) -> None:
        looked_up.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(room.server, "read_client", wait)
    signing_in = asyncio.create_task(room.connect())
    async with asyncio.timeout(PATIENCE_S):
        await looked_up.wait()
    (connection,) = room.server.connections
    connection.ssh.data_received(b"x")
    assert not connection.ssh._reading
    signing_in.cancel()
    await asyncio.wait({signing_in})


# After the login.


@pytest.mark.slow
@pytest.mark.parametrize("flood", CLIENTS.values(), ids=CLIENTS)
async def test_a_client_that_sends_packets_without_work_is_disconnected_and_refused(
    room: Room, good_sender: GoodSender, flood: Flood
) -> None:
    peer = await room.connect(local_addr=(ADDRESS, 0))
    raw = await room.raw(peer)
    await raw.write(await raw.create(GOLD), 0, b"CTUserID\n")
    number = raw.channel._send_chan
    assert number is not None
    take_any(peer, MSG_UNIMPLEMENTED, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE, *CHANNEL_OPENED)
    take_any(raw.channel, MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE)
    if flood is not CLIENTS["ignored packets"]:
        say_no_ignore(peer)
    for _ in range(IDLE_PACKETS + 200):
        flood(peer, number)
        if not peer._transport or peer._transport.is_closing():
            break
    async with asyncio.timeout(PATIENCE_S):
        await peer.wait_closed()
    await refused_for_excess(room)
    await room.cut_offs.one()
    assert room.partial(GOLD) == b"CTUserID\n"
    await good_sender.gets_a_file_in()


async def test_a_channel_of_small_packets_is_refused(room: Room) -> None:
    """One READ of 29 bytes was answered in 262,144 packets of a byte, without a pause."""
    peer = await room.connect()
    for size in (1, seam.MIN_CHANNEL_PACKET_BYTES - 1):
        with pytest.raises(asyncssh.ChannelOpenError, match="below 4096 bytes"):
            await peer.open_session(subsystem="sftp", encoding=None, max_pktsize=size)
    await room.sessions_ended(2)
    raw_writer, _, _ = await peer.open_session(
        subsystem="sftp", encoding=None, max_pktsize=seam.MIN_CHANNEL_PACKET_BYTES
    )
    raw_writer.close()


async def test_data_before_the_subsystem_ends_the_connection(room: Room, good_sender: GoodSender) -> None:
    """Packets of a byte were kept one by one, and moved one by one when the subsystem was asked for."""
    peer = await room.connect()
    channel: SSHChannel[bytes] = SSHChannel(peer, asyncio.get_running_loop(), None, "strict", 1 << 20, 32_768)
    await channel._open(b"session")
    peer.send_packet(MSG_CHANNEL_DATA, UInt32(channel._send_chan or 0), String(b"\0"))
    async with asyncio.timeout(PATIENCE_S):
        await peer.wait_closed()
    await room.disconnected()
    await good_sender.gets_a_file_in()


async def test_what_comes_in_single_bytes_is_kept_in_few_pieces(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctsftp.sftp.budget.IDLE_PACKETS", 1 << 30)  # which would end it sooner
    raw = await room.raw()
    (connection,) = room.server.connections
    (session,) = connection.sessions
    connection.ssh.answerable.clear()  # so it answers one that it waits for already, and takes no other
    for byte in String(Byte(FXP_STAT) + UInt32(1) + String("/")) * 200:
        raw.channel.write(bytes([byte]))
    async with asyncio.timeout(PATIENCE_S):
        while session._recv_buf_len < 199 * 14:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.01)
    assert len(session._recv_buf[None]) < 10
    connection.ssh.answerable.set()
    for _ in range(200):
        await raw.answer()


@pytest.mark.parametrize("by", ["client", "server"])
async def test_a_key_exchange_that_does_not_end_costs_no_memory_and_ends_the_connection(
    room: Room, good_sender: GoodSender, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Every answer was kept until the end of the key exchange: 3 GB for 391 kB of requests."""
    await room.landed_put(GOLD, bytes(262_144))
    peer = await room.connect()
    raw = await room.raw(peer)
    handle = await raw.read_handle(GOLD)
    (connection,) = room.server.connections
    monkeypatch.setattr(seam, "KEY_EXCHANGE_TIMEOUT_S", 1.0)
    take_any(peer, MSG_KEXINIT)
    if by == "client":
        begin_key_exchange(peer)
    else:
        connection.ssh._send_kexinit()
        connection.ssh._kexinit_sent = True
    async with asyncio.timeout(PATIENCE_S):
        while connection.ssh._kex_complete:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
    for _ in range(500):
        raw.send(FXP_READ, String(handle), UInt64(0), UInt32(262_144))
    kept = 0
    async with asyncio.timeout(PATIENCE_S):
        while not peer.is_closed():
            kept = max(kept, sum(len(field) for _, args in connection.ssh._deferred_packets for field in args))
            await asyncio.sleep(0.01)
    assert kept < 1 << 20
    assert not connection.ssh._deferred_packets
    await room.disconnected()
    await good_sender.gets_a_file_in()


async def test_a_slow_peer_that_still_sends_has_longer_for_its_answer_to_new_keys(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seam, "KEY_EXCHANGE_TIMEOUT_S", 0.2)
    await room.connect()
    (connection,) = room.server.connections
    ssh = connection.ssh
    ended: list[int] = []
    monkeypatch.setattr(ssh, "disconnect", lambda code, _reason: ended.append(code))
    ssh._kex = None
    ssh._received_bytes = 1000
    ssh._exchange_overdue(0)
    assert not ended
    ssh._forget_deadline()
    ssh._exchange_overdue(950)
    assert ended == [asyncssh.DISC_KEY_EXCHANGE_FAILED]


# And who is honest.


async def test_a_client_that_says_ignore_before_each_packet_is_served_for_ever(room: Room) -> None:
    """asyncssh's own client does, as soon as it has keys."""
    raw = await room.raw(await room.connect(local_addr=(ADDRESS, 0)))
    for _ in range(2 * IDLE_PACKETS):
        raw.send(FXP_STAT, String("/"))
        if raw._next % 50 == 0:
            for _ in range(50):
                await raw.answer()
    assert not raw.channel.get_connection().is_closed()
    assert not room.server.penalties()


async def test_a_client_of_openssh_with_keepalives_and_new_keys_all_the_time_is_served(
    room: Room, stock: StockSftp
) -> None:
    stock.file(GOLD, b"CTUserID\n" + b"".join(b"%07d\n" % number for number in range(1_000_000)))
    done = await stock.batch(f"put {GOLD}", options=("-o", "RekeyLimit=1M", "-o", "ServerAliveInterval=1"))
    assert done.code == 0, done.err
    assert not room.server.penalties()


async def test_paramiko_with_a_small_window_and_keepalives_is_served(room: Room, key_file: Path) -> None:
    """It asks for a keepalive each second, waits for the answer to each of its requests, and opens small windows."""

    def put_and_get() -> None:
        with paramiko.SSHClient() as ssh:
            ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            ssh.connect(
                "127.0.0.1",
                room.server.port,
                ACME,
                key_filename=str(key_file),
                allow_agent=False,
                look_for_keys=False,
            )
            transport = ssh.get_transport()
            assert transport is not None
            transport.set_keepalive(1)
            transport.default_window_size = 64 << 10
            with ssh.open_sftp() as sftp:
                with sftp.open(GOLD, "wb") as file:
                    file.write(b"CTUserID\n" + b"1234567\n" * 60_000)
                with sftp.open(GOLD, "rb") as file:
                    while file.read(1 << 13):
                        pass

    await asyncio.to_thread(put_and_get)
    assert await room.landed.one()
    assert not room.server.penalties()


@pytest.mark.slow
async def test_a_slow_honest_line_is_served(room: Room) -> None:
    """20 kB/s, and 300 ms each way; tests/door/test_storms.py has a slower one."""
    async with slow_line(room.server.port, bytes_per_s=20_000, delay_s=0.3) as port:
        peer = await asyncssh.connect(
            "127.0.0.1",
            port,
            username=ACME,
            client_keys=[room.user_key],
            known_hosts=None,
            config=None,
            agent_path=None,
        )
        sftp = await peer.start_sftp_client()
        async with sftp.open(GOLD, "wb") as file:
            await file.write(b"CTUserID\n" + b"1234567\n" * 2000)
        peer.close()
        await peer.wait_closed()
    assert await room.landed.one()
    assert not room.server.penalties()
