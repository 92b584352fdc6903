"""The spool's settings."""

from pydantic import BaseModel, ConfigDict, Field


class SpoolSettings(BaseModel):
    """How long the spool keeps what it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_uploads_days: int = Field(
        14, ge=1, le=36_500, description="days that an upload's file is kept, and shown in the home"
    )
    keep_partials_days: int = Field(3, ge=1, le=36_500, description="days that a cut-off upload can be resumed")
    reserve_bytes: int = Field(
        16 << 20, ge=0, description="bytes that a file holds for the server's own work on a full disk; 0: none"
    )
    adopt_after_s: int = Field(
        60, ge=1, description="seconds a file that came by other means must be quiet before it counts"
    )
