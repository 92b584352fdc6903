"""The settings of what is told to others, and of what is watched."""

from pydantic import BaseModel, ConfigDict, Field


class NotifySettings(BaseModel):
    """How events are delivered, and when the server tells of something by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_internal: bool = Field(
        default=False,
        description="let webhooks and messages go to loopback, private and link-local addresses, also by a proxy there",
    )
    timeout_s: float = Field(10, gt=0, description="seconds that one webhook may take, from its name's look-up on")
    max_attempts: int = Field(36, ge=1, description="tries of a delivery before it is dead; by default, 27 hours")
    retry_first_s: float = Field(5, gt=0, le=86_400, description="seconds before a delivery that failed is tried again")
    retry_most_s: float = Field(3600, gt=0, le=86_400, description="the longest such wait; it doubles each time")
    batch: int = Field(100, ge=1, le=1000, description="deliveries of a hook whose outcome is written down at once")
    messages_at_once: int = Field(20, ge=1, le=100, description="most events that one message to people tells of")
    keep_events_days: int = Field(30, ge=1, le=36_500, description="days that events are kept, delivered or not")
    watch_interval_s: float = Field(300, gt=0, description="seconds between two looks at segments, keys and the disk")
    key_expiry_warning_days: int = Field(
        30,
        ge=0,
        le=36_500,
        description="days before its end that a key counts as expiring: events, log, `doctor`, `key list`",
    )
    low_disk_bytes: int = Field(1 << 30, ge=0, description="bytes that uploads may still take, fewer of which are low")
