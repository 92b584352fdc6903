"""No code and no move without a test through the real server: a new one fails here until it has one.

A test says by `exercises` what it brings about, and is failed if it does not; each case of the table names its code.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path

from ctsftp.contract.codes import PAGES, Code
from ctsftp.contract.states import MOVES, State

from .inprocess import Move
from .misconfigured import CASES

MODULES = [
    "test_answers",
    "test_contract_table",
    "test_contract_content",
    "test_segment_verdicts",
    "test_segment_faults",
]


def exercised() -> Iterator[Code | Move]:
    yield from (case.code for case in CASES)
    for name in MODULES:
        module = importlib.import_module(f"{__package__}.{name}")
        for test in vars(module).values():
            yield from getattr(test, "exercises", ())


def test_each_code_is_exercised() -> None:
    assert set(exercised()) >= set(Code)


def test_each_move_and_so_each_state_is_exercised() -> None:
    assert set(exercised()) >= set(MOVES)
    assert {to for _, to in MOVES} == set(State)


def test_every_test_that_exercises_something_is_among_those_that_are_asked() -> None:
    using = {place.stem for place in Path(__file__).parent.glob("test_*.py") if "\n@exercises(" in place.read_text()}
    assert using == set(MODULES)


def test_the_table_shows_every_rejection_in_the_order_in_which_they_are_looked_for() -> None:
    rejections = [code for code in Code if PAGES[code].kind == "rejected"]
    assert [*dict.fromkeys(case.code for case in CASES)] == rejections
