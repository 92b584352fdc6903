"""The last login and the last refusal of each client."""

from ctsftp.store import Logins, Store

from .conftest import StandingClock


async def test_a_client_that_never_came_has_neither(store: Store) -> None:
    assert await store.logins.facts("acme") == Logins()


async def test_the_last_login_and_the_last_refusal_are_kept_side_by_side(store: Store, clock: StandingClock) -> None:
    book = store.logins
    await book.record_refusal("acme", address="192.0.2.1", fingerprint="SHA256:old", cause="unknown key")
    clock.advance(minutes=1)
    await book.record_login("acme", address="192.0.2.1", fingerprint="SHA256:a", algorithm="ssh-ed25519")
    clock.advance(minutes=1)
    await book.record_refusal("acme", address="2001:db8::1", fingerprint=None, cause="expired")
    await book.record_login("bolt", address="192.0.2.9", fingerprint="SHA256:b", algorithm="rsa-sha2-512")
    assert await book.facts("acme") == Logins(
        login_at="2026-03-10T12:01:00.000Z",
        login_address="192.0.2.1",
        login_fingerprint="SHA256:a",
        login_algorithm="ssh-ed25519",
        refusal_at="2026-03-10T12:02:00.000Z",
        refusal_address="2001:db8::1",
        refusal_fingerprint=None,
        refusal_cause="expired",
    )
    assert (await book.facts("bolt")).refusal_at is None


async def test_each_key_has_its_last_use(store: Store, clock: StandingClock) -> None:
    book = store.logins
    for fingerprint in ("SHA256:a", "SHA256:b", "SHA256:a"):
        await book.record_login("acme", address="192.0.2.1", fingerprint=fingerprint, algorithm="ssh-ed25519")
        clock.advance(minutes=1)
    await book.record_login("bolt", address="192.0.2.1", fingerprint="SHA256:a", algorithm="ssh-ed25519")
    assert await book.key_uses("acme") == {
        "SHA256:a": "2026-03-10T12:02:00.000Z",
        "SHA256:b": "2026-03-10T12:01:00.000Z",
    }
    assert await book.key_uses("nobody") == {}
