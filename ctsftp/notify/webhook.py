"""Webhooks in the Standard Webhooks format: signed, bounded, and never to where they must not go.

The name is looked up here, every address is checked, and the connection goes to a checked address: a name that
answers differently the second time leads nowhere else. Redirects are not followed, and what is answered is not read.
"""

import asyncio
import secrets
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from ipaddress import ip_address
from socket import gaierror

import httpx
from standardwebhooks import Webhook

from ctsftp.contract.codes import harmless
from ctsftp.errors import CtsftpError, RefusedError, UsageError
from ctsftp.notify.addresses import is_internal, refusal, resolve
from ctsftp.notify.settings import NotifySettings

SCHEMES = frozenset({"http", "https"})
SECRET_BYTES = 32
MAX_PORT = 65_535
SHOWN_ERROR = 200

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Webhooks:
    """Posts signed JSON to the addresses that are allowed."""

    def __init__(self, settings: NotifySettings, *, now: Callable[[], datetime], resolve: Resolve = resolve) -> None:
        self._settings = settings
        self._now = now
        self._resolve = resolve

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        """The certificates that the system trusts; reading them takes a moment."""
        return ssl.create_default_context()

    async def check(self, address: str) -> None:
        """Refuse an address that is wrong, or that leads inside as far as can be seen now."""
        url = read_url(address)
        try:
            await self._addresses(url)
        except (OSError, ValueError):  # the name server may be away for the moment: each delivery looks again
            return

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Session"]:
        """Give a session for one receiver: connections are kept, and must not be shared with another's name."""
        async with httpx.AsyncClient(
            verify=self._trusted, trust_env=False, follow_redirects=False, timeout=self._settings.timeout_s
        ) as client:
            yield Session(client, self._addresses, self._now, timeout_s=self._settings.timeout_s)

    async def _addresses(self, url: httpx.URL) -> list[str]:
        found = await self._resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        if not self._settings.allow_internal and any(is_internal(address) for address in found):
            raise RefusedError(refusal(url.host))
        return found


class Session:
    """A few posts to one receiver."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        addresses: Callable[[httpx.URL], Awaitable[list[str]]],
        now: Callable[[], datetime],
        *,
        timeout_s: float,
    ) -> None:
        self._client = client
        self._addresses = addresses
        self._now = now
        self._timeout_s = timeout_s

    async def post(self, address: str, *, secret: str, message_id: str, body: bytes) -> str | None:
        """Post a message; None if the receiver took it (2xx), else what went wrong, in a few words."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(read_url(address), self._headers(secret, message_id, body), body)
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except CtsftpError as exc:
            return str(exc)
        except gaierror as exc:
            return f"the name {harmless(read_url(address).host)} cannot be looked up: {exc.strerror}"
        except Exception as exc:  # noqa: BLE001  whatever a receiver or its name provokes is this delivery's error
            return harmless(f"{type(exc).__name__}: {exc}", limit=SHOWN_ERROR)
        return None if httpx.codes.is_success(status) else f"the receiver answered with {status}"

    def _headers(self, secret: str, message_id: str, body: bytes) -> dict[str, str]:
        now = self._now()
        return {
            "content-type": "application/json",
            "user-agent": "ctsftp",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
        }

    async def _post(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> int:
        """Try the addresses of the receiver until one can be connected to; give the status of its answer."""
        failed: httpx.HTTPError | None = None
        for address in await self._addresses(url):
            try:
                async with self._client.stream(
                    "POST",
                    url.copy_with(host=address),
                    headers={"host": url.netloc.decode("ascii"), **headers},
                    content=body,
                    extensions=_sni(url),
                ) as answer:
                    return answer.status_code
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                failed = exc
        raise failed or OSError(f"{url.host} has no address")


def new_secret() -> str:
    """Make a secret that a receiver checks signatures with."""
    return f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def is_web(address: str) -> bool:
    """Tell a web address from one that is for apprise."""
    return address.partition(":")[0].strip().lower() in SCHEMES


def read_url(address: str) -> httpx.URL:
    """Read a webhook's address; `UsageError` if it is none."""
    try:
        url = httpx.URL(address)
        if url.scheme in SCHEMES and url.host and (url.port or 0) <= MAX_PORT:
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise UsageError("That is not a web address: write https://HOST/PATH.")


def shown_url(address: str) -> str:
    """Write an address without what may be secret in it: its path, query, user name and password."""
    url = read_url(address)
    rest = "/…" if url.raw_path not in {b"", b"/"} else ""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{rest}"


def _sni(url: httpx.URL) -> dict[str, str]:
    """Name the host for TLS, since the connection goes to an address; its certificate is checked against the name."""
    try:
        ip_address(url.host)
    except ValueError:
        return {"sni_hostname": url.raw_host.decode("ascii")}
    return {}
