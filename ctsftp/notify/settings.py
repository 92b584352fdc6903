"""The settings of what is told to others, and of what is watched."""

from pydantic import BaseModel, ConfigDict, Field


class NotifySettings(BaseModel):
    """How events are delivered, and when the server tells of something by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_internal: bool = Field(
        default=False,
        description="allow webhooks and messages to internal addresses, also by an internal proxy",
    )
    timeout_s: float = Field(10, gt=0, description="seconds that one webhook may take, with its DNS look-up")
    max_attempts: int = Field(36, ge=1, description="tries until a delivery is dead (36: 27 hours)")
    retry_first_s: float = Field(5, gt=0, le=86_400, description="seconds until a failed delivery is first retried")
    retry_most_s: float = Field(
        3600, gt=0, le=86_400, description="most seconds until it is retried (the wait doubles each time)"
    )
    keep_events_days: int = Field(30, ge=1, le=36_500, description="days that events are kept")
    watch_interval_s: float = Field(300, gt=0, description="seconds between two checks of segments, keys and the disk")
    key_expiry_warning_days: int = Field(
        30,
        ge=0,
        le=36_500,
        description="days before a key expires from which on events, log and `doctor` warn",
    )
    low_disk_bytes: int = Field(1 << 30, ge=0, description="bytes left for uploads below which the disk counts as low")
