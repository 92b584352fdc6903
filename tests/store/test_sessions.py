"""Who is signed in to the console, for how long, and whom another one's sign-ins push out."""

from datetime import timedelta
from pathlib import Path

from ctsftp.store import Store
from ctsftp.store.sessions import MAX_NOTICES, Session

from .conftest import StandingClock
from .test_tokens import contents

HOUR = timedelta(hours=1)


async def token_id(store: Store, name: str, **more: object) -> int:
    secret = await store.tokens.add(name, **{"client": None, "admin": False, "expires": None, **more})  # type: ignore[arg-type]
    found = await store.tokens.find(secret)
    assert found is not None
    return found.id


async def opened(store: Store, token: int, *, life: timedelta = HOUR, most: int = 9) -> str:
    return await store.sessions.open(token, life=life, most=most)


async def found(store: Store, secret: str) -> Session:
    session = await store.sessions.find(secret)
    assert session is not None
    return session


async def test_a_secret_finds_its_session_and_is_not_kept(store: Store, path: Path) -> None:
    secret = await opened(store, await token_id(store, "maria", admin=True))
    session = await found(store, secret)
    assert (session.token.name, session.token.admin, session.notices) == ("maria", True, [])
    assert await store.sessions.find(secret[:-1]) is None
    assert await store.sessions.find("") is None
    for kept in (secret, session.csrf):
        assert kept.encode() not in contents(path)
        assert kept not in repr(session)


async def test_the_secret_of_forms_is_the_sessions_own_and_stays(store: Store) -> None:
    token = await token_id(store, "maria")
    first, second = await opened(store, token), await opened(store, token)
    assert (await found(store, first)).csrf == (await found(store, first)).csrf != (await found(store, second)).csrf


async def test_a_session_ends_after_its_life_when_it_is_closed_and_with_its_token(
    store: Store, clock: StandingClock
) -> None:
    maria = await token_id(store, "maria")
    secrets = [await opened(store, maria, life=timedelta(hours=hours)) for hours in (1, 9, 9)]
    clock.advance(hours=1)
    assert [await store.sessions.find(one) is not None for one in secrets] == [False, True, True]
    await store.sessions.close(secrets[1])
    assert [await store.sessions.find(one) is not None for one in secrets] == [False, False, True]
    await store.tokens.revoke("maria")
    assert await store.sessions.find(secrets[2]) is None


async def test_a_session_ends_when_its_token_expires(store: Store, clock: StandingClock) -> None:
    secret = await opened(store, await token_id(store, "maria", expires=clock() + HOUR), life=9 * HOUR)
    assert await store.sessions.find(secret)
    clock.advance(hours=1)
    assert await store.sessions.find(secret) is None


async def test_of_too_many_sessions_the_first_of_the_token_that_has_most_goes(
    store: Store, clock: StandingClock
) -> None:
    maria, greedy = await token_id(store, "maria"), await token_id(store, "greedy")
    hers = await opened(store, maria, most=3)
    theirs = []
    for _ in range(5):
        clock.advance(seconds=1)
        theirs.append(await opened(store, greedy, most=3))
    assert await store.sessions.find(hers)
    assert [await store.sessions.find(one) is not None for one in theirs] == [False, False, False, True, True]


async def test_notices_are_told_once_and_few_are_kept(store: Store) -> None:
    secret = await opened(store, await token_id(store, "maria"))
    for number in range(MAX_NOTICES + 3):
        await store.sessions.say(await found(store, secret), "good", str(number))
    session = await found(store, secret)
    assert [one["text"] for one in await store.sessions.take_notices(session)] == ["3", "4", "5", "6", "7"]
    assert await store.sessions.take_notices(await found(store, secret)) == []
    assert await store.sessions.take_notices(session) == []
    await store.sessions.close(secret)
    await store.sessions.say(session, "good", "too late")  # signed out meanwhile: nobody reads it
