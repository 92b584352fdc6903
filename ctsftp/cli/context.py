"""What every command starts from: the settings, read when a command first needs them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ctsftp.settings import Settings, read_settings

F = TypeVar("F", bound=Callable[..., Any])


class Edge:
    """The command line's own object: it knows `--config`, and reads the settings once."""

    def __init__(self, config: Path | None) -> None:
        self._config = config

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings; a wrong one ends the command with exit code 2."""
        return read_settings(self._config)

    def read_again(self) -> Settings:
        """Read the settings as they are now."""
        return read_settings(self._config)


pass_edge = click.make_pass_decorator(Edge)
