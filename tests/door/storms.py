"""Storms against a real `serve`, and what a good sender and a health check feel of them: for tests and the benchmark.

A storm rages in a process of its own, until it is ended.
"""

import asyncio
import itertools
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import asyncssh

from ..e2e.conftest import Box, start_process
from .client_storm import FILE, WORK
from .floods import CLIENTS

STRANGERS = ("small ignored packets", "key exchanges", "lists of algorithms", "nothing")
EVIL = "evil"
IN_AN_EXCHANGE = "reads during a key exchange"
EVIL_KINDS = (*CLIENTS, "new keys", IN_AN_EXCHANGE, *WORK)
ALLOWED = {IN_AN_EXCHANGE, *WORK}  # what earns no penalty
LARGE_HOME = 17_800

LONGEST_S = 300.0  # of a storm that nobody ends
AT_LEAST = 2  # puts and looks at the health while a storm rages, however long they take
PAUSE_S = 0.05

_numbers = itertools.count(1)


def stood_in_line_s(pid: int | str) -> float:
    """How long a process's first thread has waited for a core so far (Linux: Documentation/scheduler/sched-stats)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def serve(box: Box) -> int:
    """Start a server with a good client and an evil one; give the port of its HTTP."""
    box.env["CTSFTP_HTTP__ENABLED"] = "true"
    box.launch = start_process
    box.add_client("acme")
    box.add_client(EVIL)
    home = box.folder / "data" / "clients" / EVIL / "home"
    home.mkdir(parents=True)
    (home / FILE).write_bytes(bytes(1 << 20))
    return int(box.start().wait_for("serving http")["port"])


def fill_the_home(box: Box) -> None:
    """Give the evil client a home that is large to list."""
    home = box.folder / "data" / "clients" / EVIL / "home"
    for number in range(LARGE_HOME):
        (home / f"{number}.bin").touch()


class Feeling:
    """What a good sender and a health check feel: how long each took, and how large the server grew.

    The time that the server, or this process, stood in line for a core of the machine is taken off: storms and other
    programs share it.
    """

    def __init__(self, box: Box, http_port: int) -> None:
        self._box = box
        self._http_port = http_port
        self.put_s: list[float] = []
        self.health_s: list[float] = []
        self.memory_mib = 0

    async def feel(self, seconds: float, *, patience_s: float) -> None:
        """Put and ask again and again for so long, and until each came through; TimeoutError where one takes longer."""

        async def again_and_again(what: Callable[[], Awaitable[None]]) -> None:
            end_s = time.monotonic() + seconds
            for number in itertools.count():
                if number >= AT_LEAST and time.monotonic() >= end_s:
                    return
                async with asyncio.timeout(patience_s):
                    await what()
                self.memory_mib = max(self.memory_mib, self.memory_now_mib())
                await asyncio.sleep(PAUSE_S)

        await asyncio.gather(again_and_again(self.put_as_a_job_does), again_and_again(self.ask_health))

    async def put_as_a_job_does(self) -> None:
        """Put; where too many come at once, one that has not signed in has to go, and comes again."""
        for _ in range(5):
            with suppress(asyncssh.DisconnectError, ConnectionError):
                await self.put()
                return
        raise AssertionError("refused five times")

    async def put(self, port: int | None = None, data: bytes = b"CTUserID\n1\n") -> None:
        assert self._box.serve is not None
        began = self._clocks_s()
        async with (
            await asyncssh.connect(
                "127.0.0.1",
                port or self._box.serve.port,
                username="acme",
                client_keys=[str(self._box.folder / "acme_key")],
                known_hosts=None,
                config=None,
                agent_path=None,
            ) as peer,
            peer.start_sftp_client() as sftp,
            sftp.open(f"VIP_20261101_{next(_numbers):04}.csv", "wb") as file,
        ):
            await file.write(data)
        self.put_s.append(self._took_s(began))

    async def ask_health(self) -> None:
        began = self._clocks_s()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http_port)
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert b" 200 " in await reader.readline()
        finally:
            writer.transport.abort()
        self.health_s.append(self._took_s(began))

    def memory_now_mib(self) -> int:
        assert self._box.serve is not None
        status = Path(f"/proc/{self._box.serve.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) >> 10

    def _clocks_s(self) -> tuple[float, float, float]:
        assert self._box.serve is not None
        return time.monotonic(), stood_in_line_s("self"), stood_in_line_s(self._box.serve.process.pid)

    def _took_s(self, began: tuple[float, float, float]) -> float:
        took_s, stood_s, server_stood_s = (now - then for now, then in zip(self._clocks_s(), began, strict=True))
        return took_s - max(stood_s, server_stood_s)


@asynccontextmanager
async def raging(module: str, *args: object) -> AsyncIterator[None]:
    """Let a storm rage, which takes no more than one core, from here on until the end of the block."""
    storm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.door.{module}", *map(str, args), str(LONGEST_S)),
        cwd=Path(__file__).parents[2],
        stdout=PIPE,
    )
    assert storm.stdout is not None
    try:
        assert await storm.stdout.readline() == b"raging\n"
        yield
    finally:
        with suppress(ProcessLookupError):
            storm.kill()
        await storm.wait()


def strangers(box: Box, kind: str, number: int, count: int) -> AbstractAsyncContextManager[None]:
    """A storm of strangers, each with an address of its own in 127.NUMBER.0.0/16."""
    assert box.serve is not None
    return raging("storm", box.serve.port, kind, number, count)


def evil(box: Box, kind: str, number: int) -> AbstractAsyncContextManager[None]:
    """A storm of the evil client at 127.NUMBER.0.1."""
    assert box.serve is not None
    return raging("client_storm", box.serve.port, box.folder / f"{EVIL}_key", kind, number)


def penalised(box: Box) -> dict[str, str]:
    """The addresses that are refused, and for what."""
    return {one["source"]: one["last"] for one in box.json("penalty", "list") if one["refused"]}
