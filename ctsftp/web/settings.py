"""The HTTP server's settings."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

# Items on a page where the request names no limit, and at most.
PAGE_SIZE, MAX_PAGE_SIZE = 100, 1_000
CHANGES_PAGE_SIZE, MAX_CHANGES_PAGE_SIZE = 10_000, 100_000


class HttpSettings(BaseModel):
    """Where the API listens, and its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="whether `serve` answers HTTP")
    host: str = Field("127.0.0.1", description="address to listen on (without TLS: use a proxy)")
    port: int = Field(8022, ge=0, le=65535, description="port to listen on; 0: any free one")
    max_body_bytes: int = Field(1 << 20, ge=1024, description="largest body of a request")
    max_head_bytes: int = Field(64 * 1024, ge=1024, description="largest head of a request")
    head_timeout_s: float = Field(10, gt=0, description="seconds to send the head of a request")
    max_connections: int = Field(
        1_000, ge=1, description="connections at the same time; one more closes the oldest idle one"
    )
    max_requests_per_token: int = Field(
        500, ge=1, description="requests of one token at the same time, most of which wait for their turn"
    )
    max_streams: int = Field(
        8,
        ge=1,
        description="member lists, and batches for all segments, at the same time, half of them for one token",
    )
    body_timeout_s: float = Field(60, gt=0, description="seconds to send the body of a request")
    stalled_s: float = Field(60, gt=0, description="seconds in which the reader of a member list must take some of it")
    keep_alive_s: int = Field(30, ge=1, description="seconds until an idle connection is closed")
    drain_timeout_s: int = Field(10, ge=0, description="seconds that running answers get when the server stops")
    # The console. Its sessions end with their time, and when their token is revoked or expires.
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="host names that the console may be reached by, as a JSON list; others are refused",
    )
    behind_https: bool = Field(
        default=False,
        description="set to true when the console is behind an HTTPS proxy (marks cookies as Secure)",
    )
    session_life_s: int = Field(43_200, ge=60, le=31_536_000, description="seconds until a person has to sign in again")
    max_sessions: int = Field(
        1_000,
        ge=1,
        description="browsers signed in at the same time; one more ends the oldest session of the token with most",
    )
    max_sign_in_failures: int = Field(10, ge=1, description="failed sign-ins allowed per address and minute")
    max_live_pages: int = Field(
        100, ge=0, description="open console pages that are updated at once; more ask every few seconds"
    )

    def knows_host(self, header: str) -> bool:
        """Whether a request's Host names this server.

        A page of a site whose name is made to lead here (DNS rebinding) asks by another.
        """
        names = {name.strip("[]").lower() for name in (*self.allowed_hosts, self.host)}
        return host_name(header) in names | LOOPBACK

    @property
    def is_exposed(self) -> bool:
        """Whether anybody but this machine's own programs may be asking."""
        return self.behind_https or self.host not in LOOPBACK


def host_name(header: str) -> str:
    """Read the name in a Host field, without its port; "" where there is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
