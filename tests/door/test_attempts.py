"""What is told of logins that were refused, and what `login list` shows of them."""

from typing import Any

import asyncssh
import pytest

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.sftp import attempts

from ..sftp.room import ACME, Room
from .attacker import ADDRESS, Attacker

NEARLY = "user name is nearly a client's"


async def listed(room: Room, *, count: int = 1) -> list[dict[str, Any]]:
    await room.refusals.first(count)
    return room.server.attempts.as_json()


async def namesake_found(room: Room) -> dict[str, Any]:
    """Wait until a search for the client that was meant is over."""
    while room.server.attempts._looking:
        await room.server.attempts._loop.run_in_executor(None, lambda: None)
    [attempt] = room.server.attempts.as_json()
    return attempt


async def test_of_an_agent_with_many_keys_it_is_told_how_many_were_offered(
    room: Room, strange_keys: list[asyncssh.SSHKey]
) -> None:
    with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
        await room.connect(client_keys=[*strange_keys[:8], room.user_key])
    [attempt] = await listed(room)
    assert (attempt["outcome"], attempt["user"], attempt["keys"]) == ("refused", ACME, 7)
    assert attempt["text"] == "7 keys offered, none is acme's"
    [told] = [entry for entry in room.logs if entry["event"] == "login refused"]
    assert (told["cause"], told["keys"], told["hint"]) == ("unknown_key", 7, "7 keys offered, none is acme's")


async def test_one_wrong_key_is_told_in_its_own_words(room: Room, strange_keys: list[asyncssh.SSHKey]) -> None:
    for _ in range(3):
        with pytest.raises(asyncssh.PermissionDenied):
            await room.connect(client_keys=strange_keys[:1])
    [attempt] = await listed(room, count=3)
    assert (attempt["text"], attempt["times"]) == ("1 key offered, and it is not acme's", 3)


@pytest.mark.parametrize("typed", ["acmee", "acm", "ACME", "acme@sftp.example"])
async def test_a_client_that_mistypes_its_name_is_found_by_its_key(room: Room, attacker: Attacker, typed: str) -> None:
    await attacker.fails_to_log_in(username=typed)
    attempt = await namesake_found(room)
    assert (attempt["user"], attempt["meant"], attempt["cause"]) == (typed, ACME, Refusal.UNKNOWN_CLIENT)
    assert attempt["text"] == f"{typed} is no client; the user name is acme, and the key is one of acme's"
    await attacker.fails_to_log_in(username=typed, client_keys=[])
    again = await namesake_found(room)
    assert (again["meant"], again["times"]) == (ACME, 2)
    [told] = [entry for entry in room.logs if entry["event"] == NEARLY]
    assert (told["user"], told["meant"], told["address"]) == (typed, ACME, ADDRESS)


async def test_a_name_that_is_close_without_a_key_is_only_listed(
    room: Room, attacker: Attacker, strange_keys: list[asyncssh.SSHKey]
) -> None:
    await attacker.fails_to_log_in(username="acmee", client_keys=strange_keys[:1])
    attempt = await namesake_found(room)
    assert (attempt["meant"], attempt["times"]) == (ACME, 1)
    assert attempt["text"] == "acmee is no client; acme is"
    assert [entry for entry in room.logs if entry["event"] == NEARLY] == []


async def test_a_name_that_is_close_to_none_stays_a_stranger_s(room: Room, attacker: Attacker) -> None:
    await attacker.fails_to_log_in(username="root")
    attempt = await namesake_found(room)
    assert (attempt["meant"], attempt["text"]) == ("", "")


async def test_logins_are_listed_too_and_guesses_do_not_push_them_out(
    room: Room, monkeypatch: pytest.MonkeyPatch, attacker: Attacker
) -> None:
    monkeypatch.setattr(attempts, "MAX_ATTEMPTS", 2)
    async with await room.connect(client_version="Job_1"):
        pass
    for number in range(3):
        await attacker.fails_to_log_in(username=f"guess{number}")
        room.server.clear_penalties(None)
    found = room.server.attempts.as_json()
    assert {one["user"] for one in found} == {ACME, "guess1", "guess2"}
    [login] = [one for one in found if one["outcome"] == "signed in"]
    assert (login["software"], login["fingerprint"]) == ("SSH-2.0-Job_1", room.user_key.get_fingerprint())
