"""What every command starts from: the settings, read when a command first needs them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ctsftp.settings import Settings, read_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Edge:
    """The command line's own object: it knows `--config`, and reads the settings once."""

    def __init__(self, config: Path | None) -> None:
        self._config = config

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings; a wrong one ends the command with exit code 2."""
        return read_settings(self._config)

    def of_client(self, name: str | None, rows: list[T]) -> list[T]:
        """Give what a list found of a client (None: of all); `NotFoundError` for nothing of one that is not there."""
        if name is not None and not rows:
            from ctsftp.clients.folder import Clients  # noqa: PLC0415  few commands need it

            Clients(self.settings.keys_dir).get(name)
        return rows

    def read_again(self) -> Settings:
        """Read the settings as they are now."""
        return read_settings(self._config)


pass_edge = click.make_pass_decorator(Edge)
