"""Readers take no connection of the server's own work, however many there are."""

import asyncio

from ctsftp.contract.states import State
from ctsftp.store import Store, postgres, sqlite

from .conftest import Feed

SLOW = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000000) SELECT max(x) FROM n",
    "postgresql": "SELECT pg_sleep(0.7)",
}
CROWD = 2 * max(sqlite.READER_CONNECTIONS, postgres.READER_CONNECTIONS)


async def test_a_load_a_login_and_health_find_a_connection_while_readers_have_all_of_theirs(
    store: Store, feed: Feed, database_kind: str
) -> None:
    readable = store.for_readers()
    begun = asyncio.Event()

    async def read() -> None:
        begun.set()
        await readable._database.read(lambda conn: conn.exec_driver_sql(SLOW[database_kind]).all())

    crowd = [asyncio.create_task(read()) for _ in range(CROWD)]
    await begun.wait()
    outcome = await feed.load([1, 2])
    await store.logins.record_login("acme", address="192.0.2.1", fingerprint="x", algorithm="ssh-ed25519")
    assert (await store.logins.facts("acme")).login_at
    await store.numbers.answers()
    assert outcome.state is State.LOADED
    assert not all(task.done() for task in crowd)
    await asyncio.gather(*crowd)
    assert [one.members for one in await readable.segments.segments()] == [2]


async def test_what_readers_are_given_is_closed_with_the_store(store: Store) -> None:
    readable = store.for_readers()
    await store.close()
    assert readable._database._closing.is_set()


async def test_a_token_that_is_revoked_is_unknown_to_readers_at_once(store: Store) -> None:
    readable = store.for_readers()
    secret = await store.tokens.add("shop", client=None, admin=False, expires=None)
    assert await readable.tokens.find(secret)
    await store.tokens.revoke("shop")
    assert await readable.tokens.find(secret) is None
