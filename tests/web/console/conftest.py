"""People at the console: an admin, a reader, and one whose token is bound to a client."""

import pytest

from tests.web.conftest import Desk, _no_environment, desk, events, http_settings, new_folder, quiet_settings, settings

from .desk import Person

__all__ = ["_no_environment", "desk", "events", "http_settings", "new_folder", "quiet_settings", "settings"]


@pytest.fixture
async def admin(desk: Desk) -> Person:
    return await person(desk, "maria", admin=True)


@pytest.fixture
async def reader(desk: Desk) -> Person:
    return await person(desk, "reporting")


@pytest.fixture
async def other(desk: Desk) -> Person:
    """An admin of the client `other`, and of no other."""
    return await person(desk, "other's", client="other", admin=True)


async def person(desk: Desk, name: str, *, client: str | None = None, admin: bool = False) -> Person:
    made = Person(desk)
    answer = await made.sign_in(await desk.token(name, client=client, admin=admin))
    assert answer.status_code == 303
    return made
