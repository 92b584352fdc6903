import pytest

from ctsftp.clients.addresses import MAX_PATTERNS, check_patterns, matches
from ctsftp.errors import UsageError


@pytest.mark.parametrize(
    ("patterns", "address", "allowed"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("0.0.0.0/0", "192.0.2.1", True),
        ("192.0.2.?", "192.0.2.7", True),
        ("192.0.2.?", "192.0.2.77", False),
        ("192.0.*", "192.0.2.77", True),
        ("*", "2001:db8::1", True),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("2001:DB8:*", "2001:db8:1::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("10.0.0.0/8,!10.6.0.0/16", "10.1.1.1", True),
        ("10.0.0.0/8,!10.6.0.0/16", "10.6.1.1", False),
        ("!10.6.0.0/16,10.0.0.0/8", "10.6.1.1", False),
        ("!10.6.0.0/16,10.0.0.0/8", "11.1.1.1", False),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("*", "sender.example.com", False),
        ("*", "", False),
    ],
)
def test_a_list_allows_what_openssh_would_allow(patterns: str, address: str, *, allowed: bool) -> None:
    check_patterns(patterns.split(","))

    assert matches(patterns.split(","), address) is allowed


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "sender.example.com",
        "*.example.com",
        "*.cafe",
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "10.0.0",
        "010.0.0.1",
        "10.*/8",
        " 10.0.0.1",
        "!!10.0.0.1",
        "fe80::1%eth0",
        "::ffff:10.0.0.0/104",
        '10.0.0.1"',
        "[10.0.0.1]",
    ],
)
def test_what_is_no_pattern_of_addresses_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="from="):
        check_patterns(["192.0.2.1", pattern])


@pytest.mark.parametrize("patterns", [[], ["!10.0.0.1"], ["!10.0.0.1", "!10.0.0.2"]])
def test_a_list_that_could_never_match_is_refused(patterns: list[str]) -> None:
    with pytest.raises(UsageError, match="would ever match"):
        check_patterns(patterns)


def test_a_list_has_a_limit() -> None:
    with pytest.raises(UsageError, match=str(MAX_PATTERNS)):
        check_patterns(["10.0.0.1"] * (MAX_PATTERNS + 1))
