"""The penalties that addresses earn by logins that fail, after OpenSSH's PerSourcePenalties (sshd_config(5)).

Pure: the clock is an argument. Each offence adds its seconds to what an address has left of earlier ones. Once that
reaches `min_s` the address is refused until all of it is over; `max_s` is the most that can add up. Each time that an
address is refused again within an hour, it is refused for twice as long: hundreds of connections for nothing are worth
minutes. Whoever stops trying is forgotten, and an honest sender with one wrong key is never noticed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

from ctsftp.sftp.settings import PenaltySettings

# A balancer's health check connects, reads the server's name and leaves: several balancers do so every few seconds.
EARLY_ENDS_PER_S = 5

REMEMBERED_S = 3600.0  # for which a refusal makes the next one longer

# Whoever has one IPv6 address has its /64.
IPV6_PREFIX_BITS = 64


class Offence(StrEnum):
    """What earns a penalty."""

    FAILED_KEYS = "failed_keys"
    UNKNOWN_USER = "unknown_user"
    NO_AUTHENTICATION = "no_authentication"
    LOGIN_TIMEOUT = "login_timeout"
    EXCESS = "excess"


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """What one source has left to wait, and whether it is refused for it."""

    source: str
    seconds_left: float
    refused: bool
    offences: int
    last: Offence


@dataclass(slots=True)
class _Record:
    until_s: float
    refused: bool
    offences: int
    last: Offence
    refusals: int = 0

    def is_forgotten(self, now_s: float) -> bool:
        return self.until_s + (REMEMBERED_S if self.refusals else 0) <= now_s


def source_of(address: str) -> str:
    """Name what an address is counted as: an IPv4 address, or the /64 of an IPv6 one; itself, if it is no address."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:  # how a listener on :: sees an IPv4 peer
            return str(ip.ipv4_mapped)
        return str(ip_network((ip, IPV6_PREFIX_BITS), strict=False))
    return str(ip)


class Penalties:
    """The table: one record a source, the one that offended last at its end; IPv4 and IPv6 each have their own room."""

    def __init__(self, settings: PenaltySettings) -> None:
        self.settings = settings
        self._v4: dict[str, _Record] = {}
        self._v6: dict[str, _Record] = {}

    def earn(self, address: str, offence: Offence, now_s: float, share: float = 1.0) -> bool:
        """Add an offence, or a part of one; return whether it is that for which the source is refused from now on."""
        added_s: float = getattr(self.settings, f"{offence}_s") * share
        if not address or not added_s:
            return False
        source = source_of(address)
        table = self._table(source)
        record = table.pop(source, None)
        refusals = record.refusals if record and not record.is_forgotten(now_s) else 0
        if record is None or record.until_s <= now_s:
            record = _Record(until_s=now_s, refused=False, offences=0, last=offence, refusals=refusals)
        record.until_s = min(record.until_s + added_s, now_s + self.settings.max_s)
        record.offences += 1
        record.last = offence
        was_refused = record.refused
        record.refused = was_refused or record.until_s - now_s >= self.settings.min_s
        is_new = record.refused and not was_refused
        if is_new:
            record.until_s = now_s + min((record.until_s - now_s) * 2**record.refusals, self.settings.max_s)
            record.refusals += 1
        table[source] = record
        self._make_room(table, now_s)
        return is_new

    def refused_s(self, address: str, now_s: float) -> float:
        """Tell how many seconds an address has to wait; 0 if it may connect."""
        source = source_of(address)
        record = self._table(source).get(source)
        return max(0.0, record.until_s - now_s) if record and record.refused else 0.0

    def current(self, now_s: float) -> list[Penalty]:
        """List who has something left, the longest wait first."""
        found = [
            Penalty(
                source=source,
                seconds_left=record.until_s - now_s,
                refused=record.refused,
                offences=record.offences,
                last=record.last,
            )
            for source, record in self._records()
            if record.until_s > now_s
        ]
        return sorted(found, key=lambda penalty: -penalty.seconds_left)

    def clear(self, address: str | None = None) -> int:
        """Forget what an address, or its /64, has left, or everybody; return how many sources were forgotten."""
        if address is None:
            count = len(self._v4) + len(self._v6)
            self._v4.clear()
            self._v6.clear()
            return count
        source = source_of(address.removesuffix(f"/{IPV6_PREFIX_BITS}"))
        return 1 if self._table(source).pop(source, None) else 0

    def _make_room(self, table: dict[str, _Record], now_s: float) -> None:
        """Drop what is over from the front, and, where the table is full, whoever offended longest ago."""
        while table:
            source, oldest = next(iter(table.items()))
            if not oldest.is_forgotten(now_s) and len(table) <= self.settings.max_sources:
                break
            del table[source]

    def _table(self, source: str) -> dict[str, _Record]:
        return self._v6 if ":" in source else self._v4

    def _records(self) -> Iterator[tuple[str, _Record]]:
        yield from self._v4.items()
        yield from self._v6.items()


class EarlyEnds:
    """When each source last ended connections before its KEXINIT; the one that did so last is at the end."""

    def __init__(self, max_sources: int) -> None:
        self._max_sources = max_sources
        self._times_s: dict[str, deque[float]] = {}

    def excuses(self, address: str, now_s: float) -> bool:
        """Note one more such end; tell whether there were fewer than so many in the second before it."""
        source = source_of(address)
        times_s = self._times_s.pop(source, deque(maxlen=EARLY_ENDS_PER_S))
        excused = len(times_s) < EARLY_ENDS_PER_S or now_s - times_s[0] > 1
        times_s.append(now_s)
        self._times_s[source] = times_s
        while len(self._times_s) > self._max_sources or now_s - next(iter(self._times_s.values()))[-1] > 1:
            del self._times_s[next(iter(self._times_s))]
        return excused
