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
from .client_storm import FILE as STORM_FILE
from .client_storm import WORK
from .floods import CLIENTS

SECONDS = 2
CLIENT_SECONDS = 4
KINDS = ("small ignored packets", "key exchanges", "lists of algorithms", "nothing")
# The bars hold for what is the server's: the time that the server, and this process, stood in line for a core of the
# machine is taken off, since the storm and other tests share it.
PUT_S, HEALTH_S, MEMORY_MIB = 1.0, 0.3, 300
LARGE_HOME = 17_800
GIVEN_BACK_WITHIN_MIB = 20
SHORT = ("channels to other hosts", "reads", "listings")
CLIENT_KINDS = [
    pytest.param(kind, marks=pytest.mark.alone if kind in SHORT else pytest.mark.soak)
    for kind in (*CLIENTS, "new keys", *WORK)
]


def stood_in_line_s(pid: int | str) -> float:
    """How long a process's first thread has waited for a core so far (Linux: Documentation/scheduler/sched-stats)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


class Feeling:
    """What a good sender and a health check feel meanwhile."""

    def __init__(self, box: Box, http_port: int) -> None:
        self._box = box
        self._http_port = http_port
        self._count = 0
        self.put_s: list[float] = []
        self.health_s: list[float] = []
        self.memory_mib = 0

    def _now_s(self) -> float:
        """The time, without what this process and the server waited for a core."""
        assert self._box.serve is not None
        return time.monotonic() - stood_in_line_s("self") - stood_in_line_s(self._box.serve.process.pid)

    def told(self) -> str:
        """What was felt at worst."""
        return f"put {max(self.put_s):.2f} s, health {max(self.health_s):.3f} s, {self.memory_mib} MiB"

    def was_little(self) -> None:
        """Hold the bars."""
        assert max(self.put_s) < PUT_S
        assert max(self.health_s) < HEALTH_S
        assert self.memory_mib < MEMORY_MIB

    async def put_again_if_it_must(self) -> None:
        """Put as a job does: where too many come at once, one that has not signed in has to go, and comes again."""
        for _ in range(5):
            with suppress(asyncssh.DisconnectError, ConnectionError):
                await self.put()
                return
        raise AssertionError("refused five times")

    async def put(self, port: int | None = None, data: bytes = b"CTUserID\n1\n") -> None:
        assert self._box.serve is not None
        began_s = self._now_s()
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
        self.put_s.append(self._now_s() - began_s)

    async def ask_health(self) -> None:
        began_s = self._now_s()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http_port)
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert b" 200 " in await reader.readline()
        finally:
            writer.transport.abort()
        self.health_s.append(self._now_s() - began_s)

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
        self.memory_mib = max(self.memory_mib, self.memory_now_mib())

    def memory_now_mib(self) -> int:
        assert self._box.serve is not None
        status = Path(f"/proc/{self._box.serve.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) >> 10


async def rages(module: str, *args: object) -> None:
    """Let a storm rage in a process of its own, which takes no more than one core."""
    storm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.door.{module}", *map(str, args)),
        cwd=Path(__file__).parents[2],
    )
    await storm.wait()


def penalised(box: Box) -> set[str]:
    """The addresses that are refused."""
    return {one["source"] for one in box.json("penalty", "list") if one["refused"]}


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


@pytest.mark.alone
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
            await rages("storm", serving.serve.port, kind, number, count, SECONDS)
        if kind in EXCESSES and count < 200:
            assert f"127.{number}.0.1" in penalised(serving), kind
        record_property(kind, feeling.told())
    feeling.was_little()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", CLIENT_KINDS)
async def test_a_storm_of_one_client_is_hardly_felt(
    serving: Box, feeling: Feeling, record_property: Callable[[str, object], None], kind: str
) -> None:
    assert serving.serve is not None
    serving.add_client("evil")
    home = serving.folder / "data" / "clients" / "evil" / "home"
    home.mkdir(parents=True, exist_ok=True)
    (home / STORM_FILE).write_bytes(bytes(1 << 20))
    if kind == "listings":
        for number in range(LARGE_HOME):
            (home / f"{number}.bin").touch()
    await feeling.put()
    await feeling.ask_health()
    feeling.put_s.clear()
    feeling.health_s.clear()
    async with feeling.watched():
        await rages("client_storm", serving.serve.port, serving.folder / "evil_key", kind, 30, CLIENT_SECONDS)
    assert ("127.30.0.1" in penalised(serving)) is (kind not in WORK)
    record_property(kind, feeling.told())
    feeling.was_little()


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_big_honest_pushes_at_once_and_the_slowest_line_earn_nothing(serving: Box, feeling: Feeling) -> None:
    assert serving.serve is not None
    data = b"CTUserID\n" + b"".join(b"%09d\n" % number for number in range(2_000_000))
    async with slow_line(serving.serve.port, bytes_per_s=1000, delay_s=0.3) as port:
        slow = asyncio.create_task(feeling.put(port))
        await asyncio.gather(*(feeling.put(data=data) for _ in range(10)))
        await slow
    assert serving.json("penalty", "list") == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("reads during a key exchange", marks=pytest.mark.soak),
        pytest.param("reads that nobody takes", marks=pytest.mark.soak),
    ],
)
async def test_what_an_attack_took_is_given_back_when_it_is_over(serving: Box, feeling: Feeling, kind: str) -> None:
    """Six such attacks took a gigabyte, which stayed."""
    assert serving.serve is not None
    serving.add_client("evil")
    (home := serving.folder / "data" / "clients" / "evil" / "home").mkdir(parents=True)
    (home / STORM_FILE).write_bytes(bytes(1 << 20))
    await feeling.put()
    before_mib = feeling.memory_now_mib()
    for number in range(40, 43):
        await rages("client_storm", serving.serve.port, serving.folder / "evil_key", kind, number, CLIENT_SECONDS)
        await feeling.put()
    async with asyncio.timeout(30):
        while feeling.memory_now_mib() > before_mib + GIVEN_BACK_WITHIN_MIB:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.1)
