"""What a peer may send for nothing: before the login by count, after it by what it does besides."""

import pytest
from asyncssh.constants import (
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_REQUEST_SUCCESS,
    MSG_USERAUTH_REQUEST,
)

from ctsftp.sftp.budget import (
    IDLE_PACKETS,
    IDLE_PACKETS_PER_S,
    LOGIN_BYTES,
    LOGIN_PACKETS,
    NOTICED_SHARE,
    IdleBudget,
    LoginBudget,
    cost_of,
)

KEYS = 6


def test_an_honest_login_uses_a_small_part() -> None:
    """Six keys, each offered and signed with, an IGNORE before each packet, and what a large key exchange takes."""
    budget = LoginBudget(KEYS, bytes=30_000)
    budget.count(MSG_KEXINIT)
    for _ in range(2 * KEYS + 1):
        budget.count(MSG_IGNORE)
        budget.count(MSG_USERAUTH_REQUEST)
    assert not budget.is_over
    assert budget.share < NOTICED_SHARE


@pytest.mark.parametrize(
    ("pkttype", "most"), [(MSG_IGNORE, LOGIN_PACKETS), (MSG_USERAUTH_REQUEST, 28), (MSG_KEXINIT, 1)]
)
def test_packets_requests_and_key_exchanges_have_their_edge(pkttype: int, most: int) -> None:
    budget = LoginBudget(KEYS)
    for _ in range(most):
        budget.count(pkttype)
    assert not budget.is_over
    budget.count(pkttype)
    assert budget.is_over


def test_bytes_have_their_edge() -> None:
    assert not LoginBudget(KEYS, bytes=LOGIN_BYTES).is_over
    assert LoginBudget(KEYS, bytes=LOGIN_BYTES + 1).is_over


def test_who_may_try_many_keys_may_say_so_much_more() -> None:
    budget = LoginBudget(keys=100)
    for _ in range(201):
        budget.count(MSG_IGNORE)
        budget.count(MSG_USERAUTH_REQUEST)
    assert not budget.is_over


def test_a_flood_without_work_is_soon_over() -> None:
    budget = IdleBudget(0)
    for _ in range(IDLE_PACKETS):
        assert budget.spend(cost_of(MSG_IGNORE), 0)
    assert not budget.spend(cost_of(MSG_IGNORE), 0)


def test_an_ignore_before_each_packet_costs_nothing_for_ever() -> None:
    budget = IdleBudget(0)
    for _ in range(10 * IDLE_PACKETS):
        assert budget.spend(cost_of(MSG_IGNORE), 0)
        budget.earn()


def test_a_keepalive_each_second_costs_nothing_for_ever() -> None:
    budget = IdleBudget(0)
    for second in range(10 * IDLE_PACKETS):
        assert budget.spend(cost_of(MSG_GLOBAL_REQUEST), second)


def test_time_gives_back_no_more_than_there_was() -> None:
    budget = IdleBudget(0)
    late_s = 100.0 * IDLE_PACKETS / IDLE_PACKETS_PER_S
    assert not budget.spend(IDLE_PACKETS + 1, late_s)


def test_answers_to_our_keepalives_are_free_windows_are_paid_for_by_data_and_new_keys_are_dear() -> None:
    assert cost_of(MSG_REQUEST_SUCCESS) == 0
    assert cost_of(MSG_CHANNEL_WINDOW_ADJUST) == 1
    assert cost_of(MSG_KEXINIT) > 10 * cost_of(MSG_GLOBAL_REQUEST)
