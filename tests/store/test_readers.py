"""Readers take no connection of the server's own work, however many there are."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from ctsftp.contract.states import State
from ctsftp.errors import StoreError
from ctsftp.store import Store, postgres, sqlite

from .conftest import Feed

PATIENCE_S = 20
MOST = {"sqlite": sqlite.READER_CONNECTIONS, "postgresql": postgres.READER_CONNECTIONS}


async def test_a_load_a_login_and_health_find_a_connection_while_readers_have_all_of_theirs(
    store: Store, feed: Feed, database_kind: str
) -> None:
    readable = store.for_readers()
    async with AsyncExitStack() as taken:
        for _ in range(MOST[database_kind]):
            await taken.enter_async_context(store._database._readers.connect())
        one_more = asyncio.create_task(readable.segments.segments())
        async with asyncio.timeout(PATIENCE_S):
            assert (await feed.load([1, 2])).state is State.LOADED
            await store.logins.record_login("acme", address="192.0.2.1", fingerprint="x", algorithm="ssh-ed25519")
            assert (await store.logins.facts("acme")).login_at
            await store.numbers.answers()
        assert not one_more.done()
    assert [one.members for one in await one_more] == [2]


async def test_what_readers_are_given_is_closed_with_the_store(store: Store) -> None:
    readable = store.for_readers()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await readable.segments.segments()


async def test_a_token_that_is_revoked_is_unknown_to_readers_at_once(store: Store) -> None:
    readable = store.for_readers()
    secret = await store.tokens.add("shop", client=None, admin=False, expires=None)
    assert await readable.tokens.find(secret)
    await store.tokens.revoke("shop")
    assert await readable.tokens.find(secret) is None
