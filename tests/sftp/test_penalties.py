"""The table of penalties, by a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.sftp.penalties import EARLY_ENDS_PER_S, REMEMBERED_S, EarlyEnds, Offence, Penalties, source_of
from ctsftp.sftp.settings import PenaltySettings

HOST = "203.0.113.7"
KEYS = Offence.FAILED_KEYS


def penalties(**settings: float) -> Penalties:
    return Penalties(PenaltySettings(**settings))  # type: ignore[arg-type]


def test_an_address_is_refused_once_its_offences_have_added_up_to_the_least() -> None:
    table = penalties(failed_keys_s=5, min_s=15)
    assert [table.earn(HOST, KEYS, 0) for _ in range(3)] == [False, False, True]
    assert table.refused_s(HOST, 0) == 15
    assert table.refused_s("203.0.113.8", 0) == 0


def test_below_the_least_nobody_is_refused() -> None:
    table = penalties(failed_keys_s=7.4, min_s=15)
    table.earn(HOST, KEYS, 0)
    table.earn(HOST, KEYS, 0)
    assert table.refused_s(HOST, 0) == 0
    assert [one.refused for one in table.current(0)] == [False]


def test_what_is_left_of_earlier_offences_decays_with_time() -> None:
    table = penalties(failed_keys_s=5, min_s=15)
    for now_s in range(0, 1000, 5):  # one every five seconds never adds up
        table.earn(HOST, KEYS, now_s)
    assert table.refused_s(HOST, 1000) == 0
    assert len(table.current(999)) == 1
    assert table.current(1000) == []


def test_who_is_refused_stays_so_until_all_of_it_is_over() -> None:
    table = penalties(failed_keys_s=5, min_s=15)
    for _ in range(3):
        table.earn(HOST, KEYS, 0)
    assert table.refused_s(HOST, 14.9) > 0
    assert table.refused_s(HOST, 15) == 0
    table.earn(HOST, KEYS, 15)
    assert table.refused_s(HOST, 15) == 0  # it begins anew


def test_who_is_refused_again_and_again_waits_twice_as_long_each_time() -> None:
    """A stranger that sends lists of algorithms, and comes again as often as it may, was refused for 15 s each time."""
    table = penalties(no_authentication_s=1, min_s=15, max_s=600)
    now_s, waits_s = 0.0, []
    for _ in range(8):
        while not table.refused_s(HOST, now_s):
            table.earn(HOST, Offence.NO_AUTHENTICATION, now_s)
        waits_s.append(table.refused_s(HOST, now_s))
        now_s += waits_s[-1]
    assert waits_s == [15, 30, 60, 120, 240, 480, 600, 600]


def test_an_hour_after_a_refusal_it_is_forgotten() -> None:
    table = penalties(no_authentication_s=15, min_s=15)
    table.earn(HOST, Offence.NO_AUTHENTICATION, 0)
    table.earn("203.0.113.8", KEYS, REMEMBERED_S)
    table.earn(HOST, Offence.NO_AUTHENTICATION, REMEMBERED_S + 15)
    assert table.refused_s(HOST, REMEMBERED_S + 15) == 15


def test_no_more_adds_up_than_the_most() -> None:
    table = penalties(failed_keys_s=5, max_s=60)
    for _ in range(100):
        table.earn(HOST, KEYS, 0)
    assert table.refused_s(HOST, 0) == 60


def test_every_offence_has_its_own_seconds_and_none_switches_it_off() -> None:
    table = penalties(failed_keys_s=1, unknown_user_s=2, no_authentication_s=3, login_timeout_s=0, excess_s=4)
    for number, offence in enumerate(Offence):
        table.earn(f"203.0.113.{number}", offence, 0)
    assert {one.last: one.seconds_left for one in table.current(0)} == {
        Offence.FAILED_KEYS: 1,
        Offence.UNKNOWN_USER: 2,
        Offence.NO_AUTHENTICATION: 3,
        Offence.EXCESS: 4,
    }


def test_ipv6_counts_by_its_64_and_ipv4_is_ipv4_however_it_is_written() -> None:
    assert source_of("2001:db8:1:2::5") == source_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert source_of("2001:db8:1:3::5") != source_of("2001:db8:1:2::5")
    assert source_of("::ffff:203.0.113.7") == "203.0.113.7"
    assert source_of("fe80::1%eth0") == "fe80::/64"


def test_an_address_that_is_unknown_earns_nothing() -> None:
    table = penalties()
    assert table.earn("", KEYS, 0) is False
    assert table.current(0) == []


def test_the_table_is_bounded_and_forgets_who_offended_longest_ago() -> None:
    table = penalties(max_sources=3)
    for number in (1, 2, 3, 1, 4):
        table.earn(f"203.0.113.{number}", KEYS, 0)
    assert {one.source for one in table.current(0)} == {"203.0.113.3", "203.0.113.1", "203.0.113.4"}


def test_ipv6_addresses_push_no_ipv4_address_out() -> None:
    table = penalties(max_sources=3)
    table.earn(HOST, KEYS, 0)
    for number in range(10):
        table.earn(f"2001:db8:{number}::1", KEYS, 0)
    assert [one.source for one in table.current(0)].count(HOST) == 1
    assert len(table.current(0)) == 4


def test_one_address_is_forgiven_or_all() -> None:
    table = penalties(failed_keys_s=20)
    for address in (HOST, "2001:db8::1", "2001:db8:1::1"):
        table.earn(address, KEYS, 0)
    assert table.clear(HOST) == 1
    assert table.clear(HOST) == 0
    assert table.clear("2001:db8::77") == 1
    assert table.clear("2001:db8:1::/64") == 1
    assert table.current(0) == []
    table.earn(HOST, KEYS, 0)
    assert table.clear() == 1
    assert table.refused_s(HOST, 0) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 60), st.sampled_from(Offence)), max_size=60))
def test_whatever_comes_the_table_keeps_its_bounds(steps: list[tuple[int, float, Offence]]) -> None:
    table = penalties(max_sources=4, max_s=30)
    now_s = 0.0
    for number, wait_s, offence in steps:
        now_s += wait_s
        address = f"203.0.113.{number}"
        table.earn(address, offence, now_s)
        found = table.current(now_s)
        assert len(found) <= 4
        assert all(0 < one.seconds_left <= 30.001 for one in found)
        assert table.refused_s(address, now_s) in (0.0, pytest.approx(found_left(table, address, now_s)))


def found_left(table: Penalties, address: str, now_s: float) -> float:
    return next(one.seconds_left for one in table.current(now_s) if one.source == address)


@pytest.mark.parametrize(("per_s", "excused"), [(1, True), (2.5, True), (4.9, True), (5.1, False), (100, False)])
def test_early_ends_are_excused_as_long_as_there_are_few_in_a_second(per_s: float, excused: bool) -> None:  # noqa: FBT001
    ends = EarlyEnds(10)
    answers = [ends.excuses(HOST, number / per_s) for number in range(100)]
    assert answers == [True] * 5 + [excused] * 95


def test_early_ends_count_by_source_and_those_of_the_last_second_alone_are_kept() -> None:
    ends = EarlyEnds(3)
    for number in range(10):
        assert ends.excuses(f"203.0.113.{number}", 0)
    assert len(ends._times_s) == 3
    for _ in range(EARLY_ENDS_PER_S):
        assert ends.excuses("2001:db8::1", 0)
    assert not ends.excuses("2001:db8::2", 0)
    assert ends.excuses(HOST, 2)
    assert len(ends._times_s) == 1
