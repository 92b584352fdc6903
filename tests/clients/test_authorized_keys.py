import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctsftp.clients.authorized_keys import (
    MAX_FILE_BYTES,
    MAX_LINES,
    AuthorizedKeys,
    Refusal,
    add_line,
    format_line,
    parse_authorized_keys,
    remove_key,
)
from ctsftp.clients.keys import read_public_key
from ctsftp.errors import UsageError

NOON = datetime(2031, 5, 6, 12, 0, 0, tzinfo=UTC)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB08+HjHen7Zoy5QF6mb8nIRbC8GMZghx5Dago5XCblm job"


def parse(text: str) -> AuthorizedKeys:
    return parse_authorized_keys(text.encode())


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_keys_comments_and_blank_lines_are_read_with_their_line_numbers(ring: Any) -> None:
    keys = parse(f"# ours\n\n{ring.line(1)} and more\r\n  \t\n\t# theirs\n  {ring.line(2)}")

    assert [(entry.line, entry.comment) for entry in keys.entries] == [(3, "key-1 and more"), (6, "key-2")]
    assert keys.entries[0].key.blob == ring.public(1).blob
    assert keys.problems == ()
    assert keys.find(ring.public(2).blob) is keys.entries[1]
    assert keys.find(ring.public(3).blob) is None


def test_a_key_without_options_is_good_from_everywhere_and_for_ever(ring: Any) -> None:
    (entry,) = parse(ring.line()).entries

    assert entry.refusal("192.0.2.1", NOON) is None
    assert entry.refusal("2001:db8::1", datetime(9999, 1, 1, tzinfo=UTC)) is None


def test_from_is_enforced(ring: Any) -> None:
    (entry,) = parse(f'from="10.0.0.0/8,!10.6.*" {ring.line()}').entries

    assert entry.from_patterns == ("10.0.0.0/8", "!10.6.*")
    assert entry.refusal("10.1.2.3", NOON) is None
    assert entry.refusal("10.6.2.3", NOON) is Refusal.OUTSIDE_FROM
    assert entry.refusal("nowhere", NOON) is Refusal.OUTSIDE_FROM


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("20310506Z", datetime(2031, 5, 6, tzinfo=UTC)),
        ("203105061230Z", datetime(2031, 5, 6, 12, 30, tzinfo=UTC)),
        ("20310506123015Z", datetime(2031, 5, 6, 12, 30, 15, tzinfo=UTC)),
        ("203105061230", datetime(2031, 5, 6, 3, 30, tzinfo=UTC)),
        ("20310506", datetime(2031, 5, 5, 15, 0, tzinfo=UTC)),
    ],
)
def test_expiry_time_is_local_time_unless_it_says_utc(ring: Any, tokyo: None, value: str, moment: datetime) -> None:
    (entry,) = parse(f'expiry-time="{value}" {ring.line()}').entries

    assert entry.expires == moment
    assert entry.refusal("10.0.0.1", moment - timedelta(seconds=1)) is None
    assert entry.refusal("10.0.0.1", moment) is Refusal.EXPIRED


def test_restrict_and_what_no_session_has_anyway_are_understood(ring: Any) -> None:
    options = "restrict,no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding,NO-USER-RC"

    assert len(parse(f"{options} {ring.line()}").entries) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('command="internal-sftp"', "command is not supported"),
        ('command="echo \\"hi, there\\" AAAA"', "command is not supported"),
        ('environment="A=b"', "environment is not supported"),
        ('permitopen="a:1"', "permitopen is not supported"),
        ("cert-authority", "cert-authority is not supported"),
        ('principals="root"', "principals is not supported"),
        ("restrict,pty", "pty is not supported"),
        ("no-touch-required", "no-touch-required is not supported"),
        ("form=" + '"10.0.0.1"', "form is not supported"),
        ("from", "from is not supported"),
        ('restrict="yes"', "restrict is not supported with a value"),
        ("from=10.0.0.1", "options are broken"),
        ('from="10.0.0.1', "options are broken"),
        ('from="10.0.0.1"x', "options are broken"),
        ('from="10.0.0.1",', "options are broken"),
        (",restrict", "options are broken"),
        ('from="10.0.0.1",from="*"', "from is here twice"),
        ('from=""', "not an address"),
        ('from="sender.example.com"', "host names are not looked up"),
        ('from="10.0.0.1, 10.0.0.2"', "' 10.0.0.2', which is not an address"),
        ('from="!10.0.0.1"', "nothing would ever match"),
        ('expiry-time="2031-05-06"', "is not a time"),
        ('expiry-time="20310230Z"', "is not a time"),
        ('expiry-time="2031050612Z"', "is not a time"),
        ('expiry-time="00000101Z"', "is not a time"),
        ('expiry-time="00010101"', "is not a time"),
        ('expiry-time="٢٠٣١٠٥٠٦"', "is not a time"),
        ('expiry-time="20310506125960Z"', "is not a time"),
        ("restrict restrict", "'restrict' are not accepted"),
    ],
)
def test_an_option_that_is_not_understood_takes_the_whole_line_away(
    ring: Any, tokyo: None, options: str, reason: str
) -> None:
    keys = parse(f"{ring.line(1)}\n{options} {ring.line(2)}\n{ring.line(3)}\n")

    assert [entry.line for entry in keys.entries] == [1, 3]
    ((line, text),) = [(problem.line, problem.text) for problem in keys.problems]
    assert line == 2
    assert reason in text
    assert text.isprintable()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"ssh-ed25519", "no key is here"),
        (KEY.encode()[:40], "broken"),
        (KEY.encode().replace(b" AAAA", b" AA!AA"), "not accepted"),
        (KEY.encode() + b" \x1b[2J", "control character"),
        (KEY.encode() + " \u2028".encode() + KEY.encode(), "invisible"),
        (KEY.encode() + b" \x0b " + KEY.encode(), "control character"),
        (KEY.encode() + b" caf\xe9", "not UTF-8"),
        (b"\xef\xbb\xbf" + KEY.encode(), "byte-order mark"),
        (KEY.encode() + b"\r" + KEY.encode(), "control character"),
        (KEY.replace(" ", "\u00a0").encode(), "invisible"),
        (b"@cert-authority * " + KEY.encode(), "options are broken"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----", "THIS IS A PRIVATE KEY"),
        (b"ssh-dss AAAAB3NzaC1kc3MAAACBAP", "DSA"),
        (b"ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5", "certificate"),
        (b"2048 35 1234567890 SSH 1", "not accepted"),
    ],
)
def test_a_line_that_is_broken_or_looks_other_than_it_is_grants_nothing(line: bytes, reason: str) -> None:
    keys = parse_authorized_keys(b"# first\n" + line + b"\n")

    assert keys.entries == ()
    assert [problem.line for problem in keys.problems] == [2]
    assert reason in keys.problems[0].text


def test_a_key_that_is_too_weak_grants_nothing() -> None:
    keys = parse(asyncssh.generate_private_key("ssh-rsa", key_size=1024).export_public_key().decode())

    assert keys.entries == ()
    assert "1024 bits" in keys.problems[0].text


def test_of_a_key_on_two_lines_the_first_sound_one_counts_and_the_other_is_told(ring: Any) -> None:
    keys = parse(f'form="10.0.0.1" {ring.line()}\nfrom="10.0.0.1" {ring.line()}\n{ring.line()}\n')

    assert [(entry.line, entry.from_patterns) for entry in keys.entries] == [(2, ("10.0.0.1",))]
    assert [problem.line for problem in keys.problems] == [1, 3]
    assert "is on line 2" in keys.problems[1].text


def test_a_file_beyond_its_limits_grants_nothing(ring: Any) -> None:
    for text in (ring.line() + "\n" * (MAX_LINES + 1), ring.line() + "\n#" + "x" * MAX_FILE_BYTES):
        keys = parse(text)
        assert keys.entries == ()
        assert "all of it is ignored" in keys.problems[0].text


def test_a_file_at_its_limits_is_read(ring: Any) -> None:
    text = ring.line() + "\n" * MAX_LINES

    assert len(parse(text.ljust(MAX_FILE_BYTES, "#")).entries) == 1


def test_revoking_leaves_a_key_whose_comment_names_the_one_that_is_revoked(ring: Any) -> None:
    names_it = ring.text(2).rstrip(b"\n") + b" replaces " + ring.text(1)
    assert remove_key(names_it + ring.text(1), ring.public(1).fingerprint) == names_it


@settings(deadline=None)
@given(junk=st.binary(max_size=120))
def test_no_bytes_whatever_break_the_reader_or_the_lines_beside_them(junk: bytes) -> None:
    keys = parse_authorized_keys(KEY.encode() + b"\n" + junk)

    assert [entry.line for entry in keys.entries] == [1]


option = st.sampled_from(
    ["restrict", "no-pty", "pty", "from=", 'from="10.0.0.1"', "expiry-time=", '"', ",", " ", "\\", "=", "AAAA"]
)


@settings(deadline=None)
@given(options=st.lists(option, max_size=6).map("".join))
def test_a_line_grants_only_if_every_option_is_one_that_is_known(options: str) -> None:
    keys = parse(f"{options} {KEY}")

    for entry in keys.entries:
        rest = options.replace('from="10.0.0.1"', "restrict").replace("no-pty", "restrict").strip()
        assert set(rest.split(",")) <= {"restrict", ""}
        assert entry.from_patterns == (("10.0.0.1",) if "from" in options else ())


def test_a_written_line_reads_back_as_what_was_meant(ring: Any) -> None:
    tokyo = timezone(timedelta(hours=9))
    line = format_line(
        ring.public(),
        from_patterns=["10.0.0.0/8", "2001:db8::/32"],
        expires=datetime(2031, 5, 6, 12, 30, 15, 999, tzinfo=tokyo),
        comment="Responsys, production",
    )

    (entry,) = parse(line).entries

    assert 'expiry-time="20310506033015Z"' in line
    assert entry.from_patterns == ("10.0.0.0/8", "2001:db8::/32")
    assert entry.expires == datetime(2031, 5, 6, 3, 30, 15, tzinfo=UTC)
    assert entry.comment == "Responsys, production"
    assert entry.key.blob == ring.public().blob


def test_a_key_keeps_its_own_comment_unless_another_is_given(ring: Any) -> None:
    assert parse(format_line(ring.public(7))).entries[0].comment == "key-7"
    assert parse(format_line(ring.public(7), comment="")).entries[0].comment == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"comment": "a\nssh-ed25519 AAAA"},
        {"comment": "a\u2028b"},
        {"comment": "x" * 201},
        {"expires": datetime(2031, 5, 6)},  # noqa: DTZ001 - the fault that is meant
        {"from_patterns": ['10.0.0.1",command="x']},
        {"from_patterns": ["sender.example.com"]},
    ],
)
def test_what_could_not_be_read_back_is_not_written(ring: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        format_line(ring.public(), **wrong)


ODD = b"# caf\xe9 \x00 \xff\n\n  # kept\r\nbroken line\x0b\xe2\x80\xa8\r\n\r"


def test_adding_leaves_every_byte_before_it(ring: Any) -> None:
    data = ODD + ring.text(1).rstrip(b"\n")

    longer = add_line(data, ring.line(2))

    assert longer == data + b"\n" + ring.line(2).encode() + b"\n"
    assert add_line(b"", "x") == b"x\n"


def test_revoking_takes_every_line_of_the_key_and_leaves_every_other_byte(ring: Any) -> None:
    gone = ring.public(1)
    broken = b'command="x" ' + ring.text(1)
    odd = ODD + b"\nssh-rsa AAAAA\n"
    data = odd + ring.text(1) + ring.text(2) + broken + b"# " + ring.text(1) + ring.text(3).rstrip(b"\n")

    kept = remove_key(data, gone.fingerprint)

    assert kept == odd + ring.text(2) + b"# " + ring.text(1) + ring.text(3).rstrip(b"\n")
    assert remove_key(kept, gone.fingerprint) == kept


@settings(deadline=None)
@given(junk=st.lists(st.binary(max_size=40), max_size=5))
def test_adding_then_revoking_gives_the_file_back(junk: list[bytes]) -> None:
    data = b"".join(piece + b"\n" for piece in junk)
    key = read_public_key(KEY.encode())

    assert remove_key(add_line(data, format_line(key)), key.fingerprint) == data
