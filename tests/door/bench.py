"""Measures the door on a real `ctsftp serve`: `python -m tests.door.bench [SESSIONS]`.

It prints what a put takes while 1,000 connections flood the server, what an idle signed-in session costs in memory,
what a put takes while so many are held, and what it takes while others exchange keys over a finite field all the time.
"""

import asyncio
import sys
import tempfile
import time
import warnings
from pathlib import Path

import asyncssh

from ..e2e.conftest import Box, start_process

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
    say(f"put among a flood from {len(addresses)} address(es), going on: {going_on}: {await put_s(box):.2f} s")
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


async def main(count: int) -> None:
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
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else SESSIONS))
