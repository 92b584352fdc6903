"""The SFTP server's settings."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ctsftp.clients.addresses import check_patterns
from ctsftp.errors import UsageError


class SftpSettings(BaseModel):
    """Where the server listens, and its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("proxy_addresses")
    @classmethod
    def _check_addresses(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        try:
            if patterns:
                check_patterns(patterns)
        except UsageError as exc:
            raise ValueError(str(exc).replace("from=", "the list")) from None
        return patterns

    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104  a landing server faces its senders
    port: int = Field(2022, ge=0, le=65535, description="port to listen on; 0: any free one")
    public_host: str | None = Field(None, description="the name that senders connect to, for the connection sheet")
    proxy_addresses: tuple[str, ...] = Field(
        (), description="addresses and CIDR blocks of balancers, which begin each connection by PROXY protocol v2"
    )
    proxy_header_timeout_s: float = Field(5, gt=0, description="seconds for that beginning")
    max_file_size_bytes: int = Field(1 << 30, ge=1, description="largest file that a client may send")
    max_open_handles: int = Field(64, ge=1, description="open files and folders a session")
    max_read_bytes: int = Field(256 * 1024, ge=1024, description="most bytes that one read is answered with")
    max_channels: int = Field(4, ge=1, description="SFTP sessions a connection")
    max_login_failures: int = Field(6, ge=1, description="refused keys a connection")
    login_timeout_s: float = Field(30, gt=0, description="seconds to sign in")
    keepalive_interval_s: float = Field(30, gt=0, description="seconds between questions to a silent peer")
    keepalive_count_max: int = Field(3, ge=1, description="unanswered questions before it counts as gone")
    drain_timeout_s: float = Field(120, ge=0, description="seconds that running uploads get when the server stops")
