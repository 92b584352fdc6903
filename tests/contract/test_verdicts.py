"""What becomes of a sound file, and why."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.codes import Code
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.states import State
from ctsftp.contract.verdict import (
    DEFAULT_GUARDS,
    Case,
    Guards,
    SegmentFacts,
    Signs,
    Verdict,
    change_notice,
    judge_signs,
    title_notice,
)

TODAY = date(2026, 1, 31)
FACTS = SegmentFacts(retired=False, rolled_back=False, newest_stamp="20260130_0900", members=1000)


def verdict(
    stamp: str = "20260131_0900",
    *,
    members: int = 1000,
    segment: SegmentFacts | None = FACTS,
    is_twin: bool = False,
    approved: bool = False,
    guards: Guards = DEFAULT_GUARDS,
) -> Verdict:
    file = SegmentFile(title="VIP", key="vip", stamp=stamp)
    case = Case(file=file, members=members, sha256="1", today=TODAY, guards=guards)
    return case.verdict(segment, "1" if is_twin else "2", approved)


def test_an_upload_that_is_tried_again_after_its_correction_was_applied_is_superseded() -> None:
    segment = replace(FACTS, newest_upload="b")
    file = SegmentFile(title="VIP", key="vip", stamp="20260130_0900")

    def state(upload_id: str | None) -> State:
        case = Case(file=file, upload_id=upload_id, members=9, sha256="1", today=TODAY, guards=Guards(shrunk_ratio=0))
        return case.verdict(segment).state

    assert state("a") is State.SUPERSEDED
    assert state("c") is State.LOADED
    assert state(None) is State.LOADED


def facts(**changes: object) -> SegmentFacts:
    values = {"retired": False, "rolled_back": False, "newest_stamp": "20260130_0900", "members": 1000} | changes
    return SegmentFacts(**values)  # type: ignore[arg-type]


def held(code: Code) -> tuple[State, Code]:
    return State.HELD, code


def outcome(found: Verdict) -> tuple[State, Code | None]:
    return found.state, found.code


def test_a_newer_list_is_loaded() -> None:
    assert verdict() == Verdict(State.LOADED, None, "")


def test_the_first_file_makes_the_segment_even_without_members() -> None:
    assert verdict(segment=None).state == State.LOADED
    assert verdict(segment=None, members=0).state == State.LOADED


def test_the_same_stamp_with_other_bytes_is_a_correction_and_is_loaded() -> None:
    assert verdict("20260130_0900").state == State.LOADED


@pytest.mark.parametrize("stamp", ["20260130_0859", "20260129_2359"])
def test_an_older_stamp_is_superseded(stamp: str) -> None:
    found = verdict(stamp)
    assert outcome(found) == (State.SUPERSEDED, None)
    assert stamp in found.reason
    assert "20260130_0900" in found.reason


def test_a_segment_that_never_published_supersedes_nothing() -> None:
    assert verdict("00010101_0000", segment=facts(newest_stamp=None, members=0)).state == State.LOADED


def test_a_twin_is_a_duplicate_whatever_else_holds() -> None:
    segment = facts(retired=True, rolled_back=True, newest_stamp="20270101_0000")
    assert outcome(verdict(segment=segment, is_twin=True, members=0)) == (State.DUPLICATE, None)


def test_a_retired_segment_takes_nothing_not_even_an_approved_file() -> None:
    assert verdict(segment=facts(retired=True)).state == State.RETIRED
    assert verdict("20200101_0000", segment=facts(retired=True)).state == State.RETIRED
    assert verdict(segment=facts(retired=True), approved=True).state == State.RETIRED


def test_an_old_file_is_superseded_rather_than_held() -> None:
    found = verdict("20250101_0000", members=0, segment=facts(rolled_back=True))
    assert found.state == State.SUPERSEDED


@pytest.mark.parametrize(
    ("members", "segment_members", "expected"),
    [
        (499, 1000, held(Code.SHRUNK)),
        (500, 1000, (State.LOADED, None)),
        (49, 100, held(Code.SHRUNK)),
        (50, 100, (State.LOADED, None)),
        (50, 101, held(Code.SHRUNK)),
        (1, 99, (State.LOADED, None)),
        (0, 99, held(Code.EMPTY)),
        (0, 1, held(Code.EMPTY)),
        (0, 1000, held(Code.EMPTY)),
        (0, 0, (State.LOADED, None)),
    ],
)
def test_a_list_that_lost_its_members_is_held(
    members: int, segment_members: int, expected: tuple[State, Code | None]
) -> None:
    found = verdict(members=members, segment=facts(members=segment_members))
    assert outcome(found) == expected
    if found.code:
        assert f"{segment_members:,}" in found.reason


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("20260202_2359", (State.LOADED, None)),
        ("20260203_0000", held(Code.FUTURE)),
        ("99991231_9999", held(Code.FUTURE)),
    ],
)
@pytest.mark.parametrize("segment", [FACTS, None])
def test_a_stamp_over_two_days_ahead_is_held(
    stamp: str, expected: tuple[State, Code | None], segment: SegmentFacts | None
) -> None:
    assert outcome(verdict(stamp, segment=segment)) == expected


def test_after_a_rollback_a_file_is_held_by_that_first_and_all_other_reasons_are_told() -> None:
    found = verdict("20270101_0000", members=10, segment=facts(rolled_back=True))
    assert outcome(found) == held(Code.ROLLED_BACK)
    assert "rolled back" in found.reason
    assert "335 days after" in found.reason
    assert "10 members, and the segment had 1,000" in found.reason
    assert found.reason.count("It waits for the server's admin") == 1


def test_a_future_stamp_comes_before_what_is_in_the_file() -> None:
    assert verdict("20270101_0000", members=0).code == Code.FUTURE


def test_guards_are_limits_that_can_be_set() -> None:
    assert verdict(members=700, guards=DEFAULT_GUARDS.overlay(Guards(shrunk_ratio=0.8))).code == Code.SHRUNK
    assert verdict(members=100, guards=DEFAULT_GUARDS.overlay(Guards(shrunk_from=1001))).state == State.LOADED
    assert verdict("20260201_0000", guards=DEFAULT_GUARDS.overlay(Guards(future_days=0))).code == Code.FUTURE


def test_an_approved_file_skips_stamp_guards_and_twins() -> None:
    segment = facts(rolled_back=True, newest_stamp="20270101_0000")
    assert verdict("20260130_0900", members=0, segment=segment, approved=True).state == State.LOADED
    assert verdict("20280130_0900", members=0, segment=segment, approved=True).state == State.LOADED
    assert verdict(is_twin=True, approved=True).state == State.LOADED


@given(
    st.sampled_from(["20250101_0000", "20260130_0900", "20260131_0900", "20270101_0000"]),
    st.integers(0, 2000),
    st.none() | st.builds(facts, retired=st.booleans(), rolled_back=st.booleans(), members=st.integers(0, 2000)),
    st.booleans(),
    st.booleans(),
)
def test_a_code_goes_with_held_and_a_reason_with_all_but_loaded(
    stamp: str,
    members: int,
    segment: SegmentFacts | None,
    is_twin: bool,  # noqa: FBT001
    approved: bool,  # noqa: FBT001
) -> None:
    found = verdict(stamp, members=members, segment=segment, is_twin=is_twin, approved=approved)
    assert (found.code is not None) == (found.state == State.HELD)
    assert (found.reason == "") == (found.state == State.LOADED)


@pytest.mark.parametrize(
    ("previous", "entered", "left", "is_told"),
    [
        (100, 50, 50, False),
        (100, 51, 51, True),
        (100, 51, 50, True),
        (100, 0, 50, False),
        (100, 0, 51, True),
        (100, 100, 0, False),
        (100, 101, 0, True),
        (100, 0, 100, True),
        (100, 0, 0, False),
        (0, 1000, 0, False),
    ],
)
def test_a_change_of_more_than_half_is_told(previous: int, entered: int, left: int, is_told: bool) -> None:  # noqa: FBT001
    told = change_notice(previous, entered, left)
    assert (told is not None) == is_told
    if told:
        assert told.code == Code.MOSTLY_CHANGED
        assert f"{left:,} of {previous:,}" in told.text


def test_a_new_spelling_of_a_title_is_told_with_both_spellings() -> None:
    told = title_notice("VIP members", "vip\u202emembers")
    assert told is not None
    assert told.code == Code.TITLE_SPELLING
    assert '"VIP members"' in told.text
    assert '"vip\\u202emembers"' in told.text
    assert "Name: " in told.text
    assert title_notice("VIP", "VIP") is None


CUT = Signs(last_row="10")
FOOTER = Signs(footer="The id in the last row, 30, is the number of rows: it may be a footer.")
OTHER_TITLE = Signs(id_title="id")
UNDER_CTUSERID = replace(FACTS, id_title="ctuserid")


@pytest.mark.parametrize(
    ("signs", "segment", "ends_lines", "code"),
    [
        (Signs(), FACTS, True, None),
        (CUT, FACTS, True, Code.UNFINISHED),
        (CUT, None, True, Code.UNFINISHED),
        (CUT, FACTS, False, None),
        (FOOTER, FACTS, False, Code.FOOTER),
        (FOOTER, None, False, Code.FOOTER),
        (OTHER_TITLE, UNDER_CTUSERID, False, Code.ID_TITLE),
        (OTHER_TITLE, FACTS, False, None),
        (OTHER_TITLE, replace(FACTS, id_title="Id"), False, None),
        (OTHER_TITLE, None, False, None),
        (Signs(id_title="CTUserID"), UNDER_CTUSERID, False, None),
    ],
)
def test_what_a_file_shows_holds_it_where_history_makes_it_clear(
    signs: Signs,
    segment: SegmentFacts | None,
    ends_lines: bool,  # noqa: FBT001
    code: Code | None,
) -> None:
    file = SegmentFile(title="VIP", key="vip", stamp="20260131_0900")
    case = Case(file=file, members=1000, sha256="1", today=TODAY, signs=signs, ends_lines=ends_lines)
    assert outcome(case.verdict(segment)) == ((State.HELD, code) if code else (State.LOADED, None))
    assert case.verdict(segment, approved=True).state == State.LOADED
    alone = judge_signs(signs, segment.id_title if segment else None, ends_lines=ends_lines)
    assert (alone.code if alone else None) == code


def test_signs_come_behind_the_guards_and_all_are_told() -> None:
    file = SegmentFile(title="VIP", key="vip", stamp="20260131_0900")
    signs = replace(CUT, footer=FOOTER.footer)
    found = Case(file=file, members=10, sha256="1", today=TODAY, signs=signs, ends_lines=True).verdict(FACTS)
    assert found.code == Code.SHRUNK
    for words in ("10 members, and", 'may be cut off: "10"', "may be a footer"):
        assert words in found.reason


def test_narrower_guards_stand_before_wider_ones_and_leave_the_others_as_they_are() -> None:
    client, segment = Guards(shrunk_ratio=0.8), Guards(shrunk_from=5)
    guards = DEFAULT_GUARDS.overlay(client).overlay(segment).overlay(None)
    assert guards == Guards(shrunk_from=5, shrunk_ratio=0.8, future_days=2)


def test_a_guard_that_is_set_nowhere_holds_nothing() -> None:
    for guards in (Guards(), Guards(shrunk_from=1), Guards(shrunk_ratio=1)):
        assert verdict("20990101_0000", members=1, guards=guards).state == State.LOADED
