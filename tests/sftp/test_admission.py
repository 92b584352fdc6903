"""Who may connect, with chances that the test sets."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.sftp.admission import Admission, Arrival, Crowd
from ctsftp.sftp.settings import SftpSettings

HOST = "203.0.113.7"


def admission(*, chance: float = 1.0, draw: int = -1, **limits: Any) -> Admission[int]:
    """Tokens are numbers; where one has to go, it is the `draw`th of those that wait, by default the newcomer."""

    def drawn(waiting: Sequence[int]) -> int:
        return waiting[draw]

    return Admission(SftpSettings(**limits), chance=lambda: chance, draw=drawn)


def arrive(
    crowd: Admission[int], who: int, source: str | None = None, *, trusted: bool = False, known: bool = False
) -> Crowd | None:
    return crowd.arrive(who, source or f"203.0.113.{who % 250}", trusted=trusted, known=known).limit


def test_so_many_connections_in_all() -> None:
    crowd = admission(max_connections=2)
    assert [arrive(crowd, who) for who in range(3)] == [None, None, Crowd.CONNECTIONS]
    crowd.leave(0)
    assert arrive(crowd, 3) is None


def test_so_many_connections_from_an_address() -> None:
    crowd = admission(max_connections_per_address=2)
    for who in (1, 2):
        assert arrive(crowd, who, HOST) is None
        assert crowd.sign_in(who, "acme")
    assert arrive(crowd, 3, HOST) is Crowd.ADDRESS
    assert arrive(crowd, 4) is None
    crowd.leave(1)
    assert arrive(crowd, 5, HOST) is None


def test_so_many_from_an_address_that_have_not_signed_in() -> None:
    crowd = admission(unauthenticated_per_address=2)
    assert [arrive(crowd, who, HOST) for who in (1, 2, 3)] == [None, None, Crowd.UNAUTHENTICATED_ADDRESS]
    crowd.sign_in(1, "acme")
    assert arrive(crowd, 4, HOST) is None


def test_so_many_connections_of_a_client() -> None:
    crowd = admission(max_connections_per_client=2)
    for who in range(4):
        arrive(crowd, who)
    assert [crowd.sign_in(who, "acme") for who in range(3)] == [True, True, False]
    assert crowd.sign_in(3, "other")
    crowd.leave(0)
    arrive(crowd, 4)
    assert crowd.sign_in(4, "acme")


def test_a_trusted_address_has_no_limits_of_its_own() -> None:
    crowd = admission(max_connections_per_address=1, unauthenticated_per_address=1, max_connections=3)
    found = [arrive(crowd, who, HOST, trusted=True) for who in range(4)]
    assert found == [None, None, None, Crowd.CONNECTIONS]


EARLY = {"unauthenticated_start": 10, "unauthenticated_drop_percent": 30, "unauthenticated_full": 100}


def waiting(count: int, *, chance: float) -> Crowd | None:
    """What meets a newcomer where so many have not signed in."""
    crowd = admission(chance=1.0, **EARLY, unauthenticated_per_address=1000)
    for who in range(count):
        assert arrive(crowd, who) is None
    crowd._chance = lambda: chance
    return arrive(crowd, 1000)


@pytest.mark.parametrize(("count", "percent"), [(0, 0), (9, 0), (10, 30), (55, 65), (99, 99.2), (100, 100)], ids=str)
def test_one_is_dropped_early_with_a_chance_that_grows_from_the_rate_to_certainty(count: int, percent: float) -> None:
    if percent:
        assert waiting(count, chance=percent / 100 - 0.001) is Crowd.UNAUTHENTICATED
    if percent < 100:
        assert waiting(count, chance=percent / 100 + 0.001) is None


def test_who_has_to_go_may_be_another_one_that_has_not_signed_in() -> None:
    crowd = admission(chance=0.0, draw=0, unauthenticated_start=2, unauthenticated_full=2)
    arrive(crowd, 1)
    arrive(crowd, 2)
    crowd.sign_in(1, "acme")
    arrive(crowd, 3)
    gone = crowd.arrive(4, HOST, trusted=False, known=False)
    assert (gone.limit, gone.leaves) == (Crowd.UNAUTHENTICATED, 2)  # 1 has signed in
    crowd.leave(2)
    assert crowd.sign_in(4, "acme")


def test_of_known_sources_none_has_to_go_while_there_are_strangers() -> None:
    crowd = admission(chance=0.0, draw=0, unauthenticated_start=2, unauthenticated_full=2)
    arrive(crowd, 1, known=True)
    arrive(crowd, 2)
    assert crowd.arrive(3, HOST, trusted=False, known=True) == Arrival(Crowd.UNAUTHENTICATED, 2)
    crowd.leave(2)
    assert crowd.arrive(4, HOST, trusted=False, known=False) == Arrival(Crowd.UNAUTHENTICATED, 4)
    assert crowd.arrive(5, HOST, trusted=False, known=True) == Arrival(Crowd.UNAUTHENTICATED, 1)  # no stranger is left


def test_a_known_source_takes_the_place_of_a_stranger_where_there_are_as_many_as_there_may_be() -> None:
    crowd = admission(draw=0, max_connections=2)
    arrive(crowd, 1)
    arrive(crowd, 2)
    crowd.sign_in(1, "acme")
    assert crowd.arrive(3, HOST, trusted=False, known=True) == Arrival(Crowd.CONNECTIONS, 2)
    crowd.leave(2)
    assert crowd.arrive(4, HOST, trusted=False, known=True) == Arrival(Crowd.CONNECTIONS, 4)


def test_a_newcomer_that_has_to_go_is_not_counted() -> None:
    crowd = admission(chance=0.0, unauthenticated_start=1, unauthenticated_full=1, max_connections=2)
    arrive(crowd, 1)
    for who in range(2, 20):
        assert arrive(crowd, who) is Crowd.UNAUTHENTICATED
    crowd.sign_in(1, "acme")
    assert arrive(crowd, 20) is None


@given(st.lists(st.tuples(st.sampled_from(["arrive", "sign in", "leave"]), st.integers(0, 30)), max_size=200))
def test_when_all_have_left_nothing_is_counted(steps: list[tuple[str, int]]) -> None:
    crowd = admission(chance=0.5, draw=0, max_connections=12, max_connections_per_client=3, unauthenticated_start=5)
    here: set[int] = set()
    for step, who in steps:
        if step == "arrive" and who not in here:
            arrival = crowd.arrive(who, f"203.0.113.{who % 4}", trusted=False, known=who % 3 == 0)
            if arrival.leaves is not None and arrival.leaves != who:
                crowd.leave(arrival.leaves)
                here.discard(arrival.leaves)
            if arrival.leaves != who:
                here.add(who)
        elif step == "sign in" and who in here:
            crowd.sign_in(who, f"client{who % 3}")
        elif step == "leave":
            crowd.leave(who)
            here.discard(who)
        assert len(here) == len(crowd._sources) <= 12
    for who in range(31):
        crowd.leave(who)
    assert [crowd._sources, crowd._waiting, crowd._strangers, crowd._clients] == [{}, {}, {}, {}]
    assert [crowd._by_source, crowd._waiting_by_source, crowd._by_client] == [Counter()] * 3
