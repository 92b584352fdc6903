"""Who signed in and who did not: written down beside the login, whatever strangers try."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.typing import EventDict

from ctsftp.app.clock import utc_now
from ctsftp.app.loginbook import LoginNotes
from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.folder import Clients
from ctsftp.errors import StoreError
from ctsftp.settings import Settings
from ctsftp.sftp.attempts import Login, LoginRefused
from ctsftp.store import Store

PATIENCE_S = 20.0


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = await Store.open(settings.database, clock=utc_now, migrate=True)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def notes(settings: Settings, store: Store) -> LoginNotes:
    clients = Clients(settings.keys_dir)
    clients.add("acme")
    clients.add("zeta")
    return LoginNotes(store, clients)


def login(client: str = "acme", *, address: str = "192.0.2.1") -> Login:
    return Login(client, address, "SHA256:abc", "ssh-ed25519")


def refused(client: str = "acme", *, cause: Refusal = Refusal.UNKNOWN_KEY) -> LoginRefused:
    return LoginRefused(client, "192.0.2.2", "", cause)


async def test_the_latest_login_and_the_latest_refusal_are_written_down(notes: LoginNotes, store: Store) -> None:
    notes.note(login(address="192.0.2.9"))
    notes.note(login())
    notes.note(refused(cause=Refusal.EXPIRED))
    await notes.flush()
    facts = await store.logins.facts("acme")
    assert (facts.login_address, facts.login_fingerprint) == ("192.0.2.1", "SHA256:abc")
    assert (facts.refusal_cause, facts.refusal_fingerprint) == ("expired", None)
    assert (await store.logins.facts("zeta")).login_at is None


async def test_of_logins_by_several_keys_each_is_written_down_and_the_latest_is_the_last(
    notes: LoginNotes, store: Store
) -> None:
    for fingerprint in ("SHA256:a", "SHA256:b", "SHA256:a"):
        notes.note(Login("acme", "192.0.2.1", fingerprint, "ssh-ed25519"))
    await notes.flush()
    assert (await store.logins.key_uses("acme")).keys() == {"SHA256:a", "SHA256:b"}
    assert (await store.logins.facts("acme")).login_fingerprint == "SHA256:a"


async def test_strangers_leave_no_trace(notes: LoginNotes, settings: Settings) -> None:
    for name in ("nobody", "", ".", "..", "../acme", "ACME", "x" * 300, "a\0b", "\udcff", "clients"):
        notes.note(refused(name))
    await notes.flush()
    with sqlite3.connect(settings.data_dir / "ctsftp.db") as database:
        assert database.execute("SELECT count(*) FROM client_logins").fetchone() == (0,)
    database.close()


async def test_a_keys_folder_that_cannot_be_read_fails_no_login(store: Store, tmp_path: Path) -> None:
    notes = LoginNotes(store, Clients(tmp_path / ("x" * 300)))
    notes.note(refused())
    notes.note(login())
    await notes.flush()
    facts = await store.logins.facts("acme")
    assert (facts.login_address, facts.refusal_at) == ("192.0.2.1", None)


async def test_a_flood_of_refusals_is_one_row_a_client(notes: LoginNotes, store: Store) -> None:
    writes = 0
    real = store.logins.record_refusal

    async def record(client: str, *, address: str, fingerprint: str | None, cause: str) -> None:
        nonlocal writes
        writes += 1
        await real(client, address=address, fingerprint=fingerprint, cause=cause)

    store.logins.record_refusal = record  # type: ignore[method-assign]
    for _ in range(1000):
        notes.note(refused("acme"))
        notes.note(refused("zeta"))
    await notes.flush()
    assert writes == 2


async def test_a_database_that_fails_loses_one_note_and_says_so(
    notes: LoginNotes, store: Store, events: list[EventDict]
) -> None:
    real = store.logins.record_login

    async def fail(client: str, *, address: str, fingerprint: str, algorithm: str) -> None:
        if client == "zeta":
            raise StoreError("locked")
        await real(client, address=address, fingerprint=fingerprint, algorithm=algorithm)

    store.logins.record_login = fail  # type: ignore[method-assign]
    notes.note(login("acme"))
    notes.note(login("zeta"))
    await notes.flush()
    assert (await store.logins.facts("acme")).login_at
    assert [(event["event"], event["client"]) for event in events] == [("login not written down", "zeta")]


async def test_notes_are_written_down_as_they_come(notes: LoginNotes, store: Store) -> None:
    written = asyncio.Queue[str]()
    real = store.logins.record_login

    async def record(client: str, *, address: str, fingerprint: str, algorithm: str) -> None:
        await real(client, address=address, fingerprint=fingerprint, algorithm=algorithm)
        written.put_nowait(client)

    store.logins.record_login = record  # type: ignore[method-assign]
    writing = asyncio.create_task(notes.run())
    async with asyncio.timeout(PATIENCE_S):
        for client in ("acme", "zeta"):
            notes.note(login(client))
            assert await written.get() == client
    writing.cancel()
    await asyncio.wait([writing])


async def test_what_the_stop_interrupts_is_written_down_by_the_last_flush(notes: LoginNotes, store: Store) -> None:
    writing = asyncio.Event()
    real = store.logins.record_login

    async def record(client: str, *, address: str, fingerprint: str, algorithm: str) -> None:
        writing.set()
        await real(client, address=address, fingerprint=fingerprint, algorithm=algorithm)

    store.logins.record_login = record  # type: ignore[method-assign]
    running = asyncio.create_task(notes.run())
    notes.note(login("acme"))
    notes.note(login("zeta"))
    await writing.wait()
    running.cancel()
    await asyncio.wait([running])
    await notes.flush()
    assert (await store.logins.facts("acme")).login_at
    assert (await store.logins.facts("zeta")).login_at
