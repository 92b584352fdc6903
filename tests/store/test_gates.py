import pytest

from ctsftp.errors import NotFoundError, RefusedError

from .conftest import Feed


async def test_a_gate_is_open_to_the_members_of_any_of_its_segments(feed: Feed) -> None:
    gates = feed.store.gates
    await feed.load([1, 2], title="VIP")
    await feed.load([2, 3], title="Gold")
    await feed.load([4], title="Other")
    gate = await gates.set("acme", "reward", "4711", ["vip", "gold", "vip"])
    assert gate.segments == ["Gold", "VIP"]
    assert [one for one in range(6) if await gates.is_open("acme", "reward", "4711", one)] == [1, 2, 3]
    await gates.set("acme", "reward", "4711", ["other"])
    assert [one for one in range(6) if await gates.is_open("acme", "reward", "4711", one)] == [4]
    assert [one.segments for one in await gates.gates()] == [["Other"]]


async def test_gates_are_listed_in_pages_and_by_segment(feed: Feed) -> None:
    gates = feed.store.gates
    for client in ("acme", "bolt"):
        await feed.load([1], title="VIP", client=client)
    await feed.load([1], title="Gold")
    places = [("acme", "a", "1"), ("acme", "a", "B"), ("acme", "a", "a"), ("acme", "b", "1"), ("bolt", "a", "1")]
    for client, kind, item in places:
        await gates.set(client, kind, item, ["vip", *(["gold"] if kind == "b" else [])])
    paged: list[tuple[str, str, str]] = []
    while page := await gates.gates(limit=2, after=paged[-1] if paged else None):
        paged += [(one.client, one.kind, one.item) for one in page]
    assert paged == places
    assert [one.segments for one in await gates.gates(segment_key="gold")] == [["Gold", "VIP"]]
    assert [one.client for one in await gates.gates(segment_key="vip", client="bolt")] == ["bolt"]
    assert await gates.gates(segment_key="none") == []


async def test_what_a_member_may_see_is_told_by_client_and_kind(feed: Feed) -> None:
    gates = feed.store.gates
    await feed.load([1], title="VIP")
    await feed.load([1], title="VIP", client="bolt")
    await gates.set("acme", "reward", "b", ["vip"])
    await gates.set("acme", "activity", "a", ["vip"])
    await gates.set("bolt", "reward", "c", ["vip"])
    everything = [("acme", "activity", "a"), ("acme", "reward", "b"), ("bolt", "reward", "c")]
    assert await gates.open_to(1) == everything
    assert await gates.open_to(1, client="acme", kind="reward") == everything[1:2]
    assert await gates.open_to(2) == []


async def test_the_members_of_a_retired_segment_see_nothing_by_it(feed: Feed) -> None:
    await feed.load([1])
    await feed.store.gates.set("acme", "reward", "4711", ["vip"])
    await feed.store.segments.retire("acme", "vip")
    assert not await feed.store.gates.is_open("acme", "reward", "4711", 1)
    assert await feed.store.gates.open_to(1) == []


async def test_a_gate_needs_segments_that_are_there_and_its_clients_own(feed: Feed) -> None:
    await feed.load([1], title="VIP")
    await feed.load([1], title="Gold", client="bolt")
    gates = feed.store.gates
    await gates.set("acme", "reward", "4711", ["vip"])
    for key in ("gold", "none"):
        with pytest.raises(NotFoundError, match=f'acme has no segment "{key}"'):
            await gates.set("acme", "reward", "4711", ["vip", key])
    assert (await gates.gate("acme", "reward", "4711")).segments == ["VIP"], "nothing was changed"


async def test_a_gate_that_is_not_there_is_said_not_to_be(feed: Feed) -> None:
    await feed.load([1])
    gates = feed.store.gates
    await gates.set("acme", "reward", "4711", ["vip"])
    await gates.remove("acme", "reward", "4711")
    assert await gates.gates() == []
    with pytest.raises(NotFoundError, match="no gate for the reward 4711"):
        await gates.gate("acme", "reward", "4711")
    with pytest.raises(NotFoundError):
        await gates.remove("acme", "reward", "4711")
    with pytest.raises(NotFoundError):
        await gates.is_open("acme", "reward", "4711", 1)


async def test_a_segment_that_opens_a_gate_is_not_deleted(feed: Feed) -> None:
    await feed.load([1])
    await feed.store.gates.set("acme", "reward", "4711", ["vip"])
    await feed.store.segments.retire("acme", "vip")
    with pytest.raises(RefusedError, match=r"opens gates \(reward 4711\).*gate remove"):
        await feed.store.segments.delete("acme", "vip")
    await feed.store.gates.remove("acme", "reward", "4711")
    await feed.store.segments.delete("acme", "vip")
    assert await feed.store.segments.segments() == []
