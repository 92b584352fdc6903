"""Lists as parts do what numpy does with arrays: cutting, comparing, looking up, paging."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from ctsftp.errors import DamagedListError
from ctsftp.lists import Ids, MemberList, Part, build, changes, holds, in_memory, is_scattered, parts, read_part

LARGEST = 2**63 - 1
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Close together, so that lists share ids and containers; spread over everything; and at the ends.
ONE_ID = st.one_of(
    st.integers(1, 40), st.integers(1, 2**34), st.integers(1, LARGEST), st.integers(LARGEST - 9, LARGEST)
)
IDS = st.sets(ONE_ID, max_size=60).map(lambda found: np.array(sorted(found), dtype=np.int64))


def written(ids: Ids) -> MemberList:
    made = list(build(ids))
    return MemberList([part for part, _ in made], lambda part: read_part(part, made[part.place][1]))


def all_ids(members: MemberList, above: int = 0, limit: int = 7) -> list[int]:
    return [one for page in members.pages(above, limit) for one in page.tolist()]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers of four ids, and parts of a few of them."""
    monkeypatch.setattr(parts, "CONTAINER_BITS", 2)
    monkeypatch.setattr(parts, "MAX_PART_IDS", 6)
    monkeypatch.setattr(parts, "MAX_PART_CONTAINERS", 3)


@pytest.mark.usefixtures("small_parts")
@PROPERTY
@given(ids=IDS)
def test_parts_are_cut_between_containers_and_hold_every_id_once(ids: Ids) -> None:
    made = list(build(ids))
    assert [one for part, blob in made for one in read_part(part, blob)] == ids.tolist()
    for place, (part, _) in enumerate(made):
        some = ids[(ids >= part.first) & (ids <= part.last)]
        assert (part.place, part.members) == (place, len(some))
        assert len(some) <= parts.MAX_PART_IDS
        assert len(set((some >> parts.CONTAINER_BITS).tolist())) <= parts.MAX_PART_CONTAINERS
    for (earlier, _), (later, _) in pairwise(made):
        assert earlier.last >> parts.CONTAINER_BITS < later.first >> parts.CONTAINER_BITS


@pytest.mark.usefixtures("small_parts")
@PROPERTY
@given(old=IDS, new=IDS, above=st.integers(0, 50), ends=st.tuples(st.booleans(), st.booleans()))
def test_two_lists_differ_as_their_arrays_do(old: Ids, new: Ids, above: int, ends: tuple[bool, bool]) -> None:
    lists = [written(ids) if on_disk else in_memory(ids) for ids, on_disk in zip((old, new), ends, strict=True)]
    entered: list[int] = []
    left: list[int] = []
    before = above
    for change in changes(*lists, above=above):
        assert change.until > before
        for ids in (change.entered, change.left):
            assert all(before < one <= change.until for one in ids.tolist())
        entered += change.entered.tolist()
        left += change.left.tolist()
        before = change.until
    for found, expected in ((entered, np.setdiff1d(new, old)), (left, np.setdiff1d(old, new))):
        assert found == expected[expected > above].tolist()


@pytest.mark.usefixtures("small_parts")
@PROPERTY
@given(ids=IDS, above=st.one_of(st.just(0), ONE_ID), limit=st.integers(1, 9))
def test_pages_ascend_and_leave_nothing_out(ids: Ids, above: int, limit: int) -> None:
    pages = [page.tolist() for page in written(ids).pages(above, limit)]
    assert all(len(page) == limit for page in pages[:-1])
    assert all(0 < len(page) <= limit for page in pages[-1:])
    assert [one for page in pages for one in page] == ids[ids > above].tolist()


@PROPERTY
@given(ids=IDS, others=IDS, dense=st.integers(0, 9_000))
def test_an_id_is_found_in_the_bytes_of_a_part_as_in_its_bitmap(ids: Ids, others: Ids, dense: int) -> None:
    some = np.union1d(ids, np.arange(100_000, 100_000 + dense))
    for part, blob in build(some):
        bitmap = read_part(part, blob)
        for one in {*others.tolist(), *ids.tolist(), 100_000, 100_000 + dense - 1, 100_000 + dense, 131_071, 131_072}:
            assert holds(blob, one) == (one in bitmap)


def test_the_same_parts_of_two_lists_are_not_even_read() -> None:
    ids = np.arange(1, 1_000_000, 3, dtype=np.int64)
    old, new = written(ids), written(np.append(ids, 5_000_000))
    loaded: list[int] = []

    def load(part: Part) -> BitMap64:
        loaded.append(part.place)
        return new.load(part)

    found = list(changes(old, MemberList(new.parts, load)))
    assert [one.entered.tolist() for one in found if one.entered.size] == [[5_000_000]]
    assert loaded == [len(new.parts) - 1]


def test_a_large_list_is_cut_into_parts_that_take_milliseconds() -> None:
    dense = list(build(np.arange(1, 1_000_001, dtype=np.int64)))
    assert [part.members for part, _ in dense[:2]] == [3 * 65_536 - 1, 3 * 65_536]
    scattered = list(build(np.arange(1, 25_001, dtype=np.int64) << 40))
    assert [part.members for part, _ in scattered] == [10_000, 10_000, 5_000]
    assert max(len(blob) for _, blob in [*dense, *scattered]) < 500_000


DAMAGE = {
    "nothing": lambda _: b"",
    "a cut": lambda blob: blob[:-1],
    "a byte too many": lambda blob: blob + b"\0",
    "a flipped bit": lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]),
    "noise": lambda _: bytes(range(200)),
    "an empty list": lambda _: BitMap64().serialize(),
    "another list": lambda _: BitMap64([1, 2]).serialize(),
}


@pytest.mark.parametrize("noted", [True, False], ids=["the digest tells", "the digest agrees"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_and_never_read_as_another_list(damage: str, noted: bool) -> None:  # noqa: FBT001
    ((part, blob),) = build(np.array([3, 70_000, LARGEST]))
    damaged = DAMAGE[damage](blob)
    digest = part.digest if noted else parts.digest_of(damaged)
    if damage in {"a byte too many", "a flipped bit"} and not noted:
        return  # the digest is what protects from these
    with pytest.raises(DamagedListError):
        read_part(Part(part.place, part.first, part.last, part.members, digest), damaged)


@pytest.mark.parametrize("cut", [0, 7, 9, 20, 30])
def test_bytes_that_are_cut_are_damage_for_a_look_up(cut: int) -> None:
    ((_, blob),) = build(np.array([3, 70_000]))
    with pytest.raises(DamagedListError):
        holds(blob[:cut], 70_000)


def test_a_bitmap_with_runs_is_none_of_ours() -> None:
    bitmap = BitMap64(range(1, 100_000))
    bitmap.run_optimize()
    with pytest.raises(DamagedListError):
        holds(bitmap.serialize(), 5)


@PROPERTY
@given(ids=IDS, limit=st.integers(0, 60))
def test_scattered_ids_are_counted_as_numpy_counts_them(ids: Ids, limit: int) -> None:
    assert is_scattered(ids, limit) == (len(np.unique(ids >> 16)) > limit)


def test_scattered_ids_are_counted_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "COUNTED_AT_ONCE", 3)
    ids = (np.array([1, 1, 1, 1, 2, 3, 3, 9, 10, 11]) << 16) + np.arange(10)
    assert is_scattered(ids, 5)
    assert not is_scattered(ids, 6)


def test_a_list_without_ids_has_no_parts() -> None:
    none = np.empty(0, dtype=np.int64)
    assert list(build(none)) == []
    assert list(changes(in_memory(none), in_memory(none))) == []
    assert (in_memory(none).members, all_ids(in_memory(none))) == (0, [])
    assert not is_scattered(none, 0)
