"""Where clients signed in from is remembered for a while, and not without a bound."""

import pytest

from ctsftp.sftp import standing
from ctsftp.sftp.standing import KNOWN_FOR_S, KnownAddresses

HERE, THERE = "203.0.113.7", "203.0.113.8"


def test_an_address_is_known_for_a_day_after_the_last_login() -> None:
    known = KnownAddresses()
    assert not known.knows(HERE, 0)
    known.note(HERE, 0)
    known.note(HERE, 1)
    assert known.knows(HERE, KNOWN_FOR_S)
    assert not known.knows(HERE, KNOWN_FOR_S + 1)
    assert not known.knows(THERE, 1)


def test_an_ipv6_address_is_known_by_its_64() -> None:
    known = KnownAddresses()
    known.note("2001:db8::1", 0)
    assert known.knows("2001:db8::ffff", 1)
    assert not known.knows("2001:db8:0:1::1", 1)


def test_the_table_is_bounded_and_forgets_whose_login_is_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MAX_KNOWN", 2)
    known = KnownAddresses()
    for second, address in enumerate(("203.0.113.1", HERE, "203.0.113.1", THERE)):
        known.note(address, second)
    assert [known.knows(address, 4) for address in ("203.0.113.1", HERE, THERE)] == [True, False, True]


def test_an_address_that_misbehaves_is_known_no_more() -> None:
    known = KnownAddresses()
    known.note(HERE, 0)
    known.forget(HERE)
    known.forget(HERE)
    assert not known.knows(HERE, 1)
