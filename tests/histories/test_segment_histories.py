"""Random and known histories of one segment: the ledger and the members agree with the model after each step."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ctsftp.store import rows

from .histories import TITLE, Bench, Histories
from .segment import File, Upload


@pytest.fixture(autouse=True)
def _ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what histories set put back."""
    monkeypatch.setattr(rows, "PATCHED_IN_PLACE", 2)
    monkeypatch.setattr(rows, "PATCHED_SHARE", 1)
    monkeypatch.setattr(rows, "CHANGED_AT_ONCE", 3)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def file(day: int, *members: int, title: str = "CTUserID") -> File:
    written = f"202401{day:02}_0900"
    return File(f"{TITLE}_{written}.csv", TITLE, written, is_future=False, title=title, lines=tuple(map(str, members)))


class Known:
    """A history that is written down: what chance finds only now and then is played each time."""

    def __init__(self, bench: Bench) -> None:
        self.machine = Histories(bench)
        self.machine.begin()

    def send(self, sent: File, *, database_refuses: bool = False) -> Upload:
        self.machine._send(sent, database_refuses=database_refuses)
        self._agree()
        return self.machine.model.uploads[-1]

    def approve(self, upload: Upload, *, database_refuses: bool = False) -> None:
        self.machine._approve(upload, database_refuses=database_refuses)
        self._agree()

    def decide(self, operation: str, upload: Upload) -> None:
        self.machine._decide(operation, upload)
        self._agree()

    def act(self, operation: str, number: int | None = None) -> None:
        self.machine.act_on_the_segment(operation=operation, number=number)
        self._agree()

    def _agree(self) -> None:
        self.machine.the_ledger_agrees()
        self.machine.the_members_agree()
        self.machine.the_segment_and_its_history_agree()


def test_a_file_that_is_tried_again_does_not_undo_its_correction(bench: Bench) -> None:
    known = Known(bench)
    failed = known.send(file(1, 1), database_refuses=True)
    wrong = known.send(file(1, 2, title="Member"))
    known.send(file(1, 3))
    known.machine.change_the_server(how="know the title")
    known.decide("retry", wrong)
    known.decide("retry", failed)
    assert (failed.state, wrong.state) == ("superseded", "superseded")
    known.decide("approve", failed)
    assert known.machine.model.members == {1}


def test_an_approved_file_that_is_tried_again_does_not_undo_a_newer_one(bench: Bench) -> None:
    known = Known(bench)
    known.send(file(1, *range(1, 41)))
    older, newer = known.send(file(2, 1)), known.send(file(4, 2))
    known.approve(older, database_refuses=True)
    known.approve(newer, database_refuses=True)
    known.send(file(3, *range(2, 42)))
    known.decide("retry", older)
    assert (older.state, older.approved) == ("superseded", False)
    known.decide("retry", newer)
    assert (newer.state, newer.approved) == ("loaded", True)


def test_an_approval_before_a_rollback_does_not_count_after_it(bench: Bench) -> None:
    known = Known(bench)
    known.send(file(1, *range(1, 41)))
    known.send(file(2, *range(2, 42)))
    empty = known.send(file(3))
    known.approve(empty, database_refuses=True)
    known.act("rollback")
    known.decide("retry", empty)
    assert (empty.state, empty.code) == ("held", "rolled_back")


def test_a_file_is_no_duplicate_of_one_that_an_older_approved_one_replaced(bench: Bench) -> None:
    known = Known(bench)
    known.send(file(1, *range(1, 41)))
    older = known.send(file(2, 1))
    known.send(file(2, *range(2, 42)))
    known.decide("approve", older)
    assert known.machine.model.members == {1}
    known.send(file(2, *range(2, 42)))
    assert known.machine.model.members == set(range(2, 42))


def test_of_what_waits_after_a_rollback_the_older_gives_way_to_the_one_that_is_approved(bench: Bench) -> None:
    known = Known(bench)
    known.send(file(1, 1))
    known.send(file(2, 2))
    known.act("rollback")
    older, approved, newer = (known.send(file(day, day)) for day in (3, 4, 5))
    known.decide("approve", approved)
    assert [one.state for one in (older, approved, newer)] == ["superseded", "loaded", "held"]
    known.send(file(6, 6))
    assert newer.state == "superseded"
    known.act("rollback", number=1)
    empty = known.send(file(7))
    known.decide("approve", empty)
    assert known.machine.model.members == set()
    known.decide("approve", older)
    assert known.machine.model.members == {3}


def test_a_deleted_segment_is_made_anew_by_the_same_file_and_by_one_that_waited(bench: Bench) -> None:
    known = Known(bench)
    known.send(file(1, 1, 2))
    held = known.send(file(2))
    known.send(file(2))
    known.act("delete")
    known.act("retire")
    retired = known.send(file(3, 3))
    known.act("delete")
    assert known.send(file(1, 1, 2)).state == "loaded"
    known.act("retire")
    known.act("delete")
    known.decide("approve", held)
    assert (retired.state, held.state) == ("retired", "loaded")


def test_the_newest_stamp_counts_also_when_its_list_was_forgotten(bench: Bench) -> None:
    known = Known(bench)
    failed = known.send(file(9, 8), database_refuses=True)
    known.send(file(9, 9))
    for day in range(1, 8):
        known.decide("approve", known.send(file(day, day)))
    known.machine.change_the_server(how="sweep")
    known.decide("retry", failed)
    assert failed.state == "superseded"
    assert known.send(file(8, 8)).state == "superseded"


QUICK = settings(deadline=None, max_examples=15, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.slow
def test_any_history_of_a_segment_ends_as_the_model_says(bench: Bench) -> None:
    run_state_machine_as_test(lambda: Histories(bench), settings=QUICK)  # type: ignore[arg-type]


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_long_histories_of_a_segment_end_as_the_model_says(bench: Bench) -> None:
    many = settings(QUICK, max_examples=300, stateful_step_count=60)
    run_state_machine_as_test(lambda: Histories(bench), settings=many)  # type: ignore[arg-type]
