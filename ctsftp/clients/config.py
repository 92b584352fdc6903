"""Reads and edits client.toml: what holds for one client alone.

A file that cannot be read as a whole disables its client: half a set of limits is not what anybody wrote down.
"""

import tomllib
from typing import Annotated, Final

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, ValidationError
from tomlkit.exceptions import TOMLKitError

from ctsftp.clients.problem import Problem
from ctsftp.contract.names import segment_key
from ctsftp.contract.places import Places
from ctsftp.contract.verdict import DEFAULT_GUARDS, Guards
from ctsftp.errors import RefusedError

MAX_CONFIG_BYTES: Final = 64 * 1024
MAX_ID_COLUMNS: Final = 16
MAX_DIRECTORIES: Final = 100
MAX_TEMPORARY_NAMES: Final = 100

# Strict: in TOML "no" is a string, and a string that passes for False is a surprise.
_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True)

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Folder = Annotated[str, StringConstraints(pattern=r"\A[^\\\x00-\x1f]+\z", max_length=2048)]
NameBeginning = Annotated[str, StringConstraints(pattern=r"\A[^/\\\x00-\x1f]+\z", max_length=255)]


class ClientConfig(BaseModel):
    """What client.toml may say; an absent file says all of the defaults.

    `id_columns` are the titles that the id column may have beside CTUserID, in their order; None leaves it to `id`,
    and an empty list to CTUserID alone. `max_rows` and `max_file_size_bytes` can only be narrower than the server's
    own; `quota_bytes` and `quota_files` take the place of the server's. `segments` is keyed by title.

    `directories` are the folders, as `/in/lists`, in which lists are taken beside `/`; None also takes them where they
    came from before. `temporary_names` are further ways to begin a temporary file's name, and names of such folders.
    """

    model_config = _STRICT

    enabled: bool = True
    id_columns: Annotated[tuple[Title, ...], Field(strict=False, max_length=MAX_ID_COLUMNS)] | None = None
    allow_sha1: bool = False
    refuse_at_close: bool = True
    directories: Annotated[tuple[Folder, ...], Field(strict=False, max_length=MAX_DIRECTORIES)] | None = None
    temporary_names: Annotated[tuple[NameBeginning, ...], Field(strict=False, max_length=MAX_TEMPORARY_NAMES)] = ()
    held_is_failure: bool = False
    touch_first: bool = False
    max_rows: PositiveInt | None = None
    max_file_size_bytes: PositiveInt | None = None
    quota_bytes: PositiveInt | None = None
    quota_files: PositiveInt | None = None
    guards: Guards = Guards()
    segments: dict[Title, Guards] = {}

    @property
    def places(self) -> Places:
        """Where this client's lists are taken."""
        return Places(self.directories, self.temporary_names)

    def guards_for(self, key: str, server: Guards) -> Guards:
        """Tell when a file of a segment is held: by the segment's own guards, else the client's, else the server's."""
        own = next((guards for title, guards in self.segments.items() if segment_key(title) == key), None)
        return DEFAULT_GUARDS.overlay(server).overlay(self.guards).overlay(own)


def parse_config(data: bytes) -> tuple[ClientConfig, tuple[Problem, ...]]:
    """Read client.toml; a broken one is a disabled client and the problems that say which line or field."""
    try:
        return ClientConfig.model_validate(tomllib.loads(data.decode("utf-8"))), ()
    except ValidationError as error:
        texts = [_describe(list(fault["loc"]), fault["type"], fault["msg"]) for fault in error.errors()]
    except UnicodeDecodeError:
        texts = ["not UTF-8"]
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, which names the line, and numbers beyond reason.
        texts = [f"no TOML: {error}"]
    return ClientConfig(enabled=False), tuple(Problem(text=f"{text} (the client is disabled)") for text in texts)


def set_enabled(data: bytes, *, enabled: bool) -> bytes:
    """Return client.toml with `enabled` set, and all else, comments too, as it was.

    RefusedError where the file is no TOML, or would still be broken when a client is enabled.
    """
    config, problems = parse_config(data)
    if not problems and config.enabled is enabled:
        return data
    try:
        document = tomlkit.parse(data.decode("utf-8"))
        document["enabled"] = enabled
        edited = tomlkit.dumps(document).encode()
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise RefusedError(f"it is broken, which disables the client until it is repaired: {error}") from None
    _, problems = parse_config(edited)
    if enabled and problems:
        raise RefusedError(f"it is broken, which disables the client until it is repaired: {problems[0].text}")
    return edited


def _describe(location: list[int | str], kind: str, message: str) -> str:
    field = ".".join(str(part) for part in location)
    return f"{field}: there is no such setting" if kind == "extra_forbidden" else f"{field}: {message}"
