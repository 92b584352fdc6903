"""Where the server listens: on all of IPv4 and IPv6, unless an address is set."""

import asyncio
import socket

import pytest

from ctsftp.errors import SettingsError

from .room import Room

V4, V6 = ("127.0.0.1", "::1")


async def is_served(address: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return False
    said = await reader.readline()
    writer.close()
    return said.startswith(b"SSH-2.0-")


async def served(room: Room) -> list[str]:
    return [address for address in (V4, V6) if await is_served(address, room.server.port)]


def taken(address: str, *, port: int = 0) -> socket.socket:
    """A socket of another program that listens."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    sock.listen()
    return sock


async def test_without_a_host_both_families_are_served_on_one_port(room: Room) -> None:
    await room.restart(host="")
    assert await served(room) == [V4, V6]
    assert room.server.hosts == ["0.0.0.0", "::"]  # noqa: S104


async def test_each_family_keeps_its_own_addresses(room: Room) -> None:
    await room.restart(host="")
    for address in (V4, V6):
        async with await room.connect(host=address):
            pass
    assert [login.address for login in room.logins.all] == [V4, V6]


@pytest.mark.parametrize(("host", "families"), [(V4, [V4]), ("0.0.0.0", [V4]), (V6, [V6]), ("::", [V6])])  # noqa: S104
async def test_a_host_that_is_set_is_taken_as_it_is(room: Room, host: str, families: list[str]) -> None:
    await room.restart(host=host)
    assert await served(room) == families


async def test_where_ipv6_cannot_be_had_one_line_says_so_and_ipv4_is_served(room: Room) -> None:
    with taken("::") as other:
        await room.restart(host="", port=other.getsockname()[1])
        assert await is_served(V4, room.server.port)
    [told] = [entry for entry in room.logs if entry["log_level"] == "warning"]
    assert (told["event"], told["host"], told["error"]) == ("not listening on IPv6", "::", "Address already in use")
    assert room.server.hosts == ["0.0.0.0"]  # noqa: S104


async def test_a_machine_that_knows_no_ipv6_serves_ipv4(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = -1, *args: int, **options: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *args, **options)

    await room.stop()
    monkeypatch.setattr("ctsftp.sftp.server.socket.socket", without_ipv6)
    await room.start(host="")
    monkeypatch.undo()
    assert await served(room) == [V4]
    assert [entry["event"] for entry in room.logs if entry["log_level"] == "warning"] == ["not listening on IPv6"]


async def test_where_ipv4_cannot_be_had_the_server_does_not_start(room: Room) -> None:
    other = room.second()
    with taken("0.0.0.0") as sock, pytest.raises(ExceptionGroup) as caught:  # noqa: S104
        await other.start(host="", port=sock.getsockname()[1])
    assert caught.group_contains(SettingsError, match="on 0.0.0.0 is already in use")


async def test_a_stop_ends_both_and_limits_change_for_both(room: Room) -> None:
    await room.restart(host="")
    port = room.server.port
    await room.server.stop()
    assert [await is_served(address, port) for address in (V4, V6)] == [False, False]
