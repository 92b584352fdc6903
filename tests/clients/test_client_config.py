import pytest

from ctsftp.clients.config import ClientConfig, parse_config, set_enabled
from ctsftp.contract.verdict import Guards
from ctsftp.errors import RefusedError

FULL = b"""
enabled = true
id_columns = ["id", " Member ID "]
allow_sha1 = true
refuse_at_close = false
directories = ["/in/lists", "upload/"]
temporary_names = ["new-", "incoming"]
held_is_failure = true
touch_first = true
max_rows = 1_000_000
max_file_size_bytes = 5_000_000_000

[guards]
shrunk_ratio = 0.25
shrunk_from = 10
future_days = 0

[segments."VIP Gold"]
shrunk_ratio = 1
"""


def test_an_absent_file_says_the_defaults() -> None:
    assert parse_config(b"") == (ClientConfig(), ())
    assert ClientConfig().enabled
    assert ClientConfig().refuse_at_close
    assert not ClientConfig().allow_sha1
    assert not ClientConfig().held_is_failure
    assert not ClientConfig().touch_first


def test_everything_that_a_file_can_say_is_read() -> None:
    config, problems = parse_config(FULL)

    assert problems == ()
    assert config == ClientConfig(
        id_columns=("id", "Member ID"),
        allow_sha1=True,
        refuse_at_close=False,
        directories=("/in/lists", "upload/"),
        temporary_names=("new-", "incoming"),
        held_is_failure=True,
        touch_first=True,
        max_rows=1_000_000,
        max_file_size_bytes=5_000_000_000,
        guards=Guards(shrunk_ratio=0.25, shrunk_from=10, future_days=0),
        segments={"VIP Gold": Guards(shrunk_ratio=1.0)},
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"enabled = true\nallow_sha1 = maybe\n", "line 2"),
        (b"allow_sha1 = true\nallow_sha1 = false\n", "line 2"),
        (b"allow_sha_1 = true", "allow_sha_1: there is no such setting"),
        (b'enabled = "no"', "enabled"),
        (b"enabled = 1", "enabled"),
        (b"max_rows = 0", "max_rows"),
        (b"max_rows = 1.5", "max_rows"),
        (b'id_columns = "id"', "id_columns"),
        (b'id_columns = ["id", ""]', "id_columns.1"),
        (b"id_columns = [1]", "id_columns.0"),
        (b'directories = "/in"', "directories"),
        (b'directories = ["C:\\\\in"]', "directories.0"),
        (b'temporary_names = [""]', "temporary_names.0"),
        (b'temporary_names = ["in/"]', "temporary_names.0"),
        (b"[guards]\nshrunk_ratio = 2", "guards.shrunk_ratio"),
        (b"[guards]\nshrunk_ratio = nan", "guards.shrunk_ratio"),
        (b"[guards]\nfuture_days = -1", "guards.future_days"),
        (b"[guards]\nfuture = 1", "guards.future: there is no such setting"),
        (b'[segments."VIP"]\nenabled = true', "segments.VIP.enabled: there is no such setting"),
        (b"[segments]\nVIP = 1", "segments.VIP"),
        (b"enabled = true # \xff", "not UTF-8"),
        (b"x = " + b"[" * 30_000, "no TOML"),
        (b"max_rows = " + b"9" * 10_000, "no TOML"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_broken_file_disables_and_says_which_line_or_field(text: bytes, where: str) -> None:
    config, (problem, *more) = parse_config(text)

    assert config == ClientConfig(enabled=False)
    assert where in problem.text
    assert problem.text.endswith("(the client is disabled)")
    assert more == []


def test_every_field_that_is_wrong_is_told_at_once() -> None:
    _, problems = parse_config(b"allow_sha1 = 1\nmax_rows = -1\n")

    assert [problem.text.split(":")[0] for problem in problems] == ["allow_sha1", "max_rows"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"enabled = false\n"),
        (b"enabled = true # see ticket 7\n", b"enabled = false # see ticket 7\n"),
        (b"# ours\nmax_rows = 1_000\n", b"# ours\nmax_rows = 1_000\nenabled = false\n"),
        (b"# ours\n[guards] # few\nfuture_days = 1\n", b"# ours\nenabled = false\n\n[guards] # few\nfuture_days = 1\n"),
    ],
)
def test_disabling_changes_one_line_and_keeps_the_rest(before: bytes, after: bytes) -> None:
    assert set_enabled(before, enabled=False) == after
    assert not parse_config(after)[0].enabled
    assert parse_config(set_enabled(after, enabled=True))[0].enabled


def test_a_file_that_is_no_toml_is_not_edited() -> None:
    for enabled in (True, False):
        with pytest.raises(RefusedError, match="line 1"):
            set_enabled(b"enabled = maybe", enabled=enabled)


def test_a_client_with_a_wrong_setting_can_be_disabled_but_not_enabled() -> None:
    assert b"enabled = false" in set_enabled(b"max_rows = -1\n", enabled=False)
    with pytest.raises(RefusedError, match="max_rows"):
        set_enabled(b"max_rows = -1\n", enabled=True)
