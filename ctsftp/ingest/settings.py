"""The settings of ingest and of the sweep."""

from pydantic import BaseModel, ConfigDict, Field

from ctsftp.contract.verdict import Guards


class IngestSettings(BaseModel):
    """How uploads are loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_rows: int = Field(50_000_000, ge=1, description="most rows that a file may have")
    workers: int = Field(2, ge=1, le=64, description="uploads that are loaded at the same time")
    queue_size: int = Field(10_000, ge=1, description="uploads that wait in memory; the sweep finds the others")
    guards: Guards = Field(Guards(), description="when a sound file is held for an admin")
    retry_first_s: float = Field(1, gt=0, description="seconds before a load that failed by our fault is tried again")
    retry_most_s: float = Field(300, gt=0, description="the longest such wait; it doubles each time")


class SweepSettings(BaseModel):
    """How often the sweep runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_s: float = Field(1200, gt=0, description="seconds between two sweeps")
