"""What a peer may cost the server: pure, the clock is an argument.

Before the login a connection has so many bytes, packets, requests to sign in and key exchanges: several times what the
most talkative honest client needs. After it, packets that carry no work (IGNORE, questions, channels opened and
refused) are paid for by those that do, by the data that the peer is sent, each of whose packets it may answer with more
window, and by time: a keepalive each second is free, a flood is not.
"""

from dataclasses import dataclass

from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_OPEN,
    MSG_DISCONNECT,
    MSG_KEX_FIRST,
    MSG_KEX_LAST,
    MSG_KEXINIT,
    MSG_NEWKEYS,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_USERAUTH_REQUEST,
)

LOGIN_BYTES = 128 << 10  # an honest login takes 3 to 30 KB
LOGIN_PACKETS = 200  # and 7 to 60 packets
LOGIN_REQUESTS = 16  # besides an offer and a signature for each key that may be tried
LOGIN_EXCHANGES = 1  # nobody needs new session keys before there was a session

# From this part of its bytes or packets on, a connection that leaves without a login pays for the part that it used.
NOTICED_SHARE = 0.5

IDLE_PACKETS = 2_000  # without work that may come at once,
IDLE_PACKETS_PER_S = 10  # and again with time,
IDLE_PACKETS_PER_WORK = 2  # and with each packet that carries work: asyncssh's client sends an IGNORE before each

_KEY_EXCHANGE = 50  # a signature with an RSA key takes as long as so many small packets
_CHANNEL = 4
_FREE = 0
_OTHER = 1
COSTS = {
    MSG_DISCONNECT: _FREE,
    MSG_KEXINIT: _KEY_EXCHANGE,
    MSG_NEWKEYS: _FREE,
    **dict.fromkeys(range(MSG_KEX_FIRST, MSG_KEX_LAST + 1), _FREE),
    MSG_REQUEST_SUCCESS: _FREE,  # answers to our keepalives
    MSG_REQUEST_FAILURE: _FREE,
    MSG_CHANNEL_OPEN: _CHANNEL,
    MSG_CHANNEL_EOF: _FREE,
    MSG_CHANNEL_CLOSE: _FREE,
}


@dataclass(slots=True)
class LoginBudget:
    """What a connection has used before its login, of what it may."""

    keys: int  # that it may try
    bytes: int = 0
    packets: int = 0
    requests: int = 0
    exchanges: int = 0

    def count(self, pkttype: int) -> None:
        """Count a packet that was worked off."""
        self.packets += 1
        if pkttype == MSG_USERAUTH_REQUEST:
            self.requests += 1
        elif pkttype == MSG_KEXINIT:
            self.exchanges += 1

    @property
    def is_over(self) -> bool:
        """Whether the connection used more than it may."""
        return self.share > 1 or self.requests > self._max_requests or self.exchanges > LOGIN_EXCHANGES

    @property
    def share(self) -> float:
        """The part of its bytes or packets that is used."""
        return max(self.bytes / LOGIN_BYTES, self.packets / max(LOGIN_PACKETS, 4 * self._max_requests))

    @property
    def _max_requests(self) -> int:
        return LOGIN_REQUESTS + 2 * self.keys


class IdleBudget:
    """How many more packets without work a signed-in connection may send."""

    __slots__ = ("_left", "_seen_s")

    def __init__(self, now_s: float) -> None:
        self._left = float(IDLE_PACKETS)
        self._seen_s = now_s

    def earn(self) -> None:
        """Count a packet that carried work, or data to the peer."""
        if self._left < IDLE_PACKETS:
            self._left += IDLE_PACKETS_PER_WORK

    def spend(self, cost: int, now_s: float) -> bool:
        """Count a packet that carried none; return False if that is one too many."""
        self._left = min(self._left + (now_s - self._seen_s) * IDLE_PACKETS_PER_S, IDLE_PACKETS) - cost
        self._seen_s = now_s
        return self._left >= 0


def cost_of(pkttype: int) -> int:
    """Tell how many packets without work a packet counts as."""
    return COSTS.get(pkttype, _OTHER)
