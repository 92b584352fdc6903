"""Measures the door on a real `ctsftp serve`.

`python -m tests.door.bench` prints what a put takes while 1,000 connections flood the server, what an idle signed-in
session costs in memory, what a put takes while so many are held, and what it takes while others exchange keys over a
finite field all the time.

`python -m tests.door.bench storms [KIND]` prints what a put, a health check and the server's memory come to at worst in
each storm, until when its address is refused, and how much memory stays; what misses its bar has an exclamation mark.
It ends with 1 if anything does.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
import warnings
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncssh

from ..e2e.conftest import Box, start_process
from .bursts import EXCESSES
from .storms import (
    ALLOWED,
    EVIL_KINDS,
    STRANGERS,
    Feeling,
    evil,
    fill_the_home,
    penalised,
    serve,
    strangers,
)

FLOOD = 1000
SESSIONS = 1000
AT_ONCE = 20
EXCHANGING = 15  # fewer than of whom one would have to go
LIMITS = {
    "CTSFTP_SFTP__MAX_CONNECTIONS": "5000",
    "CTSFTP_SFTP__MAX_CONNECTIONS_PER_CLIENT": "5000",
}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def memory_kib(box: Box) -> int:
    assert box.serve is not None
    status = Path(f"/proc/{box.serve.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


async def put_s(box: Box) -> float:
    began_s = time.monotonic()
    await asyncio.to_thread(box.put, "acme", f"VIP_20261123_{time.monotonic_ns() % 10_000:04}.csv", "CTUserID\n1\n")
    return time.monotonic() - began_s


async def flood(box: Box, addresses: list[str], *, going_on: bool) -> None:
    """Time a put among so many connections that say nothing; if `going_on`, new ones come meanwhile."""
    assert box.serve is not None
    port = box.serve.port
    open_ = [
        await asyncio.open_connection("127.0.0.1", port, local_addr=(addresses[number % len(addresses)], 0))
        for number in range(FLOOD)
    ]

    async def more() -> None:
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(addresses[0], 0))
            writer.write(b"SSH-2.0-flood\r\n")
            writer.transport.abort()

    tasks = [asyncio.create_task(more()) for _ in range(8 * going_on)]
    came_from = "one address" if len(addresses) == 1 else f"{len(addresses)} addresses"
    others = ", and more that come and go" if going_on else ""
    say(f"put among {FLOOD:,} silent connections from {came_from}{others}: {await put_s(box):.2f} s")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in open_:
        writer.transport.abort()


async def hold(box: Box, count: int) -> None:
    assert box.serve is not None
    before, began_s = memory_kib(box), time.monotonic()
    held: list[asyncssh.SSHClientConnection] = []
    turns = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with turns:
            assert box.serve is not None
            connection = await asyncssh.connect(
                "127.0.0.1",
                box.serve.port,
                username="acme",
                client_keys=[str(box.folder / "acme_key")],
                known_hosts=None,
                config=None,
                agent_path=None,
            )
            sftp = await connection.start_sftp_client()
            await sftp.stat("/")
            held.append(connection)

    await asyncio.gather(*(one() for _ in range(count)))
    took_s = time.monotonic() - began_s
    after = memory_kib(box)
    each = (after - before) / count
    say(f"{count} sessions signed in in {took_s:.1f} s; {before} KiB -> {after} KiB: {each:.0f} KiB each")
    say(f"put while they are held: {await put_s(box):.2f} s")
    assert all(not connection.is_closed() for connection in held)
    for connection in held:
        connection.abort()


warnings.filterwarnings("ignore", message="Diffie-Hellman over finite fields")


async def exchange(box: Box, kex: str) -> None:
    """Time puts while more clients than get a turn exchange keys by a slow method."""
    counts = [0] * EXCHANGING

    async def again_and_again(number: int) -> None:
        assert box.serve is not None
        while True:
            connection = await asyncssh.connect(
                "127.0.0.1",
                box.serve.port,
                username="acme",
                client_keys=[str(box.folder / "acme_key")],
                known_hosts=None,
                config=None,
                agent_path=None,
                kex_algs=[kex],
            )
            connection.abort()
            counts[number] += 1

    began_s = time.monotonic()
    tasks = [asyncio.create_task(again_and_again(number)) for number in range(EXCHANGING)]
    await asyncio.sleep(1)
    took = [await put_s(box) for _ in range(5)]
    rate = sum(counts) / (time.monotonic() - began_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    say(f"put during {rate:.0f} exchanges a second by {kex}: {sorted(took)[2]:.2f} s, at most {max(took):.2f} s")


# The bars.
PUT_S, HEALTH_S, MEMORY_MIB, REFUSED_WITHIN_S, KEPT_MIB = 1.0, 0.3, 300, 10.0, 20
STORM_S, HELD_S, PATIENCE_S = 5.0, 30.0, 120.0
CROWD = 200  # in which each stranger has too few turns to earn much


class Missed:
    """Writes figures beside their bars, and counts those that miss them."""

    def __init__(self) -> None:
        self.count = 0

    def figure(self, value: float, bar: float, unit: str) -> str:
        self.count += value > bar
        return f"{value:.2f} {unit}{' !' * (value > bar)}"


async def measure_storms(chosen: str | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder))
        http_port = serve(box)
        numbers, missed = itertools.count(10), Missed()
        await Feeling(box, http_port).feel(0, patience_s=PATIENCE_S)  # the first of each is slower
        say("| storm | put | health | memory | kept after it | refused after |\n|---|---|---|---|---|---|")
        try:
            for count, kind in itertools.product((1, 10, CROWD), STRANGERS):
                if chosen in {None, kind}:
                    number = next(numbers)
                    name, earns = f"{count} strangers, {kind}", kind in EXCESSES and count < CROWD
                    storm = strangers(box, kind, number, count)
                    await measure_storm(
                        box,
                        Feeling(box, http_port),
                        storm,
                        name=name,
                        number=number if earns else None,
                        missed=missed,
                    )
            for kind in EVIL_KINDS:
                if chosen in {None, kind}:
                    number = next(numbers)
                    if kind == "listings":
                        fill_the_home(box)
                    storm = evil(box, kind, number)
                    earner = None if kind in ALLOWED else number
                    await measure_storm(
                        box,
                        Feeling(box, http_port),
                        storm,
                        name=f"a client, {kind}",
                        number=earner,
                        missed=missed,
                    )
        finally:
            assert box.serve is not None
            box.serve.stop()
    return missed.count


async def measure_storm(
    box: Box,
    feeling: Feeling,
    storm: AbstractAsyncContextManager[None],
    *,
    name: str,
    number: int | None,
    missed: Missed,
) -> None:
    """Print the line of one storm, whose address 127.NUMBER.0.1 is to be refused; None: it is not."""
    before_mib, refused = feeling.memory_now_mib(), ""
    async with storm:
        began_s = time.monotonic()
        if number is None:
            await feeling.feel(STORM_S, patience_s=PATIENCE_S)
        else:
            feels = asyncio.create_task(feeling.feel(STORM_S, patience_s=PATIENCE_S))
            while f"127.{number}.0.1" not in await asyncio.to_thread(penalised, box):
                assert time.monotonic() < began_s + PATIENCE_S
            refused = missed.figure(time.monotonic() - began_s, REFUSED_WITHIN_S, "s")
            await feels
    until_s = time.monotonic() + HELD_S
    while feeling.memory_now_mib() > before_mib + KEPT_MIB and time.monotonic() < until_s:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    columns = (
        name,
        missed.figure(max(feeling.put_s), PUT_S, "s"),
        missed.figure(max(feeling.health_s), HEALTH_S, "s"),
        missed.figure(feeling.memory_mib, MEMORY_MIB, "MiB"),
        missed.figure(feeling.memory_now_mib() - before_mib, KEPT_MIB, "MiB"),
        refused,
    )
    say(f"| {' | '.join(columns)} |")


async def measure_sessions(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder))
        box.env |= LIMITS
        box.add_client("acme")
        box.launch = start_process
        box.start()
        try:
            say(f"put on an idle server: {await put_s(box):.2f} s")
            await hold(box, count)  # first: floods leave a heap that is warm
            many = [f"127.0.1.{number}" for number in range(1, 201)]
            for addresses in (["127.0.0.2"], many):
                for going_on in (False, True):
                    await flood(box, addresses, going_on=going_on)
            for kex in ("curve25519-sha256", "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512"):
                await exchange(box, kex)
            await flood(box, ["127.0.0.1"], going_on=False)  # the good sender's own address, which is trusted
        finally:
            assert box.serve is not None
            box.serve.stop()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.door.bench")
    arguments.add_argument("what", nargs="?", choices=("sessions", "storms"), default="sessions")
    arguments.add_argument("kind", nargs="?", help="of storm; else all")
    arguments.add_argument("--sessions", type=int, default=SESSIONS)
    asked = arguments.parse_args()
    if asked.what == "storms":
        sys.exit(1 if asyncio.run(measure_storms(asked.kind)) else 0)
    asyncio.run(measure_sessions(asked.sessions))
