"""Whenever the power fails, what was acknowledged is there with its bytes, and nothing half is taken for whole.

A failing case prints its arguments, and those are all that it depends on.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .power import PLACES, World, steps
from .simdisk import PowerCutError

pytestmark = pytest.mark.slow

STEPS = ["put", "break_off", "resume", "resume_and_break_off", "rename", "remove", "cut"]
CUTS_A_POINT = 2

WAYS = {
    "first": [("put", "a.csv")],
    "overwrite": [("put", "a.csv"), ("put", "a.csv")],
    "rename": [("put", "a.csv"), ("rename", "a.csv")],
    "resume": [("break_off", "a.csv"), ("resume", "a.csv")],
    "resume_twice": [("break_off", "a.csv"), ("resume_and_break_off", "a.csv"), ("resume", "a.csv")],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_power_cut_before_each_change_of_one_file_loses_nothing(way: str, tmp_path: Path) -> None:
    whole = World(tmp_path / "whole", 0)
    assert not steps(whole, WAYS[way])
    points = 0
    for seed in range(CUTS_A_POINT):
        cut_before, count = 1, 0
        while True:
            with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
                world = World(Path(folder) / "w", seed, cut_before=cut_before)
                first = world.disk
                # After the cut the sender tries again.
                faults = steps(world, [*WAYS[way], WAYS[way][-1], ("resume", "a.csv")])
                assert not faults, (way, seed, cut_before, first.changes[-1:], faults)
                count = len(first.changes)
            if count + 1 < cut_before:
                break
            points += 1
            cut_before += 1
    print(f"{way}: {points} power cuts, {CUTS_A_POINT} ways to forget at each point")  # noqa: T201 - the figures are the result
    assert points


@pytest.mark.parametrize("seed", [0, 1, 2, 13, 20])  # the last two once found such a partial
def test_a_power_cut_while_a_file_is_resumed_leaves_no_partial_with_holes(seed: int, tmp_path: Path) -> None:
    world = World(tmp_path / "w", seed)
    world.break_off("a.csv")
    with pytest.raises(PowerCutError):
        world.resume("a.csv", cut=True)
    assert not world.cut_power()
    world.resume("a.csv")
    assert not world.cut_power()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1 << 32),
    names=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(PLACES)), min_size=1, max_size=12),
    cut_before=st.none() | st.integers(1, 150),
)
def test_any_history_of_uploads_and_power_cuts_loses_nothing(
    seed: int, names: list[tuple[str, str]], cut_before: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "w", seed, cut_before=cut_before)
        assert not steps(world, names)
