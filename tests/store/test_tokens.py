import asyncio
from pathlib import Path

import pytest

from ctsftp.errors import NotFoundError, RefusedError
from ctsftp.store import Store

from .conftest import StandingClock


def contents(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))


async def test_a_secret_finds_its_token_and_is_not_kept(store: Store, path: Path) -> None:
    secret = await store.tokens.add("shop", client="acme", admin=False, expires=None)
    found = await store.tokens.find(secret)
    assert found is not None
    assert (found.name, found.client, found.admin, found.expires_at) == ("shop", "acme", False, None)
    assert await store.tokens.find(secret[:-1]) is None
    assert await store.tokens.find("") is None
    assert secret.encode() not in contents(path)


async def test_a_name_is_taken_until_it_is_revoked(store: Store) -> None:
    first = await store.tokens.add("shop", client=None, admin=True, expires=None)
    with pytest.raises(RefusedError, match="already"):
        await store.tokens.add("shop", client=None, admin=False, expires=None)
    await store.tokens.revoke("shop")
    second = await store.tokens.add("shop", client=None, admin=False, expires=None)
    assert await store.tokens.find(first) is None
    found = await store.tokens.find(second)
    assert found is not None
    assert not found.admin
    with pytest.raises(NotFoundError, match="ctsftp token list"):
        await store.tokens.revoke("none")


async def test_a_token_that_is_revoked_while_it_is_looked_up_is_not_remembered(store: Store) -> None:
    secret = await store.tokens.add("shop", client=None, admin=False, expires=None)
    looking = [asyncio.create_task(store.tokens.find(secret)) for _ in range(50)]
    await asyncio.gather(store.tokens.revoke("shop"), *looking)
    assert await store.tokens.find(secret) is None


async def test_a_token_ends_at_its_time(store: Store, clock: StandingClock) -> None:
    secret = await store.tokens.add("shop", client=None, admin=False, expires=clock.now)
    found = await store.tokens.find(secret)
    assert found is not None
    assert store.tokens.has_expired(found)
    clock.advance(seconds=-1)
    assert not store.tokens.has_expired(found)


async def test_the_last_use_is_kept_and_that_of_a_revoked_token_is_not(store: Store) -> None:
    await store.tokens.add("shop", client=None, admin=False, expires=None)
    [token] = await store.tokens.tokens()
    await store.tokens.note_used({token.id: "2026-03-10T12:00:00.000Z", token.id + 1: "2026-03-10T12:00:00.000Z"})
    assert [one.last_used_at for one in await store.tokens.tokens()] == ["2026-03-10T12:00:00.000Z"]
    await store.tokens.revoke("shop")
    await store.tokens.add("other", client=None, admin=False, expires=None)
    await store.tokens.note_used({token.id: "2026-03-10T13:00:00.000Z"})
    assert [one.last_used_at for one in await store.tokens.tokens()] == [None]
