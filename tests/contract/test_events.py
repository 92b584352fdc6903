"""What people are told, and in which words: once when it breaks, once when it is back."""

import string
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.codes import PAGES, Code
from ctsftp.contract.events import BREAKS, OVER, TOLD_ONCE, EventKind, hear, reason_of, words_for

KINDS = st.sampled_from(EventKind)
CODES = st.sampled_from([None, "name", "shrunk"])
LOADED, BACK = EventKind.UPLOAD_LOADED, EventKind.SEGMENT_BACK
REJECTED, HELD, OVERDUE = EventKind.UPLOAD_REJECTED, EventKind.UPLOAD_HELD, EventKind.SEGMENT_OVERDUE

Happened = tuple[EventKind, str | None]


def told_of(story: Iterable[Happened], *, asked: frozenset[EventKind] | None = None) -> list[str]:
    """Go through what happened to one segment, and give the reasons of what people were told."""
    troubles: frozenset[str] = frozenset()
    told = []
    for kind, code in story:
        reason = reason_of(kind, {"code": code})
        is_told, troubles = hear(troubles, kind, reason, asked=asked)
        if is_told:
            told.append(reason)
    return told


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ([(LOADED, None)] * 3, []),
        ([(REJECTED, "name")] * 3, ["upload.rejected/name"]),
        ([(REJECTED, "name"), (REJECTED, "charset")], ["upload.rejected/name", "upload.rejected/charset"]),
        ([(HELD, "shrunk"), (LOADED, None), (LOADED, None)], ["upload.held/shrunk", "upload.loaded/"]),
        (
            [(REJECTED, "name"), (OVERDUE, None), (REJECTED, "name"), (LOADED, None), (BACK, None)],
            ["upload.rejected/name", "segment.overdue/", "upload.loaded/"],
        ),
        ([(OVERDUE, None), (BACK, None), (BACK, None)], ["segment.overdue/", "segment.back/"]),
        ([(HELD, "empty"), (BACK, None), (HELD, "empty")], ["upload.held/empty"]),
        ([(REJECTED, "name"), (LOADED, None)] * 2, ["upload.rejected/name", "upload.loaded/"] * 2),
        ([(EventKind.UPLOAD_CUT_OFF, None), (EventKind.UPLOAD_SUPERSEDED, None)], []),
        ([(EventKind.DISK_LOW, None), (EventKind.KEY_EXPIRING, None)], ["disk.low/", "key.expiring/"]),
    ],
)
def test_people_are_told_once_when_it_breaks_and_once_when_it_is_back(story: list[Happened], told: list[str]) -> None:
    assert told_of(story) == told


@given(st.lists(st.tuples(st.sampled_from([*BREAKS, LOADED]), CODES)))
def test_between_two_loads_no_reason_is_told_twice_and_a_load_is_told_where_something_was_broken(
    story: list[Happened],
) -> None:
    stretches: list[list[str]] = [[]]
    expected = []
    for kind, code in story:
        reason = reason_of(kind, {"code": code})
        if kind is LOADED:
            expected += [reason] if stretches[-1] else []
            stretches.append([])
        elif reason not in stretches[-1]:
            stretches[-1].append(reason)
            expected.append(reason)
    assert told_of(story) == expected


@given(st.lists(st.tuples(KINDS, CODES)), st.frozensets(KINDS, min_size=1))
def test_nothing_is_told_that_was_not_asked_for_but_that_a_trouble_is_over(
    story: list[Happened], asked: frozenset[EventKind]
) -> None:
    heard = told_of(story, asked=asked)
    wanted = {kind.value for kind in asked | (OVER if asked & BREAKS else frozenset())}
    assert {reason.partition("/")[0] for reason in heard} <= wanted


@given(st.lists(st.tuples(KINDS, CODES)), st.frozensets(st.sampled_from([k for k in EventKind if k not in BREAKS])))
def test_who_asks_for_no_trouble_is_told_of_all_that_was_asked_for(
    story: list[Happened], asked: frozenset[EventKind]
) -> None:
    assert told_of(story, asked=asked) == [reason_of(kind, {"code": code}) for kind, code in story if kind in asked]


def test_a_load_that_waits_for_a_person_is_another_trouble_than_one_that_is_tried_again() -> None:
    again, waits = ({"code": "internal"}, {"code": "internal", "waits": True})
    assert reason_of(EventKind.UPLOAD_FAILED, again) != reason_of(EventKind.UPLOAD_FAILED, waits)


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("segment", ["VIP Members", None])
def test_every_event_has_words_for_a_manager(kind: EventKind, segment: str | None) -> None:
    data = {
        "filename": "VIP_Members_20260310_0900.csv",
        "reason": "Because.",
        "code": "name",
        "members": 7,
        "every": "1d",
        "overdue_at": "o'clock",
        "heard_at": "noon",
        "kept_bytes": 8,
        "fingerprint": "SHA256:x",
        "comment": "c",
        "expires_at": "then",
        "spare_bytes": 9,
        "directory": "/tmp",
        "received_at": "then",
    }
    words = words_for(kind, client="acme", segment=segment, data=data)
    for text in (words.title, words.text):
        assert text
        assert not set("{}\n") & set(text), "every field is filled in, in one line"
        assert "?" not in text
    if kind not in TOLD_ONCE:
        assert (segment or "acme") in words.title + words.text
    assert words.text.rstrip()[-1] in string.punctuation


def test_words_for_what_is_not_known_are_still_words() -> None:
    assert "?" in words_for(EventKind.DISK_LOW, client=None, segment=None, data={}).text
    assert "upload show" in words_for(REJECTED, client="acme", segment="VIP", data={"code": "of tomorrow"}).text


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (REJECTED, {"code": "name"}, PAGES[Code.NAME].sender),
        (HELD, {"code": "shrunk"}, "ctsftp upload approve ID"),
        (EventKind.UPLOAD_FAILED, {"code": "disk"}, "retried automatically"),
        (EventKind.UPLOAD_FAILED, {"code": "loader_died", "waits": True, "id": "7"}, "ctsftp upload retry 7`"),
        (OVERDUE, {}, "its end date"),
        (OVERDUE, {"heard_at": "2026-03-10T12:00:00.000Z"}, "the last one came at 2026-03-10 12:00 UTC,"),
        (LOADED, {"members": 1_234_567}, "with 1,234,567 members"),
        (OVERDUE, {}, "15 minutes late"),
        (EventKind.UPLOAD_CUT_OFF, {"others": 1_988}, "with 1,988 others in a minute"),
    ],
)
def test_the_words_say_what_to_do(kind: EventKind, data: dict[str, object], said: str) -> None:
    assert said in words_for(kind, client="acme", segment="VIP", data=data).text


def test_a_name_cannot_forge_lines_or_fields() -> None:
    words = words_for(REJECTED, client="acme", segment='{todo}\n"x', data={"filename": "a\r\n{reason}" + "x" * 999})
    assert "\n" not in words.title + words.text
    assert "{todo}" in words.title
    assert "{reason}" in words.text
    assert len(words.text) < 2_000
