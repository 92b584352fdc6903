"""The server that many tests share, and a client for each of them; a module asks for it by `pytest_plugins`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .inprocess import Sender, Server, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with running(tmp_path_factory.mktemp("server")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def sender(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    """A client of the test's own; in the end every row must be accounted for, and the test have done what it says."""
    made = server.add_sender()
    yield made
    await made.close()
    made.check_accounts()
    assert getattr(request.function, "exercises", set[object]()) <= made.seen()
