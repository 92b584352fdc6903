"""How well a peer is known: who has signed in, who comes from where one did lately, and strangers.

Pure: the clock is an argument. A good sender is to be let in while strangers flood the door, and it shows who it is
only when it has signed in. So an address is remembered for a day after a login, as the penalties count addresses (an
IPv6 address by its /64): where somebody has to go or to wait, strangers do first. An excess is the end of that.
"""

from enum import Enum

from ctsftp.sftp.penalties import source_of

KNOWN_FOR_S = 24 * 3600.0  # most senders come each day
MAX_KNOWN = 10_000  # addresses; the one whose login is longest ago is forgotten


class Standing(Enum):
    """How well a peer is known, the best first."""

    SIGNED_IN = "signed in"
    KNOWN = "known"  # its address is, or it is trusted
    STRANGER = "stranger"


class KnownAddresses:
    """Where clients signed in from, and when last; the latest is at the end."""

    def __init__(self) -> None:
        self._logins_s: dict[str, float] = {}

    def note(self, address: str, now_s: float) -> None:
        """Remember a login."""
        source = source_of(address)
        self._logins_s.pop(source, None)
        self._logins_s[source] = now_s
        if len(self._logins_s) > MAX_KNOWN:
            del self._logins_s[next(iter(self._logins_s))]

    def forget(self, address: str) -> None:
        """Forget an address that misbehaves; one that is not known is fine."""
        self._logins_s.pop(source_of(address), None)

    def knows(self, address: str, now_s: float) -> bool:
        """Tell whether somebody signed in from an address lately."""
        login_s = self._logins_s.get(source_of(address))
        return login_s is not None and now_s - login_s < KNOWN_FOR_S
