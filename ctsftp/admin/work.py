"""How a command gets its work done: by the running `serve`, or, where none runs, by itself."""

import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

import uvloop

from ctsftp.admin import asking
from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.model.commands import Command, LiveCommand
from ctsftp.settings import Settings

R = TypeVar("R")
T = TypeVar("T")

# The event loop lets go of the interpreter with each write to the disk; by default a thread that reads a file would
# then keep it for 5 ms, and a file that is being sent would take half again as long.
SWITCH_INTERVAL_S = 0.0005


def run(work: Coroutine[None, None, T]) -> T:
    """Run the event loop for `work`, beside the threads of its own that it may have."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return uvloop.run(work)


def perform(settings: Settings, command: Command[R]) -> R:
    """Have something done by the running server, else by this process; raise what it raises."""
    with suppress(ConnectionRefusedError):
        return asking.perform(settings.data.socket, command)
    if not settings.data_dir.is_dir():  # in the wrong folder, an engine would make one
        raise NotFoundError(
            f"There is no data folder {settings.data_dir}: start `ctsftp serve` once, or set CTSFTP_DATA_DIR for this"
            " command to the server's."
        )
    _refuse_foreign_root(settings)
    return run(_perform_alone(settings, command))


def perform_live(settings: Settings, command: LiveCommand[R]) -> R | None:
    """Have something done by the running server; None where none runs."""
    try:
        return asking.perform(settings.data.socket, command)
    except ConnectionRefusedError:
        return None


async def _perform_alone(settings: Settings, command: Command[R]) -> R:
    from ctsftp.admin.handlers import perform_on  # noqa: PLC0415
    from ctsftp.app.engine import Engine  # noqa: PLC0415  SQLAlchemy and numpy cost a third of a second

    async with Engine.open(settings) as engine:
        return await perform_on(engine, command)


def _refuse_foreign_root(settings: Settings) -> None:
    """Refuse to work as root on another account's data: the files made here would shut that account's server out."""
    with suppress(FileNotFoundError):
        owner = settings.data.lock.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            raise RefusedError(
                f"No server runs, and {settings.data_dir} belongs to the account with the uid {owner}: "
                f"as root, use `sudo -u '#{owner}'`, or start the server first."
            )
