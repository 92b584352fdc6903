"""What every command starts from: the settings, read when a command first needs them, and the account it works as.

A file that root names on the command line is root's: it is read, or opened to be written to, before the command becomes
the account that owns the data.
"""

import functools
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ctsftp.admin import asking
from ctsftp.cli.late import imported_late
from ctsftp.cli.output import say
from ctsftp.datafolder import DataFolder
from ctsftp.errors import OtherVersionError, UnreachableError
from ctsftp.model.reads import Read, Row
from ctsftp.sources import data_dir_of_server, find_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctsftp.admin.account import Account
    from ctsftp.model import commands
    from ctsftp.model.commands import Command, LiveCommand
    from ctsftp.settings import Settings, Told

else:  # to make a command is more than most do that is typed, and nothing that `--help` needs
    commands = imported_late("ctsftp.model.commands")

__all__ = ["Edge", "commands", "pass_edge"]

R = TypeVar("R")
T = TypeVar("T")


class Edge:
    """The command line's own object: it knows `--config`, asks a running server, and reads the settings once.

    What a running server answers needs no settings: nothing is imported for them, nor for the database.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config

    @functools.cached_property
    def settings(self) -> "Settings":
        """The settings, for a command that then works as the owner of the data folder.

        A wrong one ends the command with exit code 2.
        """
        self._become(self._owner_of(self.as_read.data_dir))
        return self.as_read

    @functools.cached_property
    def for_keys(self) -> "Settings":
        """The settings, for a command that changes the keys folder, and works as its owner."""
        self._become(self._owner_of(self.as_read.keys_dir))
        return self.as_read

    @contextmanager
    def acting(self) -> "Iterator[Settings]":
        """Give the settings to a command that works as the owner of the data folder within the block alone."""
        from ctsftp.admin.account import acting_as  # noqa: PLC0415

        account = self._owner_of(self.as_read.data_dir)
        if account:
            say(account.announcement)
        with acting_as(account):
            yield self.as_read

    @functools.cached_property
    def as_read(self) -> "Settings":
        """The settings, for a command that reads another account's files as whoever runs it."""
        from ctsftp.cli.logs import configure_logs  # noqa: PLC0415  who only asks a server logs nothing

        configure_logs("console", quiet=True)
        return self.read_again()

    def _owner_of(self, folder: Path) -> "Account | None":
        from ctsftp.admin.account import account_for  # noqa: PLC0415

        config = self._config or find_config()
        others = [self.as_read.data_dir, self.as_read.keys_dir, *([config.absolute().parent] if config else [])]
        return account_for(folder, *others)

    def _become(self, account: "Account | None") -> None:
        from ctsftp.admin.account import become  # noqa: PLC0415

        if account:
            say(account.announcement)
            become(account)

    def read(self, asked: Read[Row]) -> list[Row]:
        """Have a question answered: by the running server, or, where none does in time, from the database."""
        if place := data_dir_of_server(self._config):
            try:
                return asking.read(DataFolder(place).socket, asked)
            except (ConnectionRefusedError, UnreachableError):
                pass
            except (TimeoutError, EOFError):
                say(f"The running server gave no answer in {asking.READ_WAIT_S:.0f} s: the database was read instead.")
            except OtherVersionError as exc:
                say(f"{exc} The database was read instead.")
        from ctsftp.admin.query import read  # noqa: PLC0415

        return read(self.settings, asked)

    def perform(self, command: "Command[R]") -> R:
        """Have something done: by the running server, or, where none runs, by this process."""
        if place := data_dir_of_server(self._config):
            with suppress(ConnectionRefusedError):
                return asking.perform(DataFolder(place).socket, command)
        from ctsftp.admin.work import perform  # noqa: PLC0415

        return perform(self.settings, command)

    def perform_live(self, command: "LiveCommand[R]") -> R | None:
        """Have something done by the running server; None where none runs."""
        if place := data_dir_of_server(self._config):
            with suppress(ConnectionRefusedError):
                return asking.perform(DataFolder(place).socket, command)
        from ctsftp.admin.work import perform_live  # noqa: PLC0415

        return perform_live(self.settings, command)

    def recheck_sessions(self) -> None:
        """Let a running server end the sessions of what may sign in no more; as the owner of the keys folder."""
        from ctsftp.admin.work import perform_live  # noqa: PLC0415

        perform_live(self.for_keys, commands.RecheckSessions())

    def of_client(self, name: str | None, rows: list[T]) -> list[T]:
        """Give what a list found of a client (None: of all); `NotFoundError` for nothing of one that is not there."""
        if name is not None and not rows:
            from ctsftp.clients.folder import Clients  # noqa: PLC0415  few commands need it

            Clients(self.settings.keys_dir).get(name)
        return rows

    def tell(self) -> "list[Told]":
        """List the settings as they are now, and where each comes from."""
        from ctsftp.settings import tell_settings  # noqa: PLC0415

        return tell_settings(self._config)

    def read_again(self) -> "Settings":
        """Read the settings as they are now."""
        from ctsftp.settings import read_settings  # noqa: PLC0415

        return read_settings(self._config)


pass_edge = click.make_pass_decorator(Edge)
