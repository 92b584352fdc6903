"""Where settings come from, a TOML file and the environment, without a look at what they may be.

It imports little, so that a command that only asks a running server finds it in no time: `data_dir_of_server` gives the
folder of its socket, or None where something in the file or the environment is odd, and `read_settings` is to say what.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ctsftp.errors import SettingsError

ENV_PREFIX = "CTSFTP_"
TESTS_PREFIX = f"{ENV_PREFIX}TESTS_"
CONFIG_PLACES = (Path("ctsftp.toml"), Path("/etc/ctsftp/ctsftp.toml"))
DEFAULT_DATA_DIR = "data"
# The settings and the groups of settings that stand above all others; a test holds them to `Settings`.
TOP_NAMES = frozenset(
    {
        *("data_dir", "keys_dir", "host_keys_dir", "database_url", "threads", "log_format"),
        *("sftp", "ingest", "sweep", "spool", "notify", "http", "metrics", "takeover"),
    }
)

# What Kubernetes sets for each Service that stands in a container's namespace (Service links).
_SERVICE_LINK = re.compile(r"\w+_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def find_config() -> Path | None:
    """Find the settings file that counts where none is named.

    A working folder that this account may not enter, or that is gone, holds none.
    """
    for place in CONFIG_PLACES:
        try:
            if place.exists():
                return place
        except OSError as exc:
            if place.is_absolute():
                raise SettingsError(f"{place} cannot be read ({exc.strerror}): be root or its account.") from None
    return None


def read_toml(file: Path | None) -> dict[str, Any]:
    """Read a settings file; `SettingsError` says why it cannot be read."""
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"The settings file {file} cannot be read: {exc.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"The settings file {file} is not TOML: {exc}.") from None


def our_variables(variables: Mapping[str, str] = os.environ) -> Iterator[tuple[str, str]]:
    """Give the environment variables that are settings, or were meant to be: the name as it is, and the value."""
    for name, value in variables.items():
        upper = name.upper()
        if not upper.startswith(ENV_PREFIX) or upper.startswith(TESTS_PREFIX):
            continue
        if not (_SERVICE_LINK.fullmatch(upper) or _SERVICE_ADDRESS.match(value)):
            yield name, value


def data_dir_of_server(config: Path | None) -> Path | None:
    """Find the data folder of the server that a command means, by `--config`, the environment and the settings file."""
    try:
        table = read_toml(config or find_config())
        found = {name.upper().removeprefix(ENV_PREFIX).lower(): value for name, value in our_variables()}
        place = found.get("data_dir") or table.get("data_dir", DEFAULT_DATA_DIR)
        names = {*table, *(name.split("__")[0] for name in found)}
        return Path(place).absolute() if names <= TOP_NAMES and isinstance(place, str) else None
    except (SettingsError, OSError):
        return None
