"""How fast the API answers, beside a bare FastAPI route that returns a constant, in the same run on the same machine.

Run it by itself: `python -m tests.bench.api`; `--small` for a look that takes seconds. `--databases` asks the same of
two of our servers instead, over SQLite and over PostgreSQL. Requests to the two servers take turns over kept
connections, by a client that costs nearly nothing: what is compared is the servers.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import uvicorn
from fastapi import FastAPI

from ctsftp.app.clock import utc_now
from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.contract.verdict import Verdict
from ctsftp.store import NewUpload, Store
from tests.e2e.conftest import Box
from tests.postgres import Postgres

CLIENT = "acme"
BATCH_IDS = 10_000
WARM_UP = 50
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """How many segments of how many members, and how often each question is asked."""

    small_segments: int
    small_members: int
    middle_segments: int
    middle_members: int
    large_members: int
    questions: int

    @property
    def of_each(self) -> list[int]:
        middle = [self.middle_members] * self.middle_segments
        return [self.large_members, *middle, *[self.small_members] * self.small_segments]


FULL = Sizes(190, 100_000, 9, 1_000_000, 10_000_000, 1_000)
SMALL = Sizes(18, 1_000, 1, 10_000, 100_000, 200)


class Talk:
    """A kept connection; asks, and reads the whole answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _receive(self) -> bytes:
        data = self._socket.recv(READ_BYTES)
        assert data, "the server closed the connection"
        return data

    def ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), data[:500]
        lower = head.lower()
        if b"content-length:" in lower:
            length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += self._receive()
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._receive()
        return body

    def drain(self, request: bytes) -> tuple[int, bytes]:
        """Read a long answer without keeping it; how many bytes came, and the last of them."""
        self._socket.sendall(request)
        total, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = self._receive()
            total += len(data)
            tail = (tail + data)[-5:]
        return total, tail


def get(path: str, secret: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()


def post(path: str, secret: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def measure(ours: Talk, bare: Talk, questions: list[bytes]) -> dict[str, float]:
    """Ask both in turns; medians and 99th percentiles in milliseconds."""
    return take_turns({"bare": (bare, [get("/")] * len(questions)), "ours": (ours, questions)})


def take_turns(asked: dict[str, tuple[Talk, list[bytes]]]) -> dict[str, float]:
    """Ask each its own questions, in turns; medians and 99th percentiles in milliseconds."""
    for talk, questions in asked.values():
        for question in questions[:WARM_UP]:
            talk.ask(question)
    times: dict[str, list[float]] = {name: [] for name in asked}
    for turn in zip(*(questions for _, questions in asked.values()), strict=True):
        for (name, (talk, _)), request in zip(asked.items(), turn, strict=True):
            begun = time.perf_counter()
            talk.ask(request)
            times[name].append((time.perf_counter() - begun) * 1000)
    return {
        f"{name}_{what}_ms": round(value, 3)
        for name, values in times.items()
        for what, value in (("median", statistics.median(values)), ("p99", statistics.quantiles(values, n=100)[98]))
    }


async def fill(folder: Path, sizes: Sizes, url: str | None = None) -> list[str]:
    """Make the segments, of which each holds about every third id of its range."""
    (folder / "data").mkdir(mode=0o750)
    url = url or f"sqlite+aiosqlite:///{folder / 'data' / 'ctsftp.db'}"
    store = await Store.open(url, clock=utc_now, migrate=True)
    generator = np.random.default_rng(6)
    titles = []
    for number, members in enumerate(sizes.of_each):
        titles.append(f"Segment {number}")
        ids = np.cumsum(generator.integers(1, 6, members, dtype=np.int64))
        await _load(store, titles[-1], number, ids)
    await store.close()
    return titles


async def _load(store: Store, title: str, number: int, ids: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    upload_id = f"019c0000-0000-7000-8000-{number:012x}"
    await store.ledger.receive(
        NewUpload(
            id=upload_id,
            client=CLIENT,
            filename=f"{title}_20260310_0900.csv",
            segment_title=title,
            segment_key=segment_key(title),
            stamp="20260310_0900",
            size=1,
            received_at=utc_now(),
        )
    )
    await store.ledger.move(upload_id, State.LOADING)
    snapshot_id = await store.snapshots.write(upload_id, ids)

    def accept(*_: object) -> Verdict:
        return Verdict(State.LOADED)

    await store.snapshots.publish(
        upload_id, snapshot_id, judge=accept, rows=len(ids), members=len(ids), duplicates=0, rejected=0, sha256="aa"
    )


def serve_bare() -> None:
    """Serve one route that returns a constant, by the same server with the same settings as ours."""
    app = FastAPI()

    @app.get("/")
    async def constant() -> dict[str, bool]:
        return {"member": True}

    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"event": "serving http", "port": listener.getsockname()[1]}), file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=600,  # it waits while the other server thinks
    )
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def process(*command: str, box: Box) -> Iterator[tuple[int, int]]:
    """Run a server; give its process id and its port."""
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=box.folder, env=box.env, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        try:
            yield running.pid, _port(running.stderr)
        finally:
            running.terminate()
            running.communicate()


def _port(stream: IO[str]) -> int:
    for line in stream:
        if line.startswith("{") and (event := json.loads(line))["event"] == "serving http":
            return int(event["port"])
    raise AssertionError("the server ended before it listened")


def resident_mb(pid: int, what: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(what)


def stream(ours: Talk, pid: int, box: Box, secret: str, members: int) -> dict[str, float]:
    """Stream the largest segment, and have sqlite3 print it."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    idle = resident_mb(pid, "VmRSS")
    begun = time.perf_counter()
    ours.drain(get(f"/v1/segments/{CLIENT}/Segment%200/members", secret))
    took = time.perf_counter() - begun
    peak = resident_mb(pid, "VmHWM")
    query = f"SELECT ct_user_id FROM segment_members WHERE client = '{CLIENT}' AND segment = 'Segment 0'"
    begun = time.perf_counter()
    with subprocess.Popen(
        ["sqlite3", "-csv", str(box.folder / "data" / "ctsftp.db"), query], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        while program.stdout.read(READ_BYTES):
            pass
    theirs = time.perf_counter() - begun
    return {
        "members": members,
        "ours_s": round(took, 2),
        "sqlite3_s": round(theirs, 2),
        "speed": round(theirs / took, 2),
        "idle_mb": round(idle),
        "over_idle_mb": round(peak - idle),
    }


def run(folder: Path, sizes: Sizes) -> dict[str, dict[str, float]]:
    """Measure everything."""
    box = Box(folder)
    box.env |= {"CTSFTP_HTTP__ENABLED": "true", "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    asyncio.run(fill(folder, sizes))
    randomly = random.Random(6)

    def some_id(members: int) -> int:
        return randomly.randint(1, members * 3)

    with (
        process("ctsftp", "serve", "--log-format", "json", box=box) as (pid, port),
        process("tests.bench.api", "--bare", box=box) as (_, bare_port),
    ):
        secret = json.loads(box.run("token", "add", "bench", "--json").stdout)["token"]
        ours, bare = Talk(port), Talk(bare_port)
        large = sizes.large_members
        body = json.dumps({"ct_user_ids": [some_id(large) for _ in range(BATCH_IDS)]}).encode()
        return {
            "one id, one segment": measure(
                ours,
                bare,
                [
                    get(f"/v1/segments/{CLIENT}/Segment%200/members/{some_id(large)}", secret)
                    for _ in range(sizes.questions)
                ],
            ),
            "all segments of one id": measure(
                ours, bare, [get(f"/v1/members/{some_id(large)}/segments", secret) for _ in range(sizes.questions // 2)]
            ),
            f"{BATCH_IDS} ids, one segment": measure(
                ours,
                bare,
                [post(f"/v1/segments/{CLIENT}/Segment%200/batch", secret, body)] * (sizes.questions // 5),
            ),
            f"{BATCH_IDS} ids, all segments": measure(
                ours, bare, [post("/v1/batch", secret, body)] * max(2, sizes.questions // 200)
            ),
            "streaming": stream(ours, pid, box, secret, large),
        }


def compare_databases(folder: Path, sizes: Sizes) -> dict[str, dict[str, float]]:
    """Ask a server over SQLite and one over PostgreSQL, with the same members, the same."""
    randomly = random.Random(6)
    large = sizes.large_members
    ids = [randomly.randint(1, large * 3) for _ in range(sizes.questions)]
    body = json.dumps({"ct_user_ids": [randomly.randint(1, large * 3) for _ in range(BATCH_IDS)]}).encode()
    servers: dict[str, tuple[int, str]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(closing(Postgres(())))
        server.start()
        for name, url in (("sqlite", None), ("postgresql", server.url(server.new_database()))):
            (folder / name).mkdir()
            box = Box(folder / name)
            box.env |= {"CTSFTP_HTTP__ENABLED": "true"} | ({"CTSFTP_DATABASE_URL": url} if url else {})
            asyncio.run(fill(box.folder, sizes, url))
            _, port = stack.enter_context(process("ctsftp", "serve", "--log-format", "json", box=box))
            servers[name] = port, json.loads(box.run("token", "add", "bench", "--json").stdout)["token"]

        asked = {name: (Talk(port), secret) for name, (port, secret) in servers.items()}

        def ask(question: Callable[[str, int], bytes], count: int) -> dict[str, float]:
            found = take_turns(
                {name: (talk, [question(secret, one) for one in ids[:count]]) for name, (talk, secret) in asked.items()}
            )
            return found | {"times": round(found["postgresql_median_ms"] / found["sqlite_median_ms"], 2)}

        segment = f"/v1/segments/{CLIENT}/Segment%200"
        return {
            "one id, one segment": ask(lambda secret, one: get(f"{segment}/members/{one}", secret), sizes.questions),
            "all segments of one id": ask(
                lambda secret, one: get(f"/v1/members/{one}/segments", secret), sizes.questions // 2
            ),
            f"{BATCH_IDS} ids, one segment": ask(
                lambda secret, _: post(f"{segment}/batch", secret, body), sizes.questions // 5
            ),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="few and small segments: seconds instead of a minute")
    parser.add_argument("--databases", action="store_true", help="compare SQLite with PostgreSQL")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        serve_bare()
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("CTSFTP_TESTS_BENCH_DIR")) as folder:
        sizes = SMALL if arguments.small else FULL
        found = (compare_databases if arguments.databases else run)(Path(folder), sizes)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for what, figures in found.items():
        print(f"{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
