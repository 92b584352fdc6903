"""A server with its API, and what a test asks of it over a real connection."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from structlog.typing import EventDict

from ctsftp.admin.administration import open_service
from ctsftp.app.service import Service
from ctsftp.model.commands import AddToken
from ctsftp.settings import Settings
from ctsftp.store import Upload
from ctsftp.web.settings import HttpSettings
from tests.app.bench import load, rows
from tests.app.conftest import _no_environment, events, new_folder
from tests.app.conftest import settings as quiet_settings

__all__ = ["_no_environment", "events", "new_folder", "quiet_settings"]


class Desk:
    """A running server, and its clients' requests."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.engine = service.engine
        self.store = service.engine.store
        self.events: list[EventDict] = []
        self.url = f"http://127.0.0.1:{service.web.port}"
        self._open: list[httpx.AsyncClient] = []
        self._stamps = 0

    async def token(
        self, name: str, *, client: str | None = None, admin: bool = False, expires: str | None = None
    ) -> str:
        return await self.service.perform(AddToken(name, client, admin, expires))

    def http(self, secret: str | None = None) -> httpx.AsyncClient:
        """Open a client of HTTP that shows this secret."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False)
        self._open.append(client)
        return client

    async def reader(self, client: str | None = None) -> httpx.AsyncClient:
        return self.http(await self.token(f"reader{len(self._open)}", client=client))

    async def admin(self, client: str | None = None) -> httpx.AsyncClient:
        return self.http(await self.token(f"admin{len(self._open)}", client=client, admin=True))

    async def load(self, title: str, ids: Iterable[int], *, client: str = "acme") -> Upload:
        """Have a list of members loaded, by a file that is newer than all before it."""
        self._stamps += 1
        name = f"{title}_202603{1 + self._stamps // 1000:02}_{self._stamps % 1000:04}.csv"
        return await load(self.engine, name, rows(ids), client=client)

    async def load_text(self, name: str, content: str, *, client: str = "acme") -> Upload:
        """Have a file taken, whatever becomes of it."""
        return await load(self.engine, name, content, client=client)

    async def close(self) -> None:
        for client in self._open:
            await client.aclose()


@pytest.fixture
def http_settings() -> dict[str, Any]:
    """What a module sets otherwise."""
    return {}


@pytest.fixture
def settings(
    quiet_settings: Settings, http_settings: dict[str, Any], database_kind: str, database_url: str
) -> Settings:
    """Settings of a server that answers HTTP."""
    http = HttpSettings(**{"port": 0, "drain_timeout_s": 1, **http_settings})
    for client in ("acme", "other"):
        (quiet_settings.keys_dir / "clients" / client).mkdir(parents=True)
    place = {"database_url": database_url} if database_kind == "postgresql" else {}
    return quiet_settings.model_copy(update={"http": http, **place})


@pytest.fixture
async def desk(settings: Settings, events: list[EventDict]) -> AsyncIterator[Desk]:
    async with open_service(settings) as service:
        opened = Desk(service)
        opened.events = events
        yield opened
        await opened.close()


def problem(answer: httpx.Response, status: int, word: str) -> str:
    """Hold that an answer is this problem, and give its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:ctsftp:problem:{word}"
    assert document["status"] == status
    assert document["title"]
    detail: str = document["detail"]
    assert "\n" not in detail
    return detail
