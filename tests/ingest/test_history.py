"""What only its client's earlier lists can judge of a file: a missing last line end, a footer, another title."""

import json

from ctsftp.model.receipt import render_json, render_text

from .bench import Bench, rows

MANY = range(100_001, 100_041)


def name(day: int, segment: str = "VIP") -> str:
    return f"{segment}_202603{day:02}_0900.csv"


async def test_a_client_s_first_list_may_lack_its_last_line_end(bench: Bench) -> None:
    first = await bench.load(name(1), rows(MANY).rstrip())
    assert (first.state, [one["code"] for one in first.warnings]) == ("loaded", ["no_last_newline"])
    assert (await bench.load(name(2), rows(MANY).rstrip() + "7")).state == "loaded", "one list ended so"


async def test_a_list_that_may_be_cut_off_waits_and_shows_its_last_row(bench: Bench) -> None:
    await bench.load(name(1), rows(MANY))
    cut = await bench.load(name(2), rows([*MANY, 10]).rstrip())
    assert (cut.state, cut.code) == ("held", "unfinished")
    assert '"10"' in (cut.reason or "")
    assert "enter" not in (cut.reason or ""), "counted when it is shown: the segment may have another list by then"
    new = await bench.load(name(1, "Gold"), rows([1001, 10]).rstrip())
    assert (new.state, new.code) == ("held", "unfinished"), "also where it would make the segment"
    assert await bench.members() == list(MANY)
    header = await bench.load(name(1, "Silver"), "CTUserID")
    assert (header.state, header.code) == ("held", "unfinished")
    assert (await bench.load(name(1), rows(MANY).rstrip(), client="zeta")).state == "loaded", "each client by itself"


async def test_a_file_that_ends_in_white_space_or_ctrl_z_is_finished(bench: Bench) -> None:
    await bench.load(name(1), rows(MANY))
    for day, end in enumerate(("\x1a", "\r\n\x1a", "  ", "\x1a\r\n"), 2):
        found = await bench.load(name(day), rows(MANY) + end)
        assert (found.state, found.rejected, found.warnings) == ("loaded", 0, []), end


async def test_an_approval_teaches_that_a_client_s_files_may_end_so(bench: Bench) -> None:
    await bench.load(name(1), rows(MANY))
    cut = bench.put(name(2), rows(MANY[1:]).rstrip())
    await bench.loader.load(cut)
    await bench.ledger.approve(cut.id)
    await bench.loader.load(cut)
    assert (await bench.row(cut)).state == "loaded"
    assert (await bench.load(name(3), rows(MANY).rstrip())).state == "loaded"


async def test_a_last_row_that_may_be_a_footer_waits_and_a_certain_one_is_no_row_of_a_member(bench: Bench) -> None:
    held = await bench.load(name(1), rows([*MANY, 40]))
    assert (held.state, held.code) == ("held", "footer")
    assert "40, is the number of rows" in (held.reason or "")
    loaded = await bench.load(name(2), "CTUserID,CITY\n" + "".join(f"{one},Basel\n" for one in MANY) + "40,\n")
    assert (loaded.state, loaded.rows, loaded.rejected) == ("loaded", 41, 1)
    assert await bench.members() == list(MANY)


async def test_a_list_under_another_title_than_the_segment_s_waits_until_one_is_approved(bench: Bench) -> None:
    first = await bench.load(name(1), rows(MANY))
    assert first.id_title == "CTUserID"
    both = await bench.load(name(2), "id,CTUserID\n" + "".join(f"9,{one}\n" for one in MANY))
    assert (both.state, both.id_title, both.warnings) == ("loaded", "CTUserID", [])
    other = bench.put(name(3), rows(MANY).replace("CTUserID", "ID"))
    await bench.loader.load(other)
    row = await bench.row(other)
    assert (row.state, row.code) == ("held", "id_title")
    assert "has only id" in (row.reason or "")
    await bench.ledger.approve(other.id)
    await bench.loader.load(other)
    assert (await bench.row(other)).state == "loaded"
    again = await bench.load(name(4), rows(MANY).replace("CTUserID", "id"))
    assert (again.state, again.id_title) == ("loaded", "id")
    assert [one["code"] for one in again.warnings] == ["id_title"]


async def test_the_receipt_names_the_title_of_the_ids(bench: Bench) -> None:
    await bench.load(name(1), rows(MANY).replace("CTUserID", "id"))
    receipt = await bench.store.receipts.of_name("acme", name(1))
    assert receipt
    assert json.loads(render_json(receipt))["id_title"] == "id"
    assert "Ids from    the column titled id" in render_text(receipt).decode()
