"""Receipts from a working engine: found by name and by id, whatever of them the ledger knows yet."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from ctsftp.app.clock import utc_now
from ctsftp.app.engine import Engine
from ctsftp.app.receipts import ReceiptDesk
from ctsftp.contract.states import State
from ctsftp.errors import DiskError, StoreError
from ctsftp.model.guide import INDEX_NAME, README_NAME
from ctsftp.model.receipt import Kind
from ctsftp.model.writing import iso
from ctsftp.settings import Settings
from ctsftp.spool.catalogue import Catalogue
from ctsftp.spool.home import Entry
from ctsftp.store import Upload
from ctsftp.store.receipts import ReceiptBook

from .bench import NAME, NEXT, Door, load, put, rows

LONG = "ä" * 117 + "_20260310_0900.csv"


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    async with Engine.open(settings) as engine:
        yield engine


def desk_of(engine: Engine, *, shown: int = 100, wait_s: float = 60) -> ReceiptDesk:
    return ReceiptDesk(
        store=engine.store,
        spool=engine.spool,
        queue=engine.queue,
        shown=shown,
        wait_s=wait_s,
        readme=lambda client: f"For {client}.\n".encode(),
    )


async def read(desk: ReceiptDesk, name: str, client: str = "acme") -> str | None:
    found = await desk.render(client, name)
    return None if found is None else found.data.decode()


async def state(desk: ReceiptDesk, name: str) -> str:
    text = await read(desk, name)
    assert text is not None, name
    return str(json.loads(text)["state"])


def names(entries: list[Entry]) -> list[str]:
    """The names of receipts, without the two texts that stand first."""
    return [entry.name for entry in entries if entry.name not in {INDEX_NAME, README_NAME}]


async def test_the_newest_upload_bears_the_name_and_an_older_one_its_id(engine: Engine) -> None:
    desk = desk_of(engine)
    first = await load(engine, NAME, rows([1, 2, "x"]))
    second = await load(engine, NAME, rows([*range(1, 20), "y"]))
    listed = await desk.entries("acme")
    assert [entry.name for entry in listed] == [INDEX_NAME, README_NAME, f"{NAME}.txt", f"{NAME}.{first.id}.txt"]
    assert names(await desk.details("acme")) == [
        *(NAME + kind for kind in (".json", ".rejected.csv")),
        *(f"{NAME}.{first.id}{kind}" for kind in (".json", ".rejected.csv")),
    ]
    assert json.loads(await read(desk, f"{NAME}.json") or "")["id"] == second.id
    for upload in (first, second):
        assert json.loads(await read(desk, f"{NAME}.{upload.id}.json") or "")["id"] == upload.id
    assert "21,y," in (await read(desk, f"{NAME}.rejected.csv") or "")
    assert "4,x," in (await read(desk, f"{NAME}.{first.id}.rejected.csv") or "")


async def test_every_receipt_that_is_listed_can_be_read_and_has_the_size_that_was_told(engine: Engine) -> None:
    desk = desk_of(engine)
    for name, content in ((NAME, rows([1, 2, "x"])), (NEXT, "a;CTUserID\n"), (LONG, rows(["ü" * 9, 5])), ("ready", "")):
        await load(engine, name, content)
    await load(engine, NAME, rows([1, 2, 3, "=x"]))
    for entry in (listed := [*await desk.entries("acme"), *await desk.details("acme")]):
        found = await desk.render("acme", entry.name)
        assert found is not None, entry.name
        assert found.entry == entry
    assert len(listed) == 2 + 3 + 3 + 2 + 3 + 2


async def test_the_index_has_a_line_for_each_upload_the_newest_first(engine: Engine) -> None:
    desk = desk_of(engine)
    await load(engine, NAME, rows([1, 2, "x"]))
    await load(engine, NEXT, "a;CTUserID\n1;2\n")
    await load(engine, "ready", "")
    index = await read(desk, INDEX_NAME) or ""
    titles, ready, refused, loaded = index.splitlines()[2:]
    assert titles.split() == ["TIME", "(UTC)", "FILE", "STATE", "MEMBERS", "WHAT", "TO", "CHANGE"]
    assert ready.split()[2:] == ["ready", "ignored", "nothing:", "no", "list"]
    assert refused.split()[2:] == [NEXT, "rejected", "(delimiter)", "Field", "delimiter:", "Comma"]
    assert f"{NAME}  rejected (too_many_rejected)" in loaded
    assert await read(desk, README_NAME) == "For acme.\n"


async def test_a_receipt_is_found_in_either_unicode_form_of_its_name(engine: Engine) -> None:
    desk = desk_of(engine)
    composed, split = "Caf\u00e9_VIP_20260310_0900.csv", "Cafe\u0301_VIP_20260310_0900.csv"
    upload = await load(engine, split, rows([1]))
    for name in (composed, split):
        for ending in (".txt", ".json", f".{upload.id}.json"):
            assert upload.id in (await read(desk, name + ending) or ""), (name, ending)
    newer = await load(engine, composed, rows([1, 2]))
    assert newer.id in (await read(desk, f"{split}.json") or "")
    assert names(await desk.entries("acme")) == [f"{composed}.txt", f"{split}.{upload.id}.txt"]


async def test_who_entered_and_who_left_is_told(engine: Engine) -> None:
    desk = desk_of(engine)
    await load(engine, NAME, rows([1, 2, 3]))
    await load(engine, NEXT, rows([2, 3, 4, 5]))
    receipt = json.loads(await read(desk, f"{NEXT}.json") or "")
    assert (receipt["entered"], receipt["left"]) == (2, 1)


async def test_receipts_and_the_index_say_what_is_so_when_they_are_read(engine: Engine) -> None:
    desk = desk_of(engine)
    first, second = await load(engine, NAME, rows(range(1, 301))), await load(engine, NEXT, rows(range(1, 201)))
    held = await load(engine, "VIP_20260310_0902.csv", rows(range(1, 6)))
    again = [await load(engine, name, rows(range(1, end))) for name, end in ((held.filename, 6), (NEXT, 201))]
    assert [one.state for one in again] == [State.DUPLICATE] * 2

    async def index() -> list[str]:
        """The last column, the newest upload first."""
        lines = (await read(desk, INDEX_NAME) or "").splitlines()[2:]
        return [line[lines[0].index("WHAT TO CHANGE") :] for line in lines[1:]]

    async def said(upload: Upload) -> str:
        return str(json.loads(await read(desk, f"{upload.filename}.{upload.id}.json") or "")["next"])

    waits = f"waits for the server's admin (ctsftp upload approve {held.id})"
    assert await index() == [
        "nothing: the same list is in use",
        f"nothing: the same list is held already, and {waits}",
        "nothing, if the audience is that small: it waits for the server's admin",
        *["nothing"] * 2,
    ]
    assert "approve" in await said(again[0])
    await engine.store.segments.rollback("acme", "vip")
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
    gone = rf"ask the server's admin: the list was in use until {moment}: an admin made another list current"
    for line in ((shown := await index())[0], shown[3]):
        assert re.fullmatch(gone, line)
    assert shown[4] == "nothing"
    for upload in (second, again[1]):
        assert re.search(rf"had these members until {moment}: an admin", await said(upload))
    assert "has these members" in await said(first)
    await engine.store.ledger.discard(held.id)
    assert "the server's admin discarded it" in await said(again[0])
    assert (await index())[1] == "nothing: the same file came before"


async def test_whoever_looks_right_after_the_close_gets_the_verdict(engine: Engine) -> None:
    desk = desk_of(engine)
    engine.landed(put(engine.spool, NAME, rows([1])))
    assert await state(desk, f"{NAME}.json") == "loaded"


async def test_a_load_that_takes_longer_is_said_to_be_running(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(engine, wait_s=0)
    door = Door()
    monkeypatch.setattr(engine.loader, "_config_of", door.config_of)
    upload = put(engine.spool, NAME, rows([1]))
    assert await state(desk, f"{NAME}.json") == "received"
    engine.landed(upload)
    await door.reached()
    assert await state(desk, f"{NAME}.{upload.id}.json") == "loading"
    door.open()
    await engine.queue.wait_for()
    assert await state(desk, f"{NAME}.json") == "loaded"


async def test_what_the_ledger_does_not_know_yet_hides_an_older_upload_of_its_name(engine: Engine) -> None:
    desk = desk_of(engine)
    first = await load(engine, NAME, rows([1]))
    second = put(engine.spool, NAME, rows([1, 2]))
    assert json.loads(await read(desk, f"{NAME}.json") or "")["id"] == second.id
    assert names(await desk.entries("acme")) == [f"{NAME}.txt", f"{NAME}.{first.id}.txt"]


async def test_a_client_finds_its_own_alone(engine: Engine) -> None:
    desk = desk_of(engine)
    theirs = await load(engine, NAME, rows([1]), client="globex")
    for name in (f"{NAME}.txt", f"{NAME}.{theirs.id}.txt", f"{NAME}.{theirs.id}.json"):
        assert await read(desk, name) is None
        assert await read(desk, name, "globex") is not None
    assert names(await desk.entries("acme")) == await desk.details("acme") == []


async def test_a_listing_has_its_limit_and_a_name_finds_what_is_beyond_it(engine: Engine) -> None:
    desk = desk_of(engine, shown=1)
    await load(engine, NAME, rows([1]))
    await load(engine, NEXT, rows([1]))
    assert names(await desk.entries("acme")) == [f"{NEXT}.txt"]
    assert await read(desk, f"{NAME}.txt") is not None


@pytest.mark.parametrize(
    "name", [NAME, "other.txt", f"{NAME}.rejected.csv", "x.{id}.txt", f"{NAME}.{{id}}", "{id}.txt", f"{NAME}.x.txt"]
)
async def test_other_names_find_nothing(engine: Engine, name: str) -> None:
    desk = desk_of(engine)
    upload = await load(engine, NAME, rows([1]))
    assert await read(desk, name.format(id=upload.id)) is None


async def test_a_database_that_fails_is_told_without_its_place(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_book: ReceiptBook, *_: object) -> None:
        raise StoreError("The database /secret/place is damaged.")

    monkeypatch.setattr(ReceiptBook, "of_name", fail)
    with pytest.raises(DiskError, match=r"^The receipts cannot be read now: try again in a minute\.$"):
        await desk_of(engine).render("acme", f"{NAME}{Kind.TEXT}")


async def test_a_client_that_looks_again_and_again_leaves_others_their_turn(engine: Engine) -> None:
    desk = desk_of(engine)
    await load(engine, NAME, rows([1]))
    looks = [asyncio.create_task(desk.entries("acme")) for _ in range(50)]
    await asyncio.sleep(0)
    assert names(await desk.entries("globex")) == []
    assert len([look for look in looks if look.done()]) <= 3
    assert all(await asyncio.gather(*looks))


async def test_a_look_lists_no_folder_of_uploads_but_the_first_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    ids = Catalogue.ids

    def counted(catalogue: Catalogue, client: str) -> list[str]:
        listed.append(client)
        return ids(catalogue, client)

    monkeypatch.setattr(Catalogue, "ids", counted)
    first = put(engine.spool, NAME, rows([1]))
    for number in range(3):
        assert json.loads(await read(desk_of(engine, wait_s=0), f"{NAME}.json") or "")["id"] == first.id
        first = put(engine.spool, NAME, rows([number]))
    await desk_of(engine, wait_s=0).entries("acme")
    assert listed == ["acme"]


async def test_an_upload_of_a_time_when_the_clock_was_ahead_came_now(engine: Engine) -> None:
    engine._ids.start_after("02ffffff-ffff-7fff-bfff-ffffffffffff")  # of the year 2074
    put(engine.spool, NAME, rows([1]))
    receipt = json.loads(await read(desk_of(engine, wait_s=0), f"{NAME}.json") or "")
    assert receipt["received_at"] <= iso(utc_now())
