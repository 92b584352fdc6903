"""Who gets in, what a refused one is told, and what the admin is told."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import FX_OK

from ctsftp.clients import folder
from ctsftp.clients.authorized_keys import Refusal
from ctsftp.clients.folder import Client
from ctsftp.errors import DiskError, NotFoundError, SettingsError
from ctsftp.sftp.attempts import Login

from .room import ACME, GOLD, PATIENCE_S, Room, public_half
from .stock import StockSftp

SHA1 = ["ssh-rsa"]
SHA2 = ["rsa-sha2-256"]


def new_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def strange_key() -> asyncssh.SSHKey:
    return new_key()


async def refused(room: Room, **options: Any) -> Refusal:
    """Try to sign in, be refused as everybody is, and return the cause that the admin is told."""
    known = len(room.refusals.all)
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(**options)
    return (await room.refusals.first(known + 1))[-1].cause


async def test_a_login_is_told_with_client_address_and_key(room: Room) -> None:
    await room.connect()
    fingerprint = room.user_key.get_fingerprint()
    assert await room.logins.one() == Login(ACME, "127.0.0.1", fingerprint, "ssh-ed25519")
    assert room.refusals.all == []


# Refusals: alike for the peer, each with its cause for the admin.


async def test_a_stranger_an_unknown_user_and_a_disabled_client_are_refused_alike(
    room: Room, stock: StockSftp, strange_key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    strange_file = tmp_path / "strange"
    strange_key.write_private_key(strange_file)
    strange_file.chmod(0o600)
    room.clients.add("off", [public_half(room.user_key)])
    room.clients.disable("off")
    said = [
        await stock.ssh(key_file=strange_file),
        await stock.ssh(user="nobody"),
        await stock.ssh(user="off"),
        await stock.ssh(user="../acme"),
        await stock.ssh(user="ACME"),
    ]
    assert {done.code for done in said} == {255}
    assert {done.err.partition(": ")[2] for done in said} == {"Permission denied (publickey).\r\n"}


async def test_a_key_is_the_only_way_in_for_everybody(room: Room) -> None:
    room.clients.add("off", [])
    room.clients.disable("off")
    for user in (ACME, "nobody", "off"):
        methods = await asyncssh.get_server_auth_methods("127.0.0.1", room.server.port, username=user, config=None)
        assert methods == ["publickey"]
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(
            client_keys=None,
            password="secret",  # noqa: S106  it opens nothing
            preferred_auth="password,keyboard-interactive,none",
        )


async def test_the_admin_is_told_the_cause_of_each_refusal(room: Room, strange_key: asyncssh.SSHKey) -> None:
    room.clients.add("off", [public_half(room.user_key)])
    room.clients.disable("off")
    assert await refused(room, client_keys=[strange_key]) is Refusal.UNKNOWN_KEY
    assert await refused(room, username="nobody") is Refusal.UNKNOWN_CLIENT
    assert await refused(room, username="off") is Refusal.DISABLED
    stranger, nobody, off = room.refusals.all
    assert (stranger.client, stranger.address) == (ACME, "127.0.0.1")
    assert stranger.fingerprint == strange_key.get_fingerprint()
    assert (nobody.client, off.client) == ("nobody", "off")


async def test_a_client_that_cannot_be_read_is_refused_alike_and_the_admin_is_told(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(name: str) -> Client:
        raise DiskError("keys/clients/acme could not be read: Input/output error.")

    monkeypatch.setattr(room.clients, "get", get)
    assert await refused(room) is Refusal.UNKNOWN_CLIENT
    (error,) = room.errors()
    assert "Input/output error" in error["error"]


async def test_an_empty_user_name_is_refused(room: Room) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(username="")


async def test_a_key_outside_its_from_is_refused(room: Room) -> None:
    room.clients.add("far", [])
    room.clients.add_key("far", public_half(room.user_key), from_cidrs=["10.0.0.0/8"])
    room.clients.add("near", [])
    room.clients.add_key("near", public_half(room.user_key), from_cidrs=["127.0.0.0/8"])
    assert await refused(room, username="far") is Refusal.OUTSIDE_FROM
    await room.connect(username="near")


async def test_a_key_that_expired_is_refused(room: Room) -> None:
    room.clients.add("brief", [])
    room.clients.add_key("brief", public_half(room.user_key), expires=room.now + timedelta(hours=1))
    await room.connect(username="brief")
    room.now += timedelta(hours=1)
    assert await refused(room, username="brief") is Refusal.EXPIRED


async def test_of_several_tries_the_admin_is_told_the_closest(room: Room, strange_key: asyncssh.SSHKey) -> None:
    room.clients.add("far", [])
    room.clients.add_key("far", public_half(room.user_key), from_cidrs=["10.0.0.0/8"])
    cause = await refused(room, username="far", client_keys=[strange_key, room.user_key, new_key()])
    assert cause is Refusal.OUTSIDE_FROM
    assert (await room.refusals.one()).fingerprint == room.user_key.get_fingerprint()


async def test_a_sha1_signature_is_refused(room: Room, rsa_key: asyncssh.SSHKey) -> None:
    room.clients.add("old", [public_half(rsa_key)])
    cause = await refused(room, username="old", client_keys=[rsa_key], signature_algs=SHA1)
    assert cause is Refusal.SHA1
    await room.connect(username="old", client_keys=[rsa_key], signature_algs=SHA2)


async def test_a_sha1_signature_is_allowed_to_a_client_that_may_and_logged(
    room: Room, rsa_key: asyncssh.SSHKey
) -> None:
    room.clients.add("old", [public_half(rsa_key)])
    (room.clients.folder / "old" / "client.toml").write_text("allow_sha1 = true\n")
    await room.connect(username="old", client_keys=[rsa_key], signature_algs=SHA1)
    await room.connect(username="old", client_keys=[rsa_key], signature_algs=SHA2)
    await room.logins.first(2)
    assert [entry["sha1"] for entry in room.logs if entry["event"] == "login"] == [True, False]


async def test_a_wrong_signature_of_a_known_key_is_refused(room: Room) -> None:
    assert await tried_with_wrong_signatures(room, 1) == 1


async def test_a_certificate_is_refused_whoever_signed_it(room: Room) -> None:
    certificate = room.user_key.generate_user_certificate(room.user_key, "acme", principals=[ACME])
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(client_keys=[(new_key(), None)], agent_path=None)
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(client_keys=[asyncssh.load_keypairs([(room.user_key, certificate)])[0]])


# Bounds on trying.


async def test_after_too_many_keys_the_connection_ends(room: Room) -> None:
    await room.restart(max_login_failures=3)
    strangers = [new_key() for _ in range(3)]
    await room.connect(client_keys=[*strangers[:2], room.user_key])
    with pytest.raises(asyncssh.PermissionDenied, match="Too many keys"):
        await room.connect(client_keys=[*strangers, room.user_key])
    assert (await room.refusals.one()).cause is Refusal.UNKNOWN_KEY


async def test_after_too_many_wrong_signatures_the_connection_ends(room: Room) -> None:
    await room.restart(max_login_failures=3)
    assert await tried_with_wrong_signatures(room, 20) == 3


async def tried_with_wrong_signatures(room: Room, times: int) -> int:
    """Offer the client's own key so often, sign wrongly each time, and return how often it came to a signature."""
    signed = 0
    liar = asyncssh.import_private_key(room.user_key.export_private_key())
    honest_sign = liar.sign

    def sign(data: bytes, algorithm: bytes) -> bytes:
        nonlocal signed
        signed += 1
        return honest_sign(data + b"!", algorithm)

    liar.sign = sign  # type: ignore[method-assign]
    with pytest.raises(asyncssh.DisconnectError):
        await room.connect(client_keys=[liar] * times)
    assert room.logins.all == []
    return signed


async def test_a_connection_that_changes_its_user_name_ends(room: Room) -> None:
    room.clients.add("other", [])
    users = iter(["nobody", "other", ACME])

    class Changing(asyncssh.SSHClient):
        def connection_made(self, connection: asyncssh.SSHClientConnection) -> None:
            self.connection = connection

        def public_key_auth_requested(self) -> asyncssh.SSHKey:
            self.connection._username = next(users)
            return room.user_key

    with pytest.raises(asyncssh.DisconnectError, match="user name"):
        await room.connect(username="nobody", client_keys=None, client_factory=Changing)
    assert room.logins.all == []
    assert next(users) == ACME


async def test_a_peer_that_does_not_sign_in_is_disconnected(room: Room) -> None:
    await room.restart(login_timeout_s=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.read()).startswith(b"SSH-2.0-ctsftp\r\n")
    writer.close()
    await room.disconnected()


async def test_a_connection_that_is_lost_while_its_client_is_looked_up_leaves_nothing_behind(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = asyncio.Event(), threading.Event()
    loop, get = asyncio.get_running_loop(), room.clients.get

    def slow_get(name: str) -> Client:
        loop.call_soon_threadsafe(asked.set)
        answered.wait(PATIENCE_S)
        return get(name)

    monkeypatch.setattr(room.clients, "get", slow_get)
    connecting = asyncio.create_task(room.connect())
    await asked.wait()
    (connection,) = room.server.connections
    connection.ssh.abort()
    await asyncio.wait({connecting})
    assert isinstance(connecting.exception(), asyncssh.ConnectionLost)
    await room.disconnected()
    answered.set()
    await room.connect()
    assert len(await room.logins.first()) == 1
    assert room.refusals.all == []


# Changes while the server runs.


async def test_a_key_that_is_added_counts_at_the_next_login(room: Room, strange_key: asyncssh.SSHKey) -> None:
    assert await refused(room, client_keys=[strange_key]) is Refusal.UNKNOWN_KEY
    room.clients.add_key(ACME, public_half(strange_key))
    await room.connect(client_keys=[strange_key])


def revoke(room: Room) -> None:
    room.clients.revoke(ACME, room.user_key.get_fingerprint())


def disable(room: Room) -> None:
    room.clients.disable(ACME)


def remove(room: Room) -> None:
    room.clients.remove(ACME)


@pytest.mark.parametrize("change", [revoke, disable, remove])
async def test_who_may_sign_in_no_more_is_disconnected_at_the_recheck(
    room: Room, change: Callable[[Room], None], strange_key: asyncssh.SSHKey
) -> None:
    room.clients.add("other", [public_half(strange_key)])
    other = await room.connect(username="other", client_keys=[strange_key])
    connection = await room.connect()
    raw = await room.raw(connection)
    await raw.write(await raw.create(GOLD), 0, b"CTUserID\n")
    assert await room.server.recheck() == 0
    change(room)
    assert await room.server.recheck() == 1
    await room.sessions_ended()
    async with asyncio.timeout(PATIENCE_S):
        await connection.wait_closed()
    assert room.landed.all == []
    assert room.partial(GOLD) == b"CTUserID\n"
    assert (await other.start_sftp_client()) is not None
    assert await room.server.recheck() == 0


async def test_a_key_that_expires_meanwhile_ends_its_session_at_the_recheck(room: Room) -> None:
    room.clients.add("brief", [])
    room.clients.add_key("brief", public_half(room.user_key), expires=room.now + timedelta(hours=1))
    await room.connect(username="brief")
    await room.logins.first()
    room.now += timedelta(hours=1)
    assert await room.server.recheck() == 1


async def test_another_key_of_the_client_keeps_its_session(room: Room, strange_key: asyncssh.SSHKey) -> None:
    room.clients.add_key(ACME, public_half(strange_key))
    raw = await room.raw(await room.connect(client_keys=[strange_key]))
    revoke(room)
    assert await room.server.recheck() == 0
    assert (await raw.write(await raw.create(GOLD), 0, b"x"))[0] == FX_OK


# Nothing but SFTP.


@pytest.mark.parametrize(
    ("options", "command"),
    [((), ()), ((), ("id",)), (("-tt",), ()), (("-tt",), ("id",))],
    ids=["shell", "exec", "terminal", "exec in a terminal"],
)
async def test_there_is_no_shell_no_command_and_no_terminal_but_a_word_on_what_there_is(
    room: Room, stock: StockSftp, options: tuple[str, ...], command: tuple[str, ...]
) -> None:
    done = await stock.ssh(*command, options=options)
    assert done.code == 1
    assert done.out == ""
    assert "This server speaks SFTP only: sftp -P PORT acme@HOST" in done.err
    assert len(room.logins.all) == 1


async def test_there_is_no_other_subsystem(stock: StockSftp) -> None:
    done = await stock.ssh("shell", options=("-s",))
    assert done.code != 0
    assert done.out == ""
    assert "subsystem request failed" in done.err


async def test_a_command_that_is_not_run_gives_its_channel_back(room: Room) -> None:
    connection = await room.connect()
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(room.server.settings.max_channels + 1):
            done = await connection.run("cat", check=False)
            assert (done.exit_status, done.stdout) == (1, "")
    assert await (await room.raw(connection)).create(GOLD)


async def test_there_is_no_scp(room: Room, tmp_path: Path) -> None:
    source = tmp_path / GOLD
    source.write_bytes(b"CTUserID\n1\n")
    with pytest.raises((asyncssh.SFTPError, asyncssh.ChannelOpenError, OSError)):
        await asyncssh.scp(source, (await room.connect(), "."))
    assert room.landed.all == []


async def test_there_is_no_forwarding(room: Room) -> None:
    connection = await room.connect()
    with socket.create_server(("127.0.0.1", 0)) as target:
        port = target.getsockname()[1]
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", port)
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_unix_connection("/tmp/x")
    with pytest.raises(asyncssh.ChannelListenError):
        await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)
    with pytest.raises(asyncssh.ChannelListenError):
        await connection.forward_remote_path("/tmp/x", "/tmp/y")
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_tun()


# The listener.


async def test_only_the_algorithms_of_the_house_are_offered(room: Room, stock: StockSftp) -> None:
    connection = await room.connect()
    assert connection.get_extra_info("send_cipher").startswith("aes")
    assert connection.get_extra_info("recv_compression") == "none"
    for option in ("Ciphers=chacha20-poly1305@openssh.com", "KexAlgorithms=diffie-hellman-group14-sha1"):
        done = await stock.ssh(options=("-o", option, "-o", "LogLevel=INFO"))
        assert "no matching" in done.err


async def test_a_port_in_use_is_a_setting_to_change(room: Room) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await room.second().start(port=room.server.port)
    (error,) = caught.value.exceptions
    assert isinstance(error, SettingsError)
    assert str(error) == (
        f"Port {room.server.port} on 127.0.0.1 is already in use: "
        "stop what uses it, or set CTSFTP_SFTP__PORT to another one, and start the server again."
    )


@pytest.mark.parametrize("name", [ACME, "nobody", "no.name"])
async def test_the_first_answer_takes_as_long_for_a_client_as_for_a_stranger(room: Room, name: str) -> None:
    """By its time a stranger could tell which names are clients, and how many keys they have."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    clock = iter((100.0, 100.013))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ctsftp.sftp.server.asyncio.sleep", sleep)
        patched.setattr(room.server, "clock_s", lambda: next(clock))
        with suppress(NotFoundError):
            await room.server.read_client_on_a_tick(name)
    assert waits == [pytest.approx(0.007)]


def test_the_keys_of_a_client_are_parsed_once_as_long_as_the_file_says_the_same(room: Room) -> None:
    room.clients.get(ACME)
    before = folder._parse_keys.cache_info()
    room.clients.get(ACME)
    after = folder._parse_keys.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


async def test_an_address_that_is_not_this_machine_s_is_a_setting_to_change(room: Room) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await room.second().start(host="192.0.2.1")
    (error,) = caught.value.exceptions
    assert isinstance(error, SettingsError)
    assert "192.0.2.1 is not an address of this machine: set CTSFTP_SFTP__HOST to one that is" in str(error)
