"""Coverage against a set of bytes, which is what it means."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ctsftp.spool.coverage import MAX_RANGES, Coverage

END = 40


class CoverageMachine(RuleBasedStateMachine):
    @initialize(prefix=st.integers(0, 5))
    def begin(self, prefix: int) -> None:
        self.coverage = Coverage(prefix)
        self.written = set(range(prefix))

    @rule(start=st.integers(0, END), length=st.integers(0, 12))
    def write(self, start: int, length: int) -> None:
        assert self.coverage.add(start, start + length)
        self.written |= set(range(start, start + length))

    @rule(size=st.integers(0, END))
    def truncate(self, size: int) -> None:
        self.coverage.cut(size)
        self.written = {byte for byte in self.written if byte < size}

    @invariant()
    def it_knows_the_first_hole(self) -> None:
        prefix = next(byte for byte in range(100) if byte not in self.written)
        assert self.coverage.prefix_bytes == prefix
        for size in range(max(self.written, default=-1) + 1, 60):  # a file is as long as its last byte, or longer
            assert self.coverage.is_whole(size) == (self.written == set(range(size)))

    @invariant()
    def its_ranges_are_sorted_and_apart(self) -> None:
        ranges = self.coverage._ranges
        assert {byte for start, end in ranges for byte in range(start, end)} == self.written
        assert all(start < end for start, end in ranges)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))


TestCoverageIsASetOfBytes = CoverageMachine.TestCase
TestCoverageIsASetOfBytes.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_more_pieces_than_the_limit_are_told() -> None:
    coverage = Coverage()
    taken = [coverage.add(2 * n, 2 * n + 1) for n in range(MAX_RANGES + 1)]
    assert taken == [True] * MAX_RANGES + [False]


def test_pieces_from_back_to_front_become_one() -> None:
    coverage = Coverage()
    for start in range(990, -10, -10):
        assert coverage.add(start, start + 10)
    assert coverage.is_whole(1000)


@pytest.mark.parametrize("size", [0, 7])
def test_a_seed_counts_as_written(size: int) -> None:
    assert Coverage(size).is_whole(size)
