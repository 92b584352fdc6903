"""No member that nobody exported, and no id in no count, whatever happens to an export on its way."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctsftp.contract import reader
from ctsftp.contract.codes import Code
from ctsftp.contract.reader import CsvReader
from ctsftp.contract.records import read_rows
from ctsftp.contract.vectorised import read_rows_at_once

from .exports import LIST_A, LIST_B, Export, exports

FEW, MANY = 400, 20_000
SOAK = int(os.environ.get("CTSFTP_TESTS_FILES", "1000000"))
CUT_EVERYWHERE = 200

# How a file may be refused whose damage can be seen.
NAMED = {
    *(Code.CHARSET, Code.LINE_ENDS, Code.DELIMITER, Code.NO_HEADER, Code.NO_ID_COLUMN),
    *(Code.SECOND_HEADER, Code.BROKEN_QUOTE, Code.TOO_MANY_REJECTED),
}


@dataclass
class Outcome:
    """What a reader made of a file; `held`: a client with history has it held."""

    members: list[int]
    code: Code | None
    rejected: list[tuple[int, str, str]]
    counts: tuple[int, int, int, int]
    notices: list[tuple[str, str]]
    last_row: str
    footer: str

    @property
    def held(self) -> bool:
        return bool(self.last_row or self.footer)


def read(*blocks: bytes) -> Outcome:
    found = CsvReader()
    ids = [one for block in blocks for one in found.feed(block).tolist()]
    ids += found.finish().tolist()
    assert found.rows == len(ids) + found.rejected
    return Outcome(
        members=ids,
        code=found.fault.code if found.fault else None,
        rejected=[(row.line, row.value, row.reason) for row in found.rejected_rows],
        counts=(found.rows, found.accepted, found.rejected, found.empty_ids),
        notices=[(notice.code.value, notice.text) for notice in found.notices],
        last_row=found.last_row,
        footer=found.footer,
    )


def read_by_reference(*blocks: bytes) -> Outcome:
    reader.read_rows_at_once = read_rows
    try:
        return read(*blocks)
    finally:
        reader.read_rows_at_once = read_rows_at_once


def check_cuts(data: bytes, whole: Outcome, chance: Random, *, everywhere: bool) -> None:
    """Check that both readers find the same, however the file comes."""
    assert read_by_reference(data) == whole
    places = range(len(data)) if everywhere else [chance.randrange(len(data) + 1) for _ in range(3)]
    for place in places:
        assert read(data[:place], data[place:]) == whole, place
    # Three places at once, for the reference as well: the head of a file alone is shorter than what it waits for.
    first, second, third = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    blocks = (data[:first], data[first:second], data[second:third], data[third:])
    assert read_by_reference(*blocks) == read(*blocks) == whole


def check_is_honest(export: Export, data: bytes, found: Outcome, *, has_history: bool) -> None:
    """Check against what is known: the ids that were exported, and the lines in which they arrived."""
    if found.code:
        assert found.code in NAMED
        return
    if has_history and found.held:
        return
    members = set(found.members)
    assert members <= export.ids, f"a member whom nobody exported: {members - export.ids} in {data!r}"
    missing = export.ids - members
    rejected = Counter(line for line, _, _ in found.rejected)
    for number, line in enumerate(data.split(b"\n"), 1):
        arrived = {int(one) for one in re.findall(rb"(?<![0-9])[0-9]{6}(?![0-9])", line)}
        assert len(arrived & missing) <= rejected[number], f"an id of line {number} is in no count: {data!r} {found}"


HISTORY_ONLY = {"cut_inside_a_row", "joined_same", "joined_other", "joined_by_a_mark", "footer"}


def holds(export: Export, damage: str, seed: int, seen: Counter[str], *, everywhere: bool) -> None:
    chance = Random(seed)  # noqa: S311
    data = {**LIST_A, **LIST_B}[damage](export, chance)
    if not data:
        return
    found = read(data)
    seen[damage] += 1
    check_cuts(data, found, chance, everywhere=everywhere)
    check_is_honest(export, data, found, has_history=damage in HISTORY_ONLY)
    if damage == "no_damage":
        assert found.code is None or export.style != "plain"


def run(files: int, *, everywhere: bool = False, most: int = 30) -> Counter[str]:
    """Try so many files; tell how often each damage came."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=files,
        deadline=None,
        database=None,
        derandomize=files <= MANY,  # the same files each time: what a longer search finds becomes a test of its own
        suppress_health_check=list(HealthCheck),
    )
    @given(exports(most=most), st.sampled_from([*LIST_A, *LIST_B]), st.integers(0, 2**32))
    def tried(export: Export, damage: str, seed: int) -> None:
        holds(export, damage, seed, seen, everywhere=everywhere)

    tried()
    print(*(f"{count:8,} {damage}" for damage, count in seen.most_common()), sep="\n")  # noqa: T201
    return seen


def test_no_member_is_invented_and_no_id_lost_in_a_few_hundred_files() -> None:
    run(FEW)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_member_is_invented_and_no_id_lost_in_twenty_thousand_files() -> None:
    seen = run(MANY)
    assert seen.keys() == {*LIST_A, *LIST_B}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_short_files_may_be_cut_at_every_place() -> None:
    run(CUT_EVERYWHERE, everywhere=True, most=6)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_member_is_invented_and_no_id_lost_in_a_million_files() -> None:
    run(SOAK)
