"""The SFTP server's settings."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ctsftp.clients.addresses import check_patterns
from ctsftp.errors import UsageError
from ctsftp.spool.paths import MAX_DEPTH, MAX_PATH_BYTES
from ctsftp.spool.room import Floor

MIN_PACKET_BYTES = 34_000  # RFC 4251 asks for 32,768 bytes of data in a packet, and there is a handle with it


def _checked(patterns: tuple[str, ...]) -> tuple[str, ...]:
    try:
        if patterns:
            check_patterns(patterns)
    except UsageError as exc:
        raise ValueError(str(exc).replace("from=", "the list")) from None
    return patterns


Addresses = Annotated[tuple[str, ...], AfterValidator(_checked)]


class PenaltySettings(BaseModel):
    """What an address earns by a login that fails, as OpenSSH's PerSourcePenalties; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failed_keys_s: float = Field(5, ge=0, description="seconds for a connection whose keys were all refused")
    unknown_user_s: float = Field(5, ge=0, description="seconds for a user name that is no client's")
    no_authentication_s: float = Field(1, ge=0, description="seconds for a connection that never tried to sign in")
    login_timeout_s: float = Field(10, ge=0, description="seconds for one that did not sign in in time")
    excess_s: float = Field(
        120, ge=0, description="seconds for one that sent far more than its work takes, signed in or not"
    )
    min_s: float = Field(15, gt=0, description="seconds that must have added up before an address is refused")
    max_s: float = Field(600, gt=0, description="the most seconds that can add up")
    max_sources: int = Field(65_536, ge=1, description="addresses that are remembered, of IPv4 and of IPv6 each")


class SftpSettings(BaseModel):
    """Where the server listens, and its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("", description="address to listen on, where not on all of IPv4 and IPv6")
    port: int = Field(2022, ge=0, le=65535, description="port to listen on; 0: any free one")
    public_host: str | None = Field(None, description="the name that senders connect to, for the connection sheet")
    proxy_addresses: Addresses = Field(
        (), description="addresses and CIDR blocks of balancers, which begin each connection by the PROXY protocol"
    )
    proxy_header_timeout_s: float = Field(5, gt=0, description="seconds for that beginning")
    trusted_addresses: Addresses = Field(
        ("127.0.0.1", "::1"), description="addresses and CIDR blocks without limits of their own, such as a proxy's"
    )
    max_connections: int = Field(200, ge=1, description="connections in all")
    max_connections_per_client: int = Field(20, ge=1, description="connections of a client")
    max_connections_per_address: int = Field(20, ge=1, description="connections from an address, or an IPv6 /64")
    unauthenticated_start: int = Field(20, ge=1, description="connections not signed in from which on one is dropped")
    unauthenticated_drop_percent: float = Field(30, ge=0, le=100, description="how likely, at that number")
    unauthenticated_full: int = Field(100, ge=1, description="connections not signed in at which it is certain")
    unauthenticated_per_address: int = Field(10, ge=1, description="connections not signed in from an address")
    login_timeout_s: float = Field(30, gt=0, description="seconds to sign in")
    max_login_failures: int = Field(6, ge=1, description="refused keys a connection")
    extra_kex: tuple[Literal["diffie-hellman-group-exchange-sha256"], ...] = Field(
        (), description="key exchange methods offered besides, for old senders; hardening.md says which there are"
    )
    max_channels: int = Field(10, ge=1, description="SFTP sessions a connection")
    max_open_handles: int = Field(64, ge=1, description="open files and folders a session")
    max_view_bytes_per_client: int = Field(
        64 << 20, ge=1 << 20, description="memory that a client's open listings and receipts may take"
    )
    max_threads_per_client: int = Field(
        16, ge=1, description="threads in which a client's requests may wait for the disk at the same time"
    )
    max_packet_bytes: int = Field(257 * 1024, ge=MIN_PACKET_BYTES, le=1 << 22, description="largest SFTP request")
    max_read_bytes: int = Field(256 * 1024, ge=1024, description="most bytes that one read is answered with")
    max_path_bytes: int = Field(MAX_PATH_BYTES, ge=16, le=MAX_PATH_BYTES, description="bytes of a path")
    max_path_depth: int = Field(MAX_DEPTH, ge=1, le=MAX_DEPTH, description="names in a path")
    max_file_size_bytes: int = Field(1 << 30, ge=1, description="largest file that a client may send")
    sync_every_bytes: int = Field(
        8 << 20, ge=1, description="bytes of a file after which the disk is to take them, while further ones arrive"
    )
    quota_bytes: int = Field(100 << 30, ge=1, description="bytes that a client may have: kept uploads, and its lists")
    quota_files: int = Field(100_000, ge=1, description="files and folders that a client may have here")
    free_floor_percent: float = Field(
        10, ge=0, lt=100, description="percent of the disk, and of its files, that uploads leave free,"
    )
    free_floor_bytes: int = Field(5 << 30, ge=0, description="or these bytes, if they are fewer,")
    free_floor_files: int = Field(10_000, ge=0, description="or these files (inodes), if they are fewer")
    idle_timeout_s: float = Field(900, gt=0, description="seconds that a connection may ask for nothing")
    upload_stall_timeout_s: float = Field(300, gt=0, description="seconds that an open upload may receive nothing")
    keepalive_interval_s: float = Field(30, gt=0, description="seconds between questions to a silent peer")
    keepalive_count_max: int = Field(3, ge=1, description="unanswered questions before it counts as gone")
    receipts_shown: int = Field(100, ge=1, le=500, description="uploads whose receipts a listing of /receipts shows")
    verdict_wait_s: float = Field(
        5,
        ge=0,
        description="seconds that the answer to a CLOSE waits for the verdict; 0: only the first bytes can be refused",
    )
    receipt_wait_s: float = Field(5, ge=0, description="seconds that a look at a receipt waits for the verdict")
    rekey_bytes: int = Field(1 << 30, ge=1 << 16, description="bytes sent after which new session keys are agreed on,")
    rekey_interval_s: float = Field(3600, ge=1, description="or seconds")
    drain_timeout_s: float = Field(120, ge=0, description="seconds that running uploads get when the server stops")
    penalties: PenaltySettings = PenaltySettings()

    @property
    def floor(self) -> Floor:
        """What uploads leave free of the disk."""
        return Floor(percent=self.free_floor_percent, bytes=self.free_floor_bytes, files=self.free_floor_files)

    @property
    def descriptors(self) -> int:
        """How many sockets and files may be open: one for each connection, and all that one client may open alone."""
        a_client = min(self.max_connections, self.max_connections_per_client) * self.max_channels
        return self.max_connections + a_client * self.max_open_handles
