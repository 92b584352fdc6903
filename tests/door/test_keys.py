"""Keys that are taken away, run out, or prove nothing: what the server does, and what the admin is told."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import asyncssh
import pytest

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.folder import Client

from ..sftp.room import ACME, PATIENCE_S, Room, public_half


def revoke(room: Room) -> None:
    room.clients.revoke(ACME, room.user_key.get_fingerprint())


def disable(room: Room) -> None:
    room.clients.disable(ACME)


class Waiting(asyncssh.SSHClient):
    """A sender that offers its key, and waits with its signature until it is told to go on."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self._key = key

    async def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        self.asked.set()
        await self.go_on.wait()
        return self._key


@pytest.mark.parametrize("change", [revoke, disable])
async def test_a_login_that_has_begun_ends_without_the_key_that_is_gone(
    room: Room, change: Callable[[Room], None]
) -> None:
    sender = Waiting(room.user_key)
    connecting = asyncio.create_task(room.connect(client_keys=None, client_factory=lambda: sender))
    async with asyncio.timeout(PATIENCE_S):
        await sender.asked.wait()  # the server has read the client's folder
    change(room)
    assert await room.server.recheck() == 0
    sender.go_on.set()
    with pytest.raises(asyncssh.PermissionDenied):
        await connecting
    assert room.logins.all == []


async def test_a_client_that_is_being_read_when_a_key_is_revoked_is_read_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, get = asyncio.get_running_loop(), room.clients.get
    was_read, go_on = asyncio.Event(), threading.Event()

    def slow_get(name: str) -> Client:
        client = get(name)
        if not go_on.is_set():
            loop.call_soon_threadsafe(was_read.set)
            assert go_on.wait(PATIENCE_S)
        return client

    monkeypatch.setattr(room.clients, "get", slow_get)
    connecting = asyncio.create_task(room.connect())
    async with asyncio.timeout(PATIENCE_S):
        await was_read.wait()
    revoke(room)
    rechecking = asyncio.create_task(room.server.recheck())
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncssh.PermissionDenied):
        await connecting
    await rechecking
    assert room.logins.all == []


async def test_the_event_loop_turns_while_the_folders_are_read_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = await room.raw()
    loop_thread, readers = threading.get_ident(), set()
    get = room.clients.get

    def noted_get(name: str) -> Client:
        readers.add(threading.get_ident())
        return get(name)

    monkeypatch.setattr(room.clients, "get", noted_get)
    assert await room.server.recheck() == 0
    assert readers
    assert loop_thread not in readers
    await raw.create("still here.csv")


async def test_a_client_without_a_key_and_one_that_signs_wrongly_are_told_apart(room: Room) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(client_keys=None, password="secret", preferred_auth="password")  # noqa: S106  it opens nothing
    assert (await room.refusals.first(1))[-1].cause is Refusal.NO_KEY
    liar = asyncssh.import_private_key(room.user_key.export_private_key())
    honest_sign = liar.sign
    liar.sign = lambda data, algorithm: honest_sign(data + b"!", algorithm)  # type: ignore[method-assign]
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(client_keys=[liar])
    refused = (await room.refusals.first(2))[-1]
    assert (refused.cause, refused.fingerprint) == (Refusal.SIGNATURE, room.user_key.get_fingerprint())


@pytest.mark.parametrize(("days", "warned"), [(29, True), (31, False)])
async def test_a_login_with_a_key_that_expires_soon_warns_the_admin(room: Room, days: int, *, warned: bool) -> None:
    room.clients.add("brief", [])
    room.clients.add_key("brief", public_half(room.user_key), expires=room.now + timedelta(days=days))
    await room.connect(username="brief")
    await room.logins.first()
    warnings = [entry for entry in room.logs if entry["event"] == "key expires soon"]
    assert [entry["client"] for entry in warnings] == (["brief"] if warned else [])


async def test_an_rsa_host_key_signs_with_sha2_only(room: Room, rsa_key: asyncssh.SSHKey) -> None:
    room.host_key = rsa_key
    await room.restart()
    await room.connect(server_host_key_algs=["rsa-sha2-256"])
    with pytest.raises(asyncssh.KeyExchangeFailed):
        await room.connect(server_host_key_algs=["ssh-rsa"])


async def test_session_keys_are_renewed_while_a_file_is_on_its_way(room: Room) -> None:
    await room.restart(rekey_bytes=1 << 16)
    connection = await room.connect(rekey_bytes=1 << 16)
    renewed = 0
    send_newkeys = connection.send_newkeys

    def counted(k: bytes, h: bytes) -> None:
        nonlocal renewed
        renewed += 1
        send_newkeys(k, h)

    connection.send_newkeys = counted  # type: ignore[method-assign]
    sftp = await connection.start_sftp_client()
    data = bytes(range(256)) * 4096
    async with sftp.open("large.csv", "wb") as file:
        await file.write(data)
    assert room.home("large.csv") == data
    assert renewed > 1
