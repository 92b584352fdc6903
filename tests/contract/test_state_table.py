"""The states and moves of an upload."""

from itertools import product

import pytest

from ctsftp.contract.states import END_STATES, MOVES, State, check_move, render_diagram
from ctsftp.errors import IllegalMoveError, RefusedError

LEGAL = {
    "received": "loading ignored rejected",
    "loading": "loaded duplicate superseded held rejected retired failed received",
    "failed": "received",
    "rejected": "received",
    "retired": "received",
    "held": "received discarded superseded",
    "superseded": "received",
}


@pytest.mark.parametrize(("frm", "to"), list(product(State, State)))
def test_a_move_is_allowed_if_and_only_if_the_contract_names_it(frm: State, to: State) -> None:
    if to in LEGAL.get(frm, "").split():
        check_move(frm, to)
    else:
        with pytest.raises(IllegalMoveError, match=f"{frm} cannot become {to}"):
            check_move(frm, to)


def test_an_illegal_move_is_a_refusal_that_says_what_is_possible() -> None:
    with pytest.raises(RefusedError, match="it can become only received or discarded or superseded"):
        check_move(State.HELD, State.LOADED)
    with pytest.raises(RefusedError, match="it can become nothing else"):
        check_move(State.LOADED, State.RECEIVED)


def test_only_what_waits_or_is_at_work_is_no_end_state() -> None:
    assert set(State) - END_STATES == {State.RECEIVED, State.LOADING, State.HELD, State.FAILED}


def test_an_end_state_is_left_only_by_an_admin() -> None:
    left = {(frm, event) for (frm, _), event in MOVES.items() if frm in END_STATES}
    assert left == {
        (State.REJECTED, "`upload retry`"),
        (State.RETIRED, "`upload retry`, once its segment is restored"),
        (State.SUPERSEDED, "`upload approve`"),
    }


def test_every_state_is_reached_from_received() -> None:
    reached = {State.RECEIVED}
    for _ in State:
        reached |= {to for frm, to in MOVES if frm in reached}
    assert reached == set(State)


def test_the_diagram_has_a_line_for_each_move_and_names_each_state_it_leaves_once() -> None:
    lines = render_diagram().splitlines()
    assert lines[0] == "received   -> loading     its turn has come"
    assert lines[1].startswith("           -> ignored     ")
    assert len(lines) == len(MOVES)
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(LEGAL)


def test_each_move_says_what_happens() -> None:
    assert all(MOVES.values())
