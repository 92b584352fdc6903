"""Storms against a real `serve`: good senders and the health check are served meanwhile.

The bars hold on a slow and busy machine. Before the work of a peer was bounded, each of these storms kept all others
out for 16 to 44 s, or took gigabytes. `python -m tests.door.bench storms` tells the times and holds the strict bars.
"""

import asyncio
import itertools
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..e2e.conftest import Box
from .attacker import slow_line
from .bursts import EXCESSES
from .storms import (
    ALLOWED,
    EVIL_KINDS,
    IN_AN_EXCHANGE,
    STRANGERS,
    Feeling,
    evil,
    fill_the_home,
    penalised,
    serve,
    strangers,
)

pytestmark = pytest.mark.timeout(300)

SECONDS = 1.0
PATIENCE_S = 10.0
MEMORY_MIB = 500
GIVEN_BACK_WITHIN_MIB = 60

numbers = itertools.count(10)  # of the address of each storm


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, host_keys: Path) -> Iterator[tuple[Box, int]]:
    box = Box(tmp_path_factory.mktemp("storms"))
    shutil.copytree(host_keys, box.folder / "keys" / "host")
    yield box, serve(box)
    assert box.serve is not None
    box.serve.stop(signal.SIGKILL)


@pytest.fixture
def box(serving: tuple[Box, int]) -> Box:
    return serving[0]


@pytest.fixture
def feeling(serving: tuple[Box, int]) -> Feeling:
    return Feeling(*serving)


async def is_penalised(box: Box, number: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while f"127.{number}.0.1" not in await asyncio.to_thread(penalised, box):
            pass


@pytest.mark.alone
@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.parametrize("kind", STRANGERS)
async def test_others_are_served_in_a_storm_of_strangers(box: Box, feeling: Feeling, kind: str, count: int) -> None:
    number = next(numbers)
    async with strangers(box, kind, number, count):
        await feeling.feel(SECONDS, patience_s=PATIENCE_S)
        if count < 200 and kind in {*EXCESSES, "lists of algorithms"}:
            await is_penalised(box, number)
    assert feeling.memory_mib < MEMORY_MIB


@pytest.mark.alone
@pytest.mark.parametrize("kind", EVIL_KINDS)
async def test_others_are_served_in_a_storm_of_one_client(box: Box, feeling: Feeling, kind: str) -> None:
    number = next(numbers)
    if kind == "listings":
        fill_the_home(box)
    async with evil(box, kind, number):
        await feeling.feel(SECONDS, patience_s=PATIENCE_S)
        if kind not in ALLOWED:
            await is_penalised(box, number)
    assert feeling.memory_mib < MEMORY_MIB
    if kind in ALLOWED:
        # Some logins may have broken off with the storm, which earns something, too.
        assert penalised(box).get(f"127.{number}.0.1") != "excess"


@pytest.mark.alone
async def test_big_honest_pushes_at_once_and_the_slowest_line_earn_nothing(box: Box, feeling: Feeling) -> None:
    assert box.serve is not None
    data = b"CTUserID\n" + b"".join(b"%09d\n" % number for number in range(2_000_000))
    async with slow_line(box.serve.port, bytes_per_s=1000, delay_s=0.3) as port:
        slow = asyncio.create_task(feeling.put(port))
        await asyncio.gather(*(feeling.put(data=data) for _ in range(10)))
        await slow
    assert "127.0.0.1" not in {one["source"] for one in box.json("penalty", "list")}


@pytest.mark.alone
@pytest.mark.parametrize("kind", [IN_AN_EXCHANGE, "reads that nobody takes"])
async def test_what_an_attack_took_is_given_back_when_it_is_over(box: Box, feeling: Feeling, kind: str) -> None:
    """Six such attacks took a gigabyte, which stayed."""
    await feeling.put()
    before_mib = feeling.memory_now_mib()
    for _ in range(2):
        async with evil(box, kind, next(numbers)):
            await feeling.feel(SECONDS, patience_s=PATIENCE_S)
    async with asyncio.timeout(30):
        while feeling.memory_now_mib() > before_mib + GIVEN_BACK_WITHIN_MIB:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.1)
