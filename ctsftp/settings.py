"""All settings, read once at the edge: a TOML file, then the environment. Each part owns its own group.

A name that is no setting is refused, in the file as in the environment: what has no effect should not look as if it
had one. Two kinds of `CTSFTP_*` variables are nobody's mistake, and are left alone: those of the test suite, which
begin with `CTSFTP_TESTS_`, and those by which Kubernetes tells a container of a Service called ctsftp, such as
`CTSFTP_HTTP_PORT=tcp://10.0.0.7:8022`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from ctsftp.datafolder import DataFolder
from ctsftp.errors import SettingsError
from ctsftp.ingest.settings import IngestSettings, SweepSettings
from ctsftp.notify.settings import NotifySettings
from ctsftp.sftp.settings import SftpSettings
from ctsftp.sources import DEFAULT_DATA_DIR, ENV_PREFIX, find_config, our_variables, read_toml
from ctsftp.spool.settings import SpoolSettings
from ctsftp.web.settings import HttpSettings

# Of a name to the setting that was meant (difflib): first one letter too many or too few, at last anything like it.
ALMOST_THE_SAME, LIKENESS = 0.9, 0.7
SHOWN_CHARACTERS = 60  # of a wrong value
Names = tuple[str, ...]  # of a setting: its groups, and its own


class MetricsSettings(BaseModel):
    """What a scrape tells, and what it costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments_shown: int = Field(1000, ge=0, description="segments with metrics of their own, the oldest first")


class TakeoverSettings(BaseModel):
    """When a node finishes what another one left on a disk that both see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: str | None = Field(
        None, pattern="^/", description="all nodes' data folders on a shared disk, such as /shared/*/data"
    )
    after_s: float = Field(
        60, ge=1, description="seconds without a sign of life until another node finishes a node's uploads"
    )


class Settings(BaseSettings):
    """Everything that can be set: `CTSFTP_SFTP__PORT` in the environment is `port` under `[sftp]` in the file."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path(DEFAULT_DATA_DIR), description="folder of the uploads, the database and the lock")
    keys_dir: Path = Field(Path("keys"), description="folder of the clients and the host keys")
    host_keys_dir: Path | None = Field(None, description="folder of the host keys, if not keys_dir/host")
    database_url: str | None = Field(None, description="URL of the database, if not data_dir/ctsftp.db")
    threads: int = Field(32, ge=4, le=1024, description="number of threads for disk work")
    log_format: Literal["console", "json"] = Field("console", description="`console` for people, `json` for machines")
    sftp: SftpSettings = SftpSettings()
    ingest: IngestSettings = IngestSettings()
    sweep: SweepSettings = SweepSettings()
    spool: SpoolSettings = SpoolSettings()
    notify: NotifySettings = NotifySettings()
    http: HttpSettings = HttpSettings()
    metrics: MetricsSettings = MetricsSettings()
    takeover: TakeoverSettings = TakeoverSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, which comes as arguments; nothing else is read."""
        return env_settings, init_settings

    @property
    def data(self) -> DataFolder:
        """The data folder, with what stands in it."""
        return DataFolder(self.data_dir)

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data.database}"

    @property
    def host_keys(self) -> Path:
        """The folder of the host keys."""
        return self.host_keys_dir or self.keys_dir / "host"


def read_settings(config: Path | None = None) -> Settings:
    """Read the settings, with absolute paths; raise `SettingsError` with one line that names what is wrong."""
    file = config or find_config()
    table = read_toml(file)
    _refuse_unknown(table, file)
    try:
        settings = Settings(**table)
    except ValidationError as exc:
        raise SettingsError(_describe(exc, file)) from None
    except UnreadableError as exc:
        hint = "Groups are set as CTSFTP_SFTP__PORT, lists as JSON: CTSFTP_HTTP__ALLOWED_HOSTS='[\"a.example\"]'."
        wrong = getattr(exc.__cause__, "doc", None)  # the text that was read as JSON
        names = [name for name, value in os.environ.items() if name.upper().startswith(ENV_PREFIX) and value == wrong]
        raise SettingsError(f"{' or '.join(names) or 'An environment variable'} cannot be read. {hint}") from None
    paths = {
        name: _absolute(name, place)
        for name in ("data_dir", "keys_dir", "host_keys_dir")
        if (place := getattr(settings, name)) is not None
    }
    return settings.model_copy(update=paths)


def unknown_variables(variables: Mapping[str, str] = os.environ) -> list[str]:
    """List the environment variables that look like settings and are none."""
    known = _known()
    return sorted(
        name
        for name, _ in our_variables(variables)
        if tuple(name.upper().removeprefix(ENV_PREFIX).lower().split("__")) not in known
    )


def _known() -> dict[Names, bool]:
    """List all groups and settings by their names, and whether each is a setting."""
    return dict(_walk((), Settings))


def _walk(above: Names, group: type[BaseModel]) -> Iterator[tuple[Names, bool]]:
    for name, field in group.model_fields.items():
        default = field.get_default()
        names = (*above, name)
        yield names, not isinstance(default, BaseModel)
        if isinstance(default, BaseModel):
            yield from _walk(names, type(default))


def _meant(names: Sequence[str], *, groups: bool = False) -> list[Names]:
    """Guess which settings were meant: one underscore too few, a slip of the pen, another group."""
    known = [one for one, is_setting in _known().items() if is_setting or groups]

    def like(least: float) -> list[Names]:
        found = get_close_matches(_squeezed(names), map(_squeezed, known), 1, least)
        return [one for one in known if _squeezed(one) in found]

    ending = f"_{names[-1].lower()}"
    elsewhere = [one for one in known if ending.endswith(f"_{one[-1]}")]
    longest = max((len(one[-1]) for one in elsewhere), default=0)
    return like(ALMOST_THE_SAME) or [one for one in elsewhere if len(one[-1]) == longest] or like(LIKENESS)


def _squeezed(names: Sequence[str]) -> str:
    return "".join(names).replace("_", "").lower()


def _suggest(found: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _variable(names: Sequence[str]) -> str:
    return f"{ENV_PREFIX}{'__'.join(names).upper()}"


def _refuse_unknown(table: dict[str, Any], file: Path | None) -> None:
    """Refuse a variable or an entry of the file that is no setting; those within a group, pydantic finds as well."""
    for variable in unknown_variables():
        names = [part for part in variable.upper().removeprefix(ENV_PREFIX).split("__") if part]
        meant = [_variable(one) for one in _meant(names or [""])]
        raise SettingsError(f"The environment variable {variable} is not a setting.{_suggest(meant)}")
    for name in sorted(table.keys() - Settings.model_fields.keys()):
        meant = [".".join(one) for one in _meant([name], groups=isinstance(table[name], dict))]
        raise SettingsError(f"{file} holds {name!r}, which is not a setting.{_suggest(meant)}")


def _absolute(name: str, place: Path) -> Path:
    try:
        return place.absolute()
    except OSError as exc:
        raise SettingsError(
            f"The working folder is gone ({exc.strerror}), and {_variable([name])} is relative to it:"
            " change to a folder that exists, or set it to an absolute path."
        ) from None


def _describe(exc: ValidationError, file: Path | None) -> str:
    """Name the first wrong setting, in both its spellings, what is wrong, and how many more there are."""
    errors = exc.errors()
    first = errors[0]
    names = [str(part) for part in first["loc"]]
    where = f" (or {'.'.join(names)} in {file})" if file else ""
    more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
    told = f"The setting {_variable(names)}{where} is wrong:"
    if first["type"] == "extra_forbidden":
        meant = [_variable(one) + (f" (or {'.'.join(one)})" if file else "") for one in _meant(names)]
        return f"{told} there is no such setting.{_suggest(meant)}{more}"
    given = first["input"]
    shown = isinstance(given, str | int | float) and names != ["database_url"]  # which holds a password
    return f"{told} {first['msg']}{f' (it is {str(given)[:SHOWN_CHARACTERS]!r})' if shown else ''}.{more}"


@dataclass(frozen=True, slots=True)
class Told:
    """A setting as it is now: its name in the file and in the environment, its value, and where that came from."""

    name: str
    variable: str
    value: Any
    source: str


def tell_settings(config: Path | None = None) -> list[Told]:
    """List all settings as they are now, in their order; a password in one is hidden.

    `source` is `default`, the settings file, or the environment variable.
    """
    settings = read_settings(config)
    file = config or find_config()
    table = read_toml(file)
    values = settings.model_dump(mode="json")
    told = []
    for names, is_setting in _known().items():
        if is_setting:
            value = _value(values, names)
            shown = _without_password(value) if names == ("database_url",) and value else value
            told.append(Told(".".join(names), _variable(names), shown, _source(names, table, file)))
    return told


def _source(names: Names, table: dict[str, Any], file: Path | None) -> str:
    """Tell where a value comes from: a variable of its own, one of its group as JSON, the file, or nowhere."""
    variables = {name.upper(): (name, value) for name, value in os.environ.items() if value}
    for depth in range(len(names), 0, -1):
        name, value = variables.get(_variable(names[:depth]), ("", ""))
        if name and (depth == len(names) or _has(json.loads(value), names[depth:])):
            return name
    return str(file.absolute()) if file and _has(table, names) else "default"


def _has(table: Any, names: Names) -> bool:
    for name in names:
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True


def _value(values: Any, names: Names) -> Any:
    for name in names:
        values = values[name]
    return values


def _without_password(url: str) -> str:
    """Hide the password of a database's URL, where it is one of its parameters, too."""
    hidden = re.sub(r"^([^:]+://[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&][^=&]*pass[^=&]*=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)
