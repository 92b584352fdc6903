"""What every command starts from: the settings, read when a command first needs them, and the account it works as.

A file that root names on the command line is root's: it is read, or opened to be written to, before the command becomes
the account that owns the data.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ctsftp.admin.account import Account, account_for, acting_as, become
from ctsftp.cli.output import say
from ctsftp.settings import Settings, Told, find_config, read_settings, tell_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Edge:
    """The command line's own object: it knows `--config`, and reads the settings once."""

    def __init__(self, config: Path | None) -> None:
        self._config = config

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, for a command that then works as the owner of the data folder.

        A wrong one ends the command with exit code 2.
        """
        self._become(self._owner_of(self.as_read.data_dir))
        return self.as_read

    @functools.cached_property
    def for_keys(self) -> Settings:
        """The settings, for a command that changes the keys folder, and works as its owner."""
        self._become(self._owner_of(self.as_read.keys_dir))
        return self.as_read

    @contextmanager
    def acting(self) -> Iterator[Settings]:
        """Give the settings to a command that works as the owner of the data folder within the block alone."""
        account = self._owner_of(self.as_read.data_dir)
        if account:
            say(account.announcement)
        with acting_as(account):
            yield self.as_read

    @functools.cached_property
    def as_read(self) -> Settings:
        """The settings, for a command that reads another account's files as whoever runs it."""
        return self.read_again()

    def _owner_of(self, folder: Path) -> Account | None:
        config = self._config or find_config()
        others = [self.as_read.data_dir, self.as_read.keys_dir, *([config.absolute().parent] if config else [])]
        return account_for(folder, *others)

    def _become(self, account: Account | None) -> None:
        if account:
            say(account.announcement)
            become(account)

    def of_client(self, name: str | None, rows: list[T]) -> list[T]:
        """Give what a list found of a client (None: of all); `NotFoundError` for nothing of one that is not there."""
        if name is not None and not rows:
            from ctsftp.clients.folder import Clients  # noqa: PLC0415  few commands need it

            Clients(self.settings.keys_dir).get(name)
        return rows

    def tell(self) -> list[Told]:
        """List the settings as they are now, and where each comes from."""
        return tell_settings(self._config)

    def read_again(self) -> Settings:
        """Read the settings as they are now."""
        return read_settings(self._config)


pass_edge = click.make_pass_decorator(Edge)
