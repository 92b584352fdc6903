"""Storms of strangers against a real `serve`: good senders and the health check feel little of them."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from ..e2e.conftest import Box, start_process
from .attacker import slow_line
from .bursts import EXCESSES

SECONDS = 2
KINDS = ("small ignored packets", "key exchanges", "lists of algorithms", "nothing")
# The bars, and how often they may be exceeded where 200 strangers and the server share a machine with others. Before
# the work was bounded, one stranger took 20 times as much of either.
PUT_S, HEALTH_S, MEMORY_MIB = 1.0, 0.3, 300
PATIENCE = 8


class Feeling:
    """What a good sender and a health check feel meanwhile."""

    def __init__(self, box: Box, http_port: int) -> None:
        self._box = box
        self._http_port = http_port
        self._count = 0
        self.put_s: list[float] = []
        self.health_s: list[float] = []
        self.memory_mib = 0

    async def put_again_if_it_must(self) -> None:
        """Put as a job does: where too many come at once, one that has not signed in has to go, and comes again."""
        for _ in range(5):
            with suppress(asyncssh.DisconnectError, ConnectionError):
                await self.put()
                return
        raise AssertionError("refused five times")

    async def put(self, port: int | None = None, data: bytes = b"CTUserID\n1\n") -> None:
        assert self._box.serve is not None
        began_s = time.monotonic()
        self._count += 1
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
            sftp.open(f"VIP_20261101_{self._count:04}.csv", "wb") as file,
        ):
            await file.write(data)
        self.put_s.append(time.monotonic() - began_s)

    async def ask_health(self) -> None:
        began_s = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http_port)
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert b" 200 " in await reader.readline()
        finally:
            writer.transport.abort()
        self.health_s.append(time.monotonic() - began_s)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        async def again_and_again(what: Callable[[], object]) -> None:
            while True:
                await what()  # type: ignore[misc]
                self._look()
                await asyncio.sleep(0.05)

        watching = [asyncio.create_task(again_and_again(what)) for what in (self.put_again_if_it_must, self.ask_health)]
        yield
        for one in watching:
            one.cancel()
        for result in await asyncio.gather(*watching, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result

    def _look(self) -> None:
        assert self._box.serve is not None
        status = Path(f"/proc/{self._box.serve.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        self.memory_mib = max(self.memory_mib, int(line.split()[1]) >> 10)


@pytest.fixture
def serving(box: Box) -> Box:
    box.env["CTSFTP_HTTP__ENABLED"] = "true"
    box.launch = start_process
    box.add_client("acme")
    box.start()
    return box


@pytest.fixture
def feeling(serving: Box) -> Feeling:
    assert serving.serve is not None
    return Feeling(serving, serving.serve.wait_for("serving http")["port"])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [1, 10, 200])
async def test_a_storm_of_strangers_is_hardly_felt(
    serving: Box, feeling: Feeling, record_property: Callable[[str, object], None], count: int
) -> None:
    assert serving.serve is not None
    await feeling.put()
    await feeling.ask_health()
    feeling.put_s.clear()  # the first of each is slower
    feeling.health_s.clear()
    for number, kind in enumerate(KINDS, start=10):
        async with feeling.watched():
            storm = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.door.storm", str(serving.serve.port), kind, str(number)),
                *(str(count), str(SECONDS)),
                cwd=Path(__file__).parents[2],
            )
            await storm.wait()
        penalised = {one["source"] for one in serving.json("penalty", "list") if one["refused"]}
        if kind in EXCESSES and count < 200:
            assert f"127.{number}.0.1" in penalised, kind
        record_property(kind, f"put {max(feeling.put_s):.2f} s, health {max(feeling.health_s):.3f} s")
    assert max(feeling.put_s) < PATIENCE * PUT_S
    assert max(feeling.health_s) < PATIENCE * HEALTH_S
    assert feeling.memory_mib < MEMORY_MIB
    record_property("memory_mib", feeling.memory_mib)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_big_honest_pushes_at_once_and_the_slowest_line_earn_nothing(serving: Box, feeling: Feeling) -> None:
    assert serving.serve is not None
    data = b"CTUserID\n" + b"".join(b"%09d\n" % number for number in range(2_000_000))
    async with slow_line(serving.serve.port, bytes_per_s=1000, delay_s=0.3) as port:
        slow = asyncio.create_task(feeling.put(port))
        await asyncio.gather(*(feeling.put(data=data) for _ in range(10)))
        await slow
    assert serving.json("penalty", "list") == []
