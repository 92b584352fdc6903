"""All settings, read once at the edge: a TOML file, then the environment. Each part owns its own group."""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from ctsftp.errors import SettingsError
from ctsftp.ingest.settings import IngestSettings, SweepSettings
from ctsftp.notify.settings import NotifySettings
from ctsftp.sftp.settings import SftpSettings
from ctsftp.spool.settings import SpoolSettings
from ctsftp.web.settings import HttpSettings

ENV_PREFIX = "CTSFTP_"
CONFIG_PLACES = (Path("ctsftp.toml"), Path("/etc/ctsftp/ctsftp.toml"))


class DoctorSettings(BaseModel):
    """From when on `ctsftp doctor` warns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    free_disk_ratio: float = Field(0.1, ge=0, le=1, description="`doctor` warns below this share of free disk")


class MetricsSettings(BaseModel):
    """What a scrape tells, and what it costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments_shown: int = Field(1000, ge=0, description="segments that have metrics of their own, the oldest ones")
    spool_every_s: float = Field(60, ge=0, description="seconds for which the measured size of the spool holds")
    tick_s: float = Field(0.05, gt=0, description="seconds between two looks at how late the event loop is")


class TakeoverSettings(BaseModel):
    """When a node finishes what another one left on a disk that both see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: str | None = Field(
        None, pattern="^/", description="where all nodes' data folders lie on a shared disk, such as /shared/*/data"
    )
    after_s: float = Field(
        60, ge=1, description="seconds without a sign of life after which another node finishes a node's uploads"
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

    data_dir: Path = Field(Path("data"), description="the spool, the database, the lock")
    keys_dir: Path = Field(Path("keys"), description="client folders and host keys")
    host_keys_dir: Path | None = Field(None, description="the host keys, where not in keys_dir/host")
    database_url: str | None = Field(None, description="the database, where not data_dir/ctsftp.db")
    threads: int = Field(32, ge=4, le=1024, description="threads that wait for the disk")
    log_format: Literal["console", "json"] = Field("console", description="`serve` logs for people, or as JSON")
    sftp: SftpSettings = SftpSettings()
    ingest: IngestSettings = IngestSettings()
    sweep: SweepSettings = SweepSettings()
    spool: SpoolSettings = SpoolSettings()
    notify: NotifySettings = NotifySettings()
    doctor: DoctorSettings = DoctorSettings()
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
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'ctsftp.db'}"

    @property
    def host_keys(self) -> Path:
        """The folder of the host keys."""
        return self.host_keys_dir or self.keys_dir / "host"


def read_settings(config: Path | None = None) -> Settings:
    """Read the settings, with absolute paths; raise `SettingsError` with one line that names what is wrong."""
    file = config or find_config()
    table = _read_toml(file)
    if unknown := sorted(table.keys() - Settings.model_fields.keys()):
        raise SettingsError(f"{file} holds {unknown[0]!r}, which is no setting.")
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
        name: place.absolute()
        for name in ("data_dir", "keys_dir", "host_keys_dir")
        if (place := getattr(settings, name)) is not None
    }
    return settings.model_copy(update=paths)


def find_config() -> Path | None:
    """Find the settings file that counts where none is named."""
    try:
        return next((place for place in CONFIG_PLACES if place.exists()), None)
    except OSError as exc:
        raise SettingsError(f"The settings file {exc.filename} cannot be looked for: {exc.strerror}.") from None


def unknown_variables(names: Iterable[str] = os.environ) -> list[str]:
    """List the environment variables that look like settings and are none; in a group, they are errors already."""
    found = []
    for name in names:
        group = name.upper().removeprefix(ENV_PREFIX).partition("__")[0].lower()
        if name.upper().startswith(ENV_PREFIX) and group not in Settings.model_fields:
            found.append(name)
    return sorted(found)


def _read_toml(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"The settings file {file} cannot be read: {exc.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"The settings file {file} is not TOML: {exc}.") from None


def _describe(exc: ValidationError, file: Path | None) -> str:
    """Name the first wrong setting, in both its spellings, what is wrong, and how many more there are."""
    errors = exc.errors()
    first = errors[0]
    names = [str(part) for part in first["loc"]]
    where = f" (or {'.'.join(names)} in {file})" if file else ""
    what = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
    more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
    return f"The setting {ENV_PREFIX}{'__'.join(names).upper()}{where} is wrong: {what}.{more}"
