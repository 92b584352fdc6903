"""The spool's settings."""

from pydantic import BaseModel, ConfigDict, Field


class SpoolSettings(BaseModel):
    """How long the spool keeps what it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_uploads_days: int = Field(
        14, ge=1, le=36_500, description="days that an upload's file is kept and shown to its sender"
    )
    keep_partials_days: int = Field(3, ge=1, le=36_500, description="days that a cut-off upload can be resumed")
    reserve_bytes: int = Field(
        16 << 20, ge=0, description="bytes kept back for the server's own work on a full disk; 0: none"
    )
    adopt_after_s: int = Field(
        60, ge=1, description="seconds that a file copied in by other means must be unchanged before it is taken"
    )
