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
    unknown_user_s: float = Field(5, ge=0, description="seconds for a user name that no client has")
    no_authentication_s: float = Field(1, ge=0, description="seconds for a connection that never tried to sign in")
    login_timeout_s: float = Field(10, ge=0, description="seconds for a connection that did not sign in in time")
    excess_s: float = Field(120, ge=0, description="seconds for a connection that sent far more than its work takes")
    min_s: float = Field(15, gt=0, description="seconds that must add up before an address is refused")
    max_s: float = Field(600, gt=0, description="most seconds that can add up")
    max_sources: int = Field(65_536, ge=1, description="addresses that are remembered, of IPv4 and of IPv6 each")


class SftpSettings(BaseModel):
    """Where the server listens, and its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("", description="address to listen on, if not all of IPv4 and IPv6")
    port: int = Field(2022, ge=0, le=65535, description="port to listen on; 0: any free one")
    public_host: str | None = Field(None, description="the name that senders connect to, for the connection sheet")
    proxy_addresses: Addresses = Field(
        (), description="addresses and CIDR blocks of balancers that speak the PROXY protocol"
    )
    proxy_header_timeout_s: float = Field(5, gt=0, description="seconds until a balancer's PROXY header must have come")
    trusted_addresses: Addresses = Field(
        ("127.0.0.1", "::1"), description="addresses and CIDR blocks that are never refused, such as a proxy's"
    )
    max_connections: int = Field(200, ge=1, description="connections in all")
    max_connections_per_client: int = Field(20, ge=1, description="connections of a client")
    max_connections_per_address: int = Field(20, ge=1, description="connections from an address, or an IPv6 /64")
    unauthenticated_start: int = Field(
        20, ge=1, description="connections not signed in from which on new ones may be dropped"
    )
    unauthenticated_drop_percent: float = Field(
        30, ge=0, le=100, description="how likely a drop is at that number, in percent"
    )
    unauthenticated_full: int = Field(100, ge=1, description="connections not signed in at which a drop is certain")
    unauthenticated_per_address: int = Field(10, ge=1, description="connections not signed in from an address")
    login_timeout_s: float = Field(30, gt=0, description="seconds to sign in")
    max_login_failures: int = Field(6, ge=1, description="refused keys on one connection")
    extra_kex: tuple[Literal["diffie-hellman-group-exchange-sha256"], ...] = Field(
        (), description="further key exchange methods, for old senders"
    )
    max_channels: int = Field(10, ge=1, description="SFTP sessions on one connection")
    max_open_handles: int = Field(64, ge=1, description="open files and folders in one session")
    max_view_bytes_per_client: int = Field(
        64 << 20, ge=1 << 20, description="bytes of memory for a client's open listings and receipts"
    )
    max_threads_per_client: int = Field(16, ge=1, description="threads for one client's disk work at the same time")
    max_packet_bytes: int = Field(
        257 * 1024, ge=MIN_PACKET_BYTES, le=1 << 22, description="bytes of the largest SFTP request"
    )
    max_read_bytes: int = Field(256 * 1024, ge=1024, description="most bytes in the answer to one read")
    max_path_bytes: int = Field(MAX_PATH_BYTES, ge=16, le=MAX_PATH_BYTES, description="most bytes in a path")
    max_path_depth: int = Field(MAX_DEPTH, ge=1, le=MAX_DEPTH, description="most names in a path")
    max_file_size_bytes: int = Field(1 << 30, ge=1, description="bytes of the largest file that a client may send")
    sync_every_bytes: int = Field(
        8 << 20, ge=1, description="bytes of a file after which they are synced to the disk while more arrive"
    )
    quota_bytes: int = Field(100 << 30, ge=1, description="bytes that a client may have: kept uploads and lists")
    quota_files: int = Field(100_000, ge=1, description="files and folders that a client may have")
    free_floor_percent: float = Field(
        10,
        ge=0,
        lt=100,
        description="percent of the disk that uploads leave free (of percent, bytes and files, the smallest counts)",
    )
    free_floor_bytes: int = Field(5 << 30, ge=0, description="bytes of the disk that uploads leave free")
    free_floor_files: int = Field(10_000, ge=0, description="files (inodes) of the disk that uploads leave free")
    idle_timeout_s: float = Field(900, gt=0, description="seconds without a request after which a connection is ended")
    upload_stall_timeout_s: float = Field(
        300, gt=0, description="seconds without data after which an open upload is cut off"
    )
    keepalive_interval_s: float = Field(30, gt=0, description="seconds between keepalives to a silent peer")
    keepalive_count_max: int = Field(3, ge=1, description="unanswered keepalives after which the peer counts as gone")
    receipts_shown: int = Field(100, ge=1, le=500, description="uploads that a listing of /receipts shows")
    verdict_wait_s: float = Field(
        5,
        ge=0,
        description="seconds that the answer to a CLOSE waits for the verdict; 0: only the first bytes can be refused",
    )
    receipt_wait_s: float = Field(5, ge=0, description="seconds that reading a receipt waits for the verdict")
    rekey_bytes: int = Field(1 << 30, ge=1 << 16, description="bytes sent after which session keys are renewed")
    rekey_interval_s: float = Field(3600, ge=1, description="seconds after which session keys are renewed")
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
