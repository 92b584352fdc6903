"""The connection sheet: all that a sender types into the Connect job's form."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ctsftp.admin.control import ControlSocket
from ctsftp.admin.sheet import connection_sheet
from ctsftp.app.clock import utc_now
from ctsftp.app.sheet import CAUSES
from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.model.commands import Command, ListPenalties
from ctsftp.model.reads import Read
from ctsftp.settings import Settings
from ctsftp.sftp.settings import SftpSettings
from ctsftp.store import Store


def test_the_sheet_has_the_fields_of_the_form(settings: Settings) -> None:
    sheet = connection_sheet(
        settings.model_copy(update={"sftp": SftpSettings(public_host="sftp.example", port=2022)}), "acme"
    )
    assert (sheet["host"], sheet["host_is_guessed"], sheet["port"]) == ("sftp.example", False, 2022)
    assert (sheet["directory"], sheet["username"], sheet["authentication"]) == ("/", "acme", "SSH key")
    assert sheet["host_keys"] == [
        {"type": key.algorithm, "fingerprint": key.fingerprint} for key in load_or_create_host_keys(settings.host_keys)
    ]
    assert sheet["file"] == {
        "Name": "no prefix, your segment name, YYYYMMDD_HH24MI.csv",
        "Character Set": "UTF-8",
        "Field delimiter": "Comma",
        "Field enclosure": "None",
        "Column Header": "True",
        "Encryption/Compression": "None",
    }


@pytest.mark.parametrize(
    ("listening", "guess"),
    [("192.0.2.7", "192.0.2.7"), *((any_, socket.gethostname()) for any_ in ("", "0.0.0.0", "::"))],  # noqa: S104
)
def test_a_host_that_nobody_set_is_guessed_without_asking_the_network(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, listening: str, guess: str
) -> None:
    def slow(*_: object) -> str:
        raise AssertionError("a resolver that does not answer takes its time")

    monkeypatch.setattr(socket, "getfqdn", slow)
    sheet = connection_sheet(settings.model_copy(update={"sftp": SftpSettings(host=listening)}), "acme")
    assert (sheet["host"], sheet["host_is_guessed"]) == (guess, True)


def test_the_sheet_tells_the_last_login_and_why_the_last_refusal_was(settings: Settings) -> None:
    async def note() -> None:
        store = await Store.open(settings.database, clock=utc_now, migrate=True)
        await store.logins.record_login("acme", address="192.0.2.1", fingerprint="SHA256:a", algorithm="ssh-ed25519")
        await store.logins.record_refusal("acme", address="192.0.2.2", fingerprint=None, cause="outside_from")
        await store.close()

    asyncio.run(note())
    sheet = connection_sheet(settings, "acme")
    assert sheet["logins"]["login_address"] == "192.0.2.1"
    assert sheet["logins"]["refusal_cause"] == "outside_from"
    assert "from=" in sheet["refusal_says"]
    assert connection_sheet(settings, "zeta")["refusal_says"] == ""


async def no_rows(_asked: Read[object]) -> AsyncIterator[list[Any]]:
    yield []


async def test_the_sheet_tells_that_the_usual_address_is_refused_now(settings: Settings) -> None:
    store = await Store.open(settings.database, clock=utc_now, migrate=True)
    await store.logins.record_login("acme", address="192.0.2.1", fingerprint="SHA256:a", algorithm="ssh-ed25519")
    await store.logins.record_login("zeta", address="192.0.2.9", fingerprint="SHA256:b", algorithm="ssh-ed25519")
    await store.close()
    penalty = {"source": "192.0.2.1", "seconds_left": 59.6, "refused": True}

    async def perform(command: Command[object]) -> list[dict[str, Any]]:
        assert command == ListPenalties()
        return [penalty, penalty | {"source": "192.0.2.9", "refused": False}]

    control = ControlSocket(settings.data_dir / "control.sock", perform, no_rows)
    await control.start()
    try:
        sheet = await asyncio.to_thread(connection_sheet, settings, "acme")
        other = await asyncio.to_thread(connection_sheet, settings, "zeta")
    finally:
        await control.close()
    assert sheet["refused_now"] == "192.0.2.1 is refused for another 60 seconds: ctsftp penalty clear 192.0.2.1"
    assert other["refused_now"] == ""
    assert (await asyncio.to_thread(connection_sheet, settings, "acme"))["refused_now"] == "", "none runs"


def test_every_cause_of_a_refusal_has_its_words() -> None:
    assert CAUSES.keys() == {cause.value for cause in Refusal}


def test_without_a_database_the_sheet_is_there_all_the_same(settings: Settings) -> None:
    (settings.data_dir / "ctsftp.db").unlink()
    assert connection_sheet(settings, "acme")["logins"]["login_at"] is None
