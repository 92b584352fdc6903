"""The settings of ingest and of the sweep."""

from pydantic import BaseModel, ConfigDict, Field

from ctsftp.contract.verdict import DEFAULT_GUARDS, Guards


class ServerGuards(Guards):
    """The guards of the server: what is not set is as by default."""

    model_config = ConfigDict(strict=False)  # the environment has only text


class IngestSettings(BaseModel):
    """How uploads are loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_rows: int = Field(50_000_000, ge=1, description="most rows that a file may have")
    workers: int = Field(2, ge=1, le=64, description="uploads that are loaded at the same time")
    large_from_bytes: int = Field(
        16 << 20, ge=1, description="bytes from which on a file is large; one worker is kept for smaller ones"
    )
    queue_size: int = Field(10_000, ge=1, description="uploads that wait in memory (the sweep finds the others)")
    guards: ServerGuards = ServerGuards(**DEFAULT_GUARDS.model_dump())
    retry_first_s: float = Field(
        1, gt=0, le=86_400, description="seconds until a load that failed by the server's fault is retried"
    )
    retry_most_s: float = Field(
        300, gt=0, le=86_400, description="most seconds until it is retried (doubles each time)"
    )
    retry_after_death_s: float = Field(
        10,
        gt=0,
        le=86_400,
        description="seconds that a server must live before it loads a file that killed one (doubles each time)",
    )


class SweepSettings(BaseModel):
    """How often the sweep runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_s: float = Field(1200, gt=0, description="seconds between two sweeps")
    keep_snapshots: int = Field(5, ge=1, description="newest snapshots of a segment that are kept")
    keep_snapshot_days: int = Field(7, ge=0, le=36_500, description="days whose last snapshot is kept, too")
