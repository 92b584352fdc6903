"""Keeps what apprise sends away from addresses inside, at the moment of each connection.

A hundred senders look names up, follow redirects and connect in their own ways, also in threads that apprise makes.
All of them come by the socket module, which tells the interpreter's audit hooks (PEP 578) of each connection and the
address that it goes to: the last look-up counts, so a name that answers differently the second time leads nowhere. The
hook is there for the whole process, and concerns the connections that code of apprise asked for.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

from ctsftp.notify.addresses import is_internal

EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
GUARDED = "apprise"


class Watched:
    """What apprise tried to reach inside; where it is `dry`, it reaches nothing at all."""

    def __init__(self, *, dry: bool) -> None:
        self.dry = dry
        self.refused: list[str] = []


class _Guard:
    """The watch of this process; None while apprise may go anywhere."""

    watch: Watched | None = None


@contextmanager
def outside_only(*, dry: bool = False) -> Iterator[Watched]:
    """Refuse apprise's connections to addresses inside; where it is `dry`, all of them until the block ends.

    A thread that apprise gave up may still be at work then: what is inside is refused for good.
    """
    _install()
    _Guard.watch = watch = Watched(dry=dry)
    try:
        yield watch
    finally:
        _Guard.watch = Watched(dry=False)


@contextmanager
def anywhere() -> Iterator[Watched]:
    """Refuse nothing."""
    _Guard.watch = None
    yield Watched(dry=False)


@cache
def _install() -> None:
    sys.addaudithook(_hear)  # there is no way to take it away


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in EVENTS or (watch := _Guard.watch) is None or not _is_guarded(sys._getframe()):  # noqa: SLF001
        return
    address = arguments[1]
    if address is None:  # of a socket that is connected already
        return
    host = str(address[0] if isinstance(address, tuple) else address)
    inside = _is_inside(host)
    if inside:
        watch.refused.append(host)
    if inside or watch.dry:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"{host} was not connected to")


def _is_guarded(frame: FrameType | None) -> bool:
    """Tell whether code of apprise is among those that wait for this frame."""
    while frame:
        if frame.f_globals.get("__name__", "").partition(".")[0] == GUARDED:
            return True
        frame = frame.f_back
    return False


def _is_inside(host: str) -> bool:
    """Tell whether a connection would stay inside; what is no address, such as a path of this machine, may."""
    try:
        return is_internal(host)
    except ValueError:
        return True
