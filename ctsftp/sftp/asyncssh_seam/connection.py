"""A connection and a channel as asyncssh has them, with what it leaves open: how much work a peer may make, and when.

The rules:

- What arrives is kept in pieces, and worked off packet by packet when it is the connection's turn (`turns.py`).
  Meanwhile no more than `READ_AHEAD_BYTES` are read; nothing while an answer that takes time is not there (a key
  exchange, a request to sign in), and nothing from a peer that does not read what it is told.
- Who sends too much for nothing is told so and disconnected (`budget.py`).
- While a key exchange runs nothing is answered that could wait; one that takes too long ends the connection.
- A channel takes data once it is served, and packets of a size that is worth making.

    transport -> data_received: keeps -> Turns -> work: `_recv_handler`, once a packet -> asyncssh
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from asyncssh import ChannelOpenError, DisconnectError, ProtocolError, SSHServerChannel
from asyncssh.connection import SSHServerConnection
from asyncssh.connection import SSHServerConnectionOptions as ConnectionOptions
from asyncssh.constants import (
    DISC_KEY_EXCHANGE_FAILED,
    DISC_PROTOCOL_ERROR,
    MSG_CHANNEL_DATA,
    MSG_IGNORE,
    OPEN_RESOURCE_SHORTAGE,
)

from ctsftp.sftp.asyncssh_seam.wire import Arrived, join_small
from ctsftp.sftp.budget import IdleBudget, LoginBudget, cost_of
from ctsftp.sftp.standing import Standing
from ctsftp.sftp.turns import Turns

READ_AHEAD_BYTES = 512 << 10
KEY_EXCHANGE_TIMEOUT_S = 30.0
# A peer answers our KEXINIT behind what it has sent already, which on a slow line takes its time.
SLOWEST_BYTES_PER_S = 500
MAX_SEQUENCE = 0xFFFFFFFF  # of a packet's number
MIN_CHANNEL_PACKET_BYTES = 4096  # RFC 4253, section 6.1, asks everybody for 32,768
HANDLERS_A_LOOK = 8  # at the clock: four packets, each of which takes 0.1 ms at most once there are keys
MIN_WORK_BYTES = 32  # of a packet: with less there is no request in it


__all__ = ["ConnectionOptions", "SftpChannel", "SshConnection"]


class SshConnection(SSHServerConnection):
    """One SSH connection, whose work is bounded in each turn and in all.

    `on_excess` is called when the peer has sent too much for nothing, with what it was, before it is disconnected.
    """

    on_excess: Callable[[str], None]

    def __init__(self, loop: asyncio.AbstractEventLoop, options: ConnectionOptions, *, turns: Turns, keys: int) -> None:
        super().__init__(loop, options)
        self.answerable = asyncio.Event()  # while the peer reads, and no key exchange runs
        self.login_budget = LoginBudget(keys)
        self.standing = Standing.STRANGER
        self.owner = ""
        self._idle_budget = IdleBudget(loop.time())
        self._turns = turns
        self._inpbuf: Any = Arrived(b"")
        self._in_line = False
        self._busy = False  # with a packet whose answer takes time
        self._peer_reads = True
        self._reading = True
        self._ended = False
        self._received_bytes = 0
        self._exchange_deadline: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes, datatype: int | None = None) -> None:  # noqa: ARG002  asyncssh's
        """Keep what arrived until it is this connection's turn."""
        if not self._transport:
            return
        self._reset_keepalive_timer()
        self._inpbuf += data
        self._received_bytes += len(data)
        if not self._auth_complete:
            self.login_budget.bytes += len(data)
            if self._end_if_over_budget():
                return
        if not self._wait_for_turn():
            self._steer()

    def _reset_keepalive_timer(self) -> None:
        """Take back the count of questions that the peer let pass in silence, whatever it sends.

        asyncssh takes it back for an answer alone, and ends the upload of a sender that answers no such question.
        """
        self._keepalive_count = 0
        super()._reset_keepalive_timer()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """End when what arrived before is worked off."""
        self._ended = True
        self._wait_for_turn()
        return True

    def work(self, until_s: float) -> bool:
        """Do what `Turns` asks for."""
        more = False
        try:
            more = self._work(until_s)
        except DisconnectError as exc:
            self._send_disconnect(exc.code, exc.reason, exc.lang)
            self._force_close(exc)
        except Exception:  # noqa: BLE001  asyncssh's own way with a bug
            self.internal_error()
        self._in_line = more
        self._steer()
        if self._ended and not more and not self._busy and self._peer_reads:
            self.connection_lost(None)
        return more

    def pause_writing(self) -> None:
        """Answer nothing more, and take nothing more, from a peer that does not read: all of it would be kept."""
        self._peer_reads = False
        self._steer()
        self._note_answerable()

    def resume_writing(self) -> None:
        """Go on."""
        self._peer_reads = True
        self._steer()
        self._note_answerable()
        self._wait_for_turn()

    def end_before_version(self, text: str) -> None:
        """End a connection with a line, as RFC 4253, section 4.2, allows before the server's version."""
        self._send(f"{text}\r\n".encode())
        self.abort()

    @property
    def transport(self) -> asyncio.Transport:
        """What carries the connection, for who has to read from it first."""
        return cast("asyncio.Transport", self._transport)

    async def reload_config(self) -> None:
        """Read no configuration, of which there is none, in a thread for each login."""

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send no MSG_IGNORE in front of each packet: that guards CBC's predictable vectors, and no CBC is offered."""
        if pkttype == MSG_IGNORE:
            return
        if pkttype == MSG_CHANNEL_DATA:
            self._idle_budget.earn()
        super().send_packet(pkttype, *args, handler=handler)

    def log_sent_packet(self, *_: object, **__: object) -> None:
        """Make no text of each packet for a log that is never on."""

    log_received_packet = log_sent_packet

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """End a key exchange."""
        super().send_newkeys(k, h)
        self._forget_deadline()
        self._note_answerable()

    def create_server_channel(self, *_: object, window: int = 0, **__: object) -> "SftpChannel":
        """Make a channel of our own, which carries bytes."""
        self._update_recv_pktlen(self._max_pktsize)
        return SftpChannel(self, self._loop, False, False, False, 0, 0, None, "strict", window, self._max_pktsize)  # noqa: FBT003  asyncssh's

    def spend(self, cost: int) -> None:
        """Count what a signed-in peer sent without work in it."""
        if not self._idle_budget.spend(cost, self._loop.time()):
            self._end_for("it sent too many packets without work in them")

    def _work(self, until_s: float) -> bool:
        # asyncssh's handlers take a head, or a packet: before the login one may be a key exchange.
        calls = HANDLERS_A_LOOK if self._auth_complete else 1
        while True:
            for _ in range(calls):
                if not (self._transport and self._peer_reads):
                    return False
                handler = self._recv_handler
                if not handler():
                    # asyncssh puts another handler in place until the answer is there.
                    self._busy = self._recv_handler != handler
                    return False
            if perf_counter() >= until_s:
                return bool(self._inpbuf)

    def _wait_for_turn(self) -> bool:
        """Get into the line, or work at once; return False where there is nothing to wait for yet."""
        if self._in_line or self._busy or not self._peer_reads:
            return False
        self._in_line = True
        self._turns.add(self)
        return True

    def _steer(self) -> None:
        """Read on or read no more, by what is kept already."""
        wanted = self._peer_reads and len(self._inpbuf) < READ_AHEAD_BYTES and not (self._busy and self._inpbuf)
        transport = self._transport
        if wanted != self._reading and transport and not transport.is_closing():
            self._reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _finish_recv_packet(self, pkttype: int, seq: int, _task: Any = None, is_async: bool = False) -> None:  # noqa: FBT001, FBT002  asyncssh's
        """Count a packet; leave what waits behind one whose answer took time to the next turn."""
        if pkttype == MSG_CHANNEL_DATA and self._auth_complete:
            # Nearly all of an upload: what asyncssh does is done here, without its looks at what cannot be.
            self._recv_seq = (seq + 1) & MAX_SEQUENCE
            self._recv_handler = self._recv_pkthdr
            if self._pktlen >= MIN_WORK_BYTES:
                self._idle_budget.earn()
            else:
                self.spend(cost_of(pkttype))
            return
        super()._finish_recv_packet(pkttype, seq)
        if is_async:
            self._busy = False
            self._steer()
            self._wait_for_turn()
        if not self._auth_complete:
            self.login_budget.count(pkttype)
            self._end_if_over_budget()
        elif cost := cost_of(pkttype):
            self.spend(cost)

    def _end_if_over_budget(self) -> bool:
        if not self.login_budget.is_over:
            return False
        self._end_for("it sent far more than a login takes")
        return True

    def _end_for(self, excess: str) -> None:
        if self._transport:
            self.on_excess(excess)
            self.disconnect(DISC_PROTOCOL_ERROR, f"Connection ended: {excess}")

    def _send_kexinit(self) -> None:
        super()._send_kexinit()
        self._note_answerable()
        if self._auth_complete:  # a login has a limit of its own
            self._forget_deadline()
            self._set_deadline()

    def _set_deadline(self) -> None:
        self._exchange_deadline = self._loop.call_later(
            KEY_EXCHANGE_TIMEOUT_S, self._exchange_overdue, self._received_bytes
        )

    def _exchange_overdue(self, received_before: int) -> None:
        arrived = self._received_bytes - received_before
        if not self._kex and arrived >= SLOWEST_BYTES_PER_S * KEY_EXCHANGE_TIMEOUT_S:
            self._set_deadline()
        elif self._transport:
            text = f"The key exchange took longer than {KEY_EXCHANGE_TIMEOUT_S:g} s"
            self.disconnect(DISC_KEY_EXCHANGE_FAILED, text)

    def _forget_deadline(self) -> None:
        if self._exchange_deadline:
            self._exchange_deadline.cancel()
            self._exchange_deadline = None

    def _note_answerable(self) -> None:
        if self._peer_reads and self._kex_complete:
            self.answerable.set()
        else:
            self.answerable.clear()

    def _cleanup(self, exc: Exception | None) -> None:
        """Let go of all that is kept: a connection is part of cycles, and those are collected late."""
        self.answerable.set()
        super()._cleanup(exc)
        self._forget_deadline()
        self._deferred_packets = []


class SftpChannel(SSHServerChannel[bytes]):
    """One channel: it carries SFTP or nothing."""

    _conn: SshConnection

    log_sent_packet = log_received_packet = SshConnection.log_sent_packet

    def process_open(self, send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        """Refuse a peer that takes only small packets: an answer of 256 KiB would be cut into as many as it likes."""
        if send_pktsize >= MIN_CHANNEL_PACKET_BYTES:
            super().process_open(send_chan, send_window, send_pktsize, session)
            return
        self._session = session
        self._loop.call_soon(self._cleanup)
        raise ChannelOpenError(
            OPEN_RESOURCE_SHORTAGE, f"The maximum packet size is below {MIN_CHANNEL_PACKET_BYTES} bytes"
        )

    def _accept_data(self, data: bytes, datatype: int | None = None) -> None:
        """Take data once the channel is served; keep what must wait in few pieces, since each costs a move of all."""
        if self._recv_paused == "starting" and data:
            raise ProtocolError("Data on a channel that has not asked for a subsystem")
        super()._accept_data(data, datatype)
        if len(self._recv_buf) > 1:
            (before, _), (last, _) = self._recv_buf[-2:]
            if joined := join_small(before, last):
                self._recv_buf[-2:] = [(joined, datatype)]

    def _process_pty_req_request(self, _packet: object) -> bool:
        """Say yes, and make no terminal: at a no `ssh -tt` ends, before it is told that there is SFTP only."""
        return True

    def _process_env_request(self, _packet: object) -> bool:
        """Keep no variables, of which asyncssh takes any number; sshd accepts none by default either."""
        return False
