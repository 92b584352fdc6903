"""What may be asked of ctsftp: the commands, what each answers, and their one form on the wire.

A command is a value: `perform(ApproveUpload(upload_id))` gives an `UploadOut`, whoever asks. `encode` writes it for the
control socket as `{"do": "upload.approve", "with": {"upload_id": ...}}`, and `decode` reads it. Which handler does it,
and who may ask, stands in the table of `admin/handlers.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

from typing_extensions import TypedDict  # as the records

from ctsftp.model import wire
from ctsftp.model.records import GateOut, HookOut, SegmentOut, UploadOut

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
C = TypeVar("C", bound="Command[Any]")
W = TypeVar("W")  # what a handler works on


class Role(IntEnum):
    """Who asks; each may what those before it may."""

    READER = 1  # a token that may only read
    ADMIN = 2  # an admin's token
    OPERATOR = 3  # the account that the server runs as, and root

    @property
    def told(self) -> str:
        """Who that is, for a person."""
        return ("a token", "an admin's token", "the account that the server runs as")[self - 1]


class SweptOut(TypedDict):
    """What a sweep did; `queued` are the ids of the uploads that it found."""

    adopted: int
    queued: list[str]
    uploads_deleted: int
    partials_deleted: int
    snapshots_deleted: int


class AddedHookOut(HookOut):
    """A new hook, and the secret that its receiver checks signatures with, which is told this once."""

    secret: str | None


class Tried(TypedDict):
    """Whether a hook took a test."""

    delivered: bool
    error: str | None


class TriedHookOut(HookOut, Tried):
    """A hook, and whether it took the test."""


class RevivedOut(TypedDict):
    """How many deliveries of a hook are tried again."""

    hook: int
    revived: int


class PenaltyOut(TypedDict):
    """An address whose logins failed."""

    source: str
    seconds_left: float
    refused: bool
    offences: int
    last: str


class AttemptOut(TypedDict):
    """Somebody who tried to sign in; `at` is the last time of `times`, and `meant` the client that was meant."""

    at: str
    times: int
    outcome: str
    address: str
    user: str
    cause: str
    software: str
    fingerprint: str
    keys: int
    meant: str
    text: str
    help: str


@dataclass(frozen=True)
class Command(Generic[R_co]):
    """Something that may be asked, whose answer is an R; where no server runs, the asker does it."""

    wire: ClassVar[str]

    @classmethod
    def by(cls, handle: Callable[[W, Self], Awaitable[R_co]], role: Role, *, changes: bool = True) -> "Entry[W]":
        """Make the line of the table of handlers that says what does this command, and who may ask for it."""
        return Entry(cls, handle, role, changes)


@dataclass(frozen=True)
class Entry(Generic[W]):
    """What does a command, who may ask for it, and whether it changes anything, which the log then has."""

    kind: type[Command[object]]
    handle: Callable[[W, Any], Awaitable[object]]
    role: Role
    changes: bool


@dataclass(frozen=True)
class LiveCommand(Command[R_co]):
    """Something that is about a running server: where none runs, there is no answer."""


@dataclass(frozen=True)
class Sweep(Command[SweptOut]):
    """Sweep now, and wait until what was found is done."""

    wire = "sweep"


@dataclass(frozen=True)
class RetryUpload(Command[UploadOut]):
    """Read a rejected or failed upload again, and wait until that is done."""

    wire = "upload.retry"
    upload_id: str


@dataclass(frozen=True)
class ApproveUpload(Command[UploadOut]):
    """Apply a held or superseded upload, and wait until that is done."""

    wire = "upload.approve"
    upload_id: str


@dataclass(frozen=True)
class DiscardUpload(Command[UploadOut]):
    """Drop a held upload."""

    wire = "upload.discard"
    upload_id: str


@dataclass(frozen=True)
class RollBackSegment(Command[SegmentOut]):
    """Make another snapshot of a segment current: the one of that number, else what readers had before."""

    wire = "segment.rollback"
    name: str
    client: str | None = None
    number: int | None = None


@dataclass(frozen=True)
class RetireSegment(Command[SegmentOut]):
    """Take a segment out of use."""

    wire = "segment.retire"
    name: str
    client: str | None = None


@dataclass(frozen=True)
class RestoreSegment(Command[SegmentOut]):
    """Put a retired segment back into use."""

    wire = "segment.restore"
    name: str
    client: str | None = None


@dataclass(frozen=True)
class DeleteSegment(Command[SegmentOut]):
    """Delete a retired segment for good; the answer is what it was."""

    wire = "segment.delete"
    name: str
    client: str | None = None


@dataclass(frozen=True)
class ExpectSegment(Command[SegmentOut]):
    """Expect a segment's file every so often; `every_s` None: no longer."""

    wire = "segment.expect"
    name: str
    client: str | None = None
    every_s: int | None = None
    grace_s: int | None = None


@dataclass(frozen=True)
class AddHook(Command[AddedHookOut]):
    """Add a webhook (http, https), or an address for messages to people; `events` empty: all kinds."""

    wire = "hook.add"
    url: str = field(repr=False)  # it holds passwords and tokens
    client: str | None = None
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoveHook(Command[HookOut]):
    """Remove a hook, and what was still to be delivered to it."""

    wire = "hook.remove"
    hook_id: int


@dataclass(frozen=True)
class TryHook(Command[TriedHookOut]):
    """Send a hook a test now."""

    wire = "hook.test"
    hook_id: int


@dataclass(frozen=True)
class ReviveDeliveries(Command[RevivedOut]):
    """Deliver once more what was given up for a hook."""

    wire = "hook.revive"
    hook_id: int


@dataclass(frozen=True)
class SetGate(Command[GateOut]):
    """Say which segments of one client open an item."""

    wire = "gate.set"
    kind: str
    item: str
    segments: tuple[str, ...]
    client: str | None = None


@dataclass(frozen=True)
class RemoveGate(Command[GateOut]):
    """Forget a gate; the answer is what it was."""

    wire = "gate.remove"
    kind: str
    item: str
    client: str | None = None


@dataclass(frozen=True)
class AddToken(Command[str]):
    """Make a token of the API; the answer is its secret. `expires` is ISO 8601."""

    wire = "token.add"
    name: str
    client: str | None = None
    admin: bool = False
    expires: str | None = None


@dataclass(frozen=True)
class RevokeToken(Command[None]):
    """Forget a token of the API."""

    wire = "token.revoke"
    name: str


@dataclass(frozen=True)
class RecheckSessions(LiveCommand[int]):
    """End the sessions of keys and clients that are gone or disabled; the answer is how many."""

    wire = "sessions.recheck"


@dataclass(frozen=True)
class ListPenalties(LiveCommand[list[PenaltyOut]]):
    """List the addresses whose logins failed lately."""

    wire = "penalty.list"


@dataclass(frozen=True)
class ClearPenalties(LiveCommand[int]):
    """Forgive an address, or all; the answer is how many."""

    wire = "penalty.clear"
    address: str | None = None


@dataclass(frozen=True)
class ListLogins(LiveCommand[list[AttemptOut]]):
    """List who tried to sign in lately, the newest first."""

    wire = "login.list"


@dataclass(frozen=True)
class ListFaults(LiveCommand[list[str]]):
    """List what is wrong with the server."""

    wire = "server.faults"


COMMANDS: dict[str, type[Command[object]]] = {
    kind.wire: kind for kind in (*Command.__subclasses__(), *LiveCommand.__subclasses__()) if kind is not LiveCommand
}


def encode(command: Command[R]) -> dict[str, object]:
    """Write a command for the control socket."""
    return wire.encode(command, by="do")


def decode(message: object) -> Command[object]:
    """Read a command; `UsageError` for one that this version does not know, or whose fields it does not."""
    name, values = (message.get("do"), message.get("with")) if isinstance(message, dict) else (None, None)
    return wire.decode(COMMANDS, name, values)


def for_log(command: Command[R]) -> dict[str, object]:
    """Give a command's fields as the log may have them: nothing of it is secret."""
    return {one.name: getattr(command, one.name) for one in fields(command) if one.repr}
