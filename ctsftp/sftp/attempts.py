"""The connections of late that signed in, were refused, or had no algorithm in common: told, and kept for `login list`.

Kept in memory, and no more than so many of each kind: whoever tries the same again and again has one entry, with a
count.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.folder import Clients
from ctsftp.clients.likeness import close_names
from ctsftp.errors import CtsftpError
from ctsftp.sftp.negotiation import Mismatch
from ctsftp.sftp.sums import Sums

MAX_ATTEMPTS = 500
NAMES_HOLD_S = 10.0  # for which a list of the clients is good enough
SIGNED_IN, REFUSED, NO_MATCH = "signed in", "refused", "no match"
SAID_CHARS = 200  # of a reason that a stranger wrote, which may be as long as a packet
UNKNOWN_KIND = "unknown"  # the peer left without a list of its own


@dataclass(frozen=True, slots=True)
class Login:
    """A login that succeeded."""

    client: str
    address: str
    fingerprint: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """A connection that ended without a login: its best try, and the keys that it offered."""

    client: str
    address: str
    fingerprint: str
    cause: Refusal
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One connection, as far as it came; `meant` is the client that a wrong user name was meant for."""

    outcome: str
    address: str
    user: str = ""
    cause: str = ""
    software: str = ""
    fingerprint: str = ""
    keys: int = 0
    meant: str = ""
    text: str = ""
    help: str = ""


class Attempts:
    """The latest attempts, and what the log is told of them."""

    def __init__(self, clients: Clients, *, now: Callable[[], datetime]) -> None:
        self._clients = clients
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._tables: dict[str, dict[tuple[str, ...], tuple[Attempt, datetime, int]]] = {}
        self._mismatches = Sums("no algorithm in common")
        self._namesakes = Sums("user name is nearly a client's")
        self._names: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._looking = False

    def as_json(self) -> list[dict[str, Any]]:
        """List the attempts, the newest first."""
        found = [entry for table in self._tables.values() for entry in table.values()]
        newest_first = sorted(found, key=lambda entry: entry[1], reverse=True)
        return [{"at": at.isoformat(), "times": times, **asdict(attempt)} for attempt, at, times in newest_first]

    def signed_in(self, login: Login, software: str) -> None:
        """Note a login."""
        self._note(
            Attempt(
                outcome=SIGNED_IN,
                address=login.address,
                user=login.client,
                software=software,
                fingerprint=login.fingerprint,
            )
        )

    def refused(self, refused: LoginRefused, software: str) -> None:
        """Note a login that was refused; look whose user name it may have been meant to be, if it is nobody's."""
        attempt = Attempt(
            outcome=REFUSED,
            address=refused.address,
            user=refused.client,
            cause=refused.cause,
            software=software,
            fingerprint=refused.fingerprint,
            keys=len(refused.keys),
            text=keys_offered(refused),
        )
        self._note(attempt)
        if refused.cause is Refusal.UNKNOWN_CLIENT and not self._looking:
            self._looking = True
            search = self._loop.run_in_executor(None, self._find_namesake, refused.client, refused.keys)
            search.add_done_callback(lambda found: self._found(attempt, found))

    def mismatched(self, address: str, software: str, found: Mismatch | None, said: str) -> None:
        """Note and tell of a negotiation that failed; `said` is the peer's reason, for where we know of none."""
        kind = found.kind if found else UNKNOWN_KIND
        said = said[:SAID_CHARS]
        attempt = Attempt(outcome=NO_MATCH, cause=kind, address=address, software=software, text=said)
        if found:
            offered = ",".join(found.offered) or "none"
            text = f"no {kind.replace('_', ' ')} in common: it offers {offered}"
            attempt = replace(attempt, text=text, help=found.help)
            facts = {"offered": offered, "needed": ",".join(found.needed), "help": found.help}
        else:
            facts = {"said": said}
        self._mismatches.tell(kind, address=address, software=software, **facts)
        self._note(attempt)

    def close(self) -> None:
        """Tell what is untold; closing twice is fine."""
        self._mismatches.close()
        self._namesakes.close()

    def _note(self, attempt: Attempt, *, again: bool = True) -> None:
        """Remember an attempt; not `again`: more is known now of one that is there."""
        # Who tries one name after the other must not push out what is known of clients.
        kind = attempt.cause if attempt.cause == Refusal.UNKNOWN_CLIENT else attempt.outcome
        table = self._tables.setdefault(kind, {})
        key = (attempt.address, attempt.user, attempt.cause)
        earlier, _, times = table.pop(key, (attempt, None, 0))
        if earlier.meant and not attempt.meant:  # found out once, and not looked for again each time
            attempt = replace(attempt, meant=earlier.meant, text=earlier.text)
        table[key] = attempt, self._now(), times + again
        if len(table) > MAX_ATTEMPTS:
            del table[next(iter(table))]

    def _find_namesake(self, typed: str, keys: Sequence[bytes]) -> tuple[str, bool] | None:
        """Find the client that a user name was meant to be, best one whose key was offered; say whether it was."""
        close = close_names(typed, self._client_names())
        for name in close:
            try:
                entries = self._clients.get(name).keys.entries
            except CtsftpError:  # the doctor tells of it
                continue
            if any(entry.key.blob in keys for entry in entries):
                return name, True
        return (close[0], False) if close else None

    def _client_names(self) -> frozenset[str]:
        read_at, names = self._names
        if not names or self._loop.time() - read_at > NAMES_HOLD_S:
            try:
                names = frozenset(self._clients.names())
            except CtsftpError:
                names = frozenset()
            self._names = self._loop.time(), names
        return names

    def _found(self, attempt: Attempt, search: "asyncio.Future[tuple[str, bool] | None]") -> None:
        self._looking = False
        if (found := search.result()) is None:
            return
        meant, with_its_key = found
        right = f"the user name is {meant}, and the key is one of {meant}'s" if with_its_key else f"{meant} is"
        text = f"{attempt.user} is no client; {right}"
        self._note(replace(attempt, meant=meant, text=text), again=False)
        if with_its_key:
            self._namesakes.tell(
                attempt.cause, user=attempt.user, meant=meant, address=attempt.address, fingerprint=attempt.fingerprint
            )


def keys_offered(refused: LoginRefused) -> str:
    """Say how many keys were offered, where none of them was the client's; "" for any other refusal."""
    if refused.cause is not Refusal.UNKNOWN_KEY:
        return ""
    if len(refused.keys) == 1:
        return f"1 key offered, and it is not {refused.client}'s"
    return f"{len(refused.keys)} keys offered, none is {refused.client}'s"
