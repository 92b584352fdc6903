"""What a busy server still gives to others, and what an idle one takes."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx

from .exports import write_export
from .loading import READY_ROWS, ready_s
from .servers import CLIENT, Ours, Server
from .table import Row, seconds
from .transfers import new_name, put

IDLE_PUTS = 9
TICK_S = 0.002
SETTLED_S, IDLE_S = 5.0, 20.0
CLIENTS, SEGMENTS, SENDERS = 100, 20, 16
LARGE = "Large_20261123_0900.csv"
LARGE_ONES = 3
FAIR_ROUNDS = 9

# How late a process of its own wakes up until its input ends: the same machine's, without any event loop.
SLEEPER = """\
import select, sys, time
tick, worst = float(sys.argv[1]), 0.0
while True:
    due = time.monotonic() + tick
    ended = select.select([sys.stdin], [], [], tick)[0]
    if ended:
        break
    worst = max(worst, time.monotonic() - due)
print(worst)
"""


def busy_rows(folder: Path, rows: int) -> list[Row]:
    large = write_export(folder / "large.csv", rows)
    medium = write_export(folder / "medium.csv", max(1, rows // 10))
    server = Ours(folder / "ours", HTTP__ENABLED="true", METRICS__TICK_S=TICK_S)
    idle_s = [_timed_put(server, medium) for _ in range(IDLE_PUTS)]
    put(server, large, LARGE)
    _worst_stall_s(server)  # which begins anew with each look
    sleeper = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(TICK_S)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    busy_s = []
    while True:
        took = _timed_put(server, medium)
        server.serve.mark()  # reads what it has logged
        if any(event["event"] == "verdict" and event["file"] == LARGE for event in server.serve.events):
            break
        busy_s.append(took)
    stall_s = _worst_stall_s(server)
    slept, _ = sleeper.communicate()
    server.stop()
    size = medium.stat().st_size / 1e6
    return [
        Row(
            f"put of {size:.0f} MB while {rows / 1e6:g} million rows load",
            "the idle put",
            f"{size / median(busy_s):.0f} MB/s",
            f"{size / median(idle_s[1:]):.0f} MB/s",
            median(idle_s[1:]) / median(busy_s),
            0.7,
        ),
        Row(
            "longest stall of the event loop meanwhile",
            "a process that only sleeps, beside it",
            f"{stall_s * 1000:.0f} ms",
            f"{float(slept) * 1000:.0f} ms",
            stall_s * 1000,
            50,
            " ms",
            at_most=True,
        ),
    ]


def _timed_put(server: Server, file: Path) -> float:
    began = time.monotonic()
    put(server, file, new_name())
    return time.monotonic() - began


def _worst_stall_s(server: Ours) -> float:
    """Read the server's own measure of how late its event loop came to a task since the last look."""
    port = server.serve.wait_for("serving http")["port"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return float(text.split("\nctsftp_event_loop_stall_max_seconds ")[1].split("\n")[0])


def memory_rows(folder: Path, rows: int) -> list[Row]:
    peaks = [_peak_bytes(folder, times * rows) for times in (1, 5)]
    work = "peak memory of `serve`"
    further = (peaks[1] - peaks[0]) / (4 * rows)
    return [
        Row(f"{work}, {rows / 1e6:g} million rows", "", "", "", peaks[0] / 1e6, 300, " MB", at_most=True),
        Row(
            f"{work}, a further row up to {5 * rows / 1e6:g} million",
            "",
            f"{peaks[1] / 1e6:.0f} MB",
            "",
            further,
            20,
            " bytes",
            at_most=True,
        ),
    ]


def _peak_bytes(folder: Path, rows: int) -> int:
    file = write_export(folder / f"{rows}.csv", rows, wide=False)
    server = Ours(folder / f"ours{rows}", SFTP__MAX_FILE_SIZE_BYTES=4 << 30)
    put(server, file, LARGE)
    server.wait_for_verdict(LARGE)
    peak = server.memory_bytes()
    server.stop()
    return peak


def fair_rows(folder: Path, rows: int) -> list[Row]:
    """Send large lists and then a small one: with its share of the machine it takes as many times its time alone."""
    server = Ours(folder / "ours")
    large = write_export(folder / "large.csv", rows, wide=False)
    small = write_export(folder / "small.csv", READY_ROWS, wide=False)
    alone, among = [], []
    for number in range(FAIR_ROUNDS):
        name, since = f"Alone {number}_20261123_0900.csv", server.serve.mark()
        put(server, small, name)
        alone.append(ready_s(server, name, since))
    with ThreadPoolExecutor(LARGE_ONES) as pool:
        since = server.serve.mark()
        names = [f"Large {number}_20261123_0900.csv" for number in range(LARGE_ONES)]
        list(pool.map(lambda name: put(server, large, name), names))
    for number in range(FAIR_ROUNDS):
        name = f"Among {number}_20261123_0900.csv"
        put(server, small, name)
        among.append(ready_s(server, name, since))
    for name in names:
        server.wait_for_verdict(name, since)
    server.stop()
    row = Row(
        f"{READY_ROWS:,} rows among {LARGE_ONES} lists of {rows / 1e6:g} million",
        "the same alone",
        seconds(among),
        seconds(alone),
        median(among) / median(alone),
        LARGE_ONES + 1,
        at_most=True,
    )
    return [row]


def clients_rows(folder: Path, rows: int) -> list[Row]:
    """Refresh all segments of a tenth of the clients, then of all of them; a segment has a hundredth of the rows."""
    server, members = Ours(folder / "ours"), max(1, rows // 100)
    key = (folder / "ours" / f"{CLIENT}_key.pub").read_text()
    for number in range(CLIENTS):
        place = folder / "ours" / "keys" / "clients" / f"client{number}"
        place.mkdir()
        (place / "authorized_keys").write_text(key)
    file = write_export(folder / "list.csv", members, wide=False)
    _refresh(server, file, CLIENTS, "0001")
    few = _refresh(server, file, CLIENTS // 10, "0002") / (CLIENTS // 10)
    many = _refresh(server, file, CLIENTS, "0003") / CLIENTS
    server.stop()
    a_client = SEGMENTS * members
    row = Row(
        f"{CLIENTS} clients refresh {SEGMENTS} segments of {members:,} each at once, a row",
        f"{CLIENTS // 10} clients",
        f"{many / a_client * 1e9:.0f} ns",
        f"{few / a_client * 1e9:.0f} ns",
        many / few,
        1.2,
        at_most=True,
    )
    return [row]


def _refresh(server: Ours, file: Path, clients: int, version: str) -> float:
    """Have each of so many clients put all its lists in one session; tell how long until the last is ready."""
    since, began = server.serve.mark(), time.monotonic()
    names = [f"Segment {number}_20261123_{version}.csv" for number in range(SEGMENTS)]
    commands = "".join(f'put "{file}" "{name}"\n' for name in names)

    def send(number: int) -> None:
        command = [*server.sftp()[:-1], f"client{number}@127.0.0.1"]
        subprocess.run(command, input=commands, text=True, capture_output=True, check=True)

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, range(clients)))
    for number in range(clients):
        for name in names:
            found = server.serve.wait_for(
                "verdict",
                lambda event, name=name, client=f"client{number}": (event["client"], event["file"]) == (client, name),
                since=since,
            )
            assert found["state"] == "loaded", found
    return time.monotonic() - began


def idle_rows(folder: Path) -> list[Row]:
    """Look at a server that has started and settled; the first start of all makes the tables, and takes more."""
    server = Ours(folder / "ours")
    time.sleep(SETTLED_S)
    first = server.memory_bytes("VmRSS")
    server.stop()
    server.start()
    time.sleep(SETTLED_S)
    cpu, began = server.cpu_s(), time.monotonic()
    time.sleep(IDLE_S)
    share = (server.cpu_s() - cpu) / (time.monotonic() - began)
    memory = server.memory_bytes("VmRSS")
    server.stop()
    return [
        Row(
            "idle `serve`, memory",
            "its first start, which makes the tables",
            f"{memory / 1e6:.0f} MB",
            f"{first / 1e6:.0f} MB",
            memory / 1e6,
            130,
            " MB",
            at_most=True,
        ),
        Row("idle `serve`, of a core", "", "", "", share * 100, 1, " %", at_most=True),
    ]
