"""The listening sockets: newcomers wait while the process has no descriptors, and the admin is told."""

import asyncio
import errno
import os
import socket

import pytest
from structlog.testing import capture_logs

from ctsftp.sftp import listener
from ctsftp.sftp.listener import ACCEPTED_A_TURN, Listener

from .room import PATIENCE_S


class Newcomers:
    def __init__(self) -> None:
        self.all: list[socket.socket] = []
        self.came = asyncio.Event()

    def __call__(self, peer: socket.socket, address: str) -> None:
        assert address == "127.0.0.1"
        self.all.append(peer)
        self.came.set()

    async def are(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.all) < count:
                self.came.clear()
                await self.came.wait()

    def close(self) -> None:
        for peer in self.all:
            peer.close()


async def test_many_are_accepted_a_few_a_turn() -> None:
    newcomers = Newcomers()
    listening = await Listener.open("127.0.0.1", 0, newcomers)
    waiting = [socket.create_connection(("127.0.0.1", listening.port)) for _ in range(3 * ACCEPTED_A_TURN)]
    listening._accept(listening._sockets[0])
    assert len(newcomers.all) == ACCEPTED_A_TURN
    await newcomers.are(len(waiting))
    listening.close()
    listening.close()
    newcomers.close()
    for one in waiting:
        one.close()


async def test_all_addresses_of_a_host_have_one_port() -> None:
    listening = await Listener.open("localhost", 0, Newcomers())
    assert {sock.getsockname()[1] for sock in listening._sockets} == {listening.port}
    listening.close()


async def test_an_address_that_cannot_be_had_leaves_no_socket_open() -> None:
    first = await Listener.open("127.0.0.1", 0, Newcomers())
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names alone
    with pytest.raises(OSError, match="in use"):
        await Listener.open("127.0.0.1", first.port, Newcomers())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    first.close()


class NoDescriptors(socket.socket):
    failing = True

    def accept(self) -> tuple[socket.socket, object]:
        if self.failing:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


async def test_where_no_descriptor_is_left_newcomers_wait_and_the_admin_is_told_in_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "PAUSE_S", 0.01)
    newcomers = Newcomers()
    sock = NoDescriptors()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)  # noqa: FBT003  the socket's
    with capture_logs() as logs:
        listening = Listener([sock], newcomers)
        waiting = socket.create_connection(("127.0.0.1", listening.port))
        async with asyncio.timeout(PATIENCE_S):
            while listening._failures < 2:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.01)
        NoDescriptors.failing = False
        await newcomers.are(1)
        listening.close()
    assert [entry["event"] for entry in logs] == ["no connection can be accepted", "no connection could be accepted"]
    assert "LimitNOFILE" in logs[0]["hint"]
    assert logs[1]["times"] >= 2
    waiting.close()
    newcomers.close()
