"""The ledger on the command line, and what an admin decides."""

import asyncio
import sqlite3

import pytest

from ctsftp.app.engine import Engine
from ctsftp.settings import read_settings
from tests.app.bench import put, rows

from .shell import Shell

FIRST, SECOND = "VIP_20260310_0900.csv", "VIP_20260310_0901.csv"


@pytest.fixture
def held(shell: Shell) -> Shell:
    shell.load(FIRST, rows([1, 2]))
    shell.load(SECOND, rows([]))
    return shell


def test_the_list_has_the_fields_that_scripts_read(shell: Shell) -> None:
    loaded = shell.load(FIRST, "CTUserID,A\n1,\n1,\n2,\n" + "3,\n" * 8 + "x,\n")
    [row] = shell.json("upload", "list")
    assert row == {
        "id": loaded.id,
        "client": "acme",
        "filename": FIRST,
        "segment": "VIP",
        "stamp": "20260310_0900",
        "state": "loaded",
        "code": None,
        "reason": None,
        "rows": 12,
        "members": 3,
        "duplicates": 8,
        "rejected": 1,
        "warnings": [],
        "sha256": loaded.sha256,
        "size": loaded.size,
        "received_at": loaded.received_at,
        "finished_at": loaded.finished_at,
        "directory": "/",
        "id_title": "CTUserID",
    }
    assert list(row) == list(loaded.as_json())
    shown = shell.json("upload", "show", loaded.id)
    assert list(shown) == [*row, "current", "periods", "if_approved", "duplicate_of", "setting", "meaning"]
    assert shown | row | {"setting": None, "meaning": None} == shown
    assert shell.json("upload", "rejects", loaded.id) == [
        {"line": 13, "value": "x", "reason": "the id is not a whole number of 1 to 19 digits"}
    ]
    assert "x" in shell.run("upload", "rejects", loaded.id).lines[1]


def test_an_upload_whose_name_cannot_be_read_is_of_no_segment(shell: Shell) -> None:
    shell.load("VIP.csv", rows([1]))
    [row] = shell.json("upload", "list", "--state", "rejected")
    assert (row["segment"], row["stamp"], row["code"]) == (None, None, "name")


def test_the_newest_come_first_and_a_state_can_be_asked_for(held: Shell) -> None:
    assert [row["filename"] for row in held.json("upload", "list")] == [SECOND, FIRST]
    assert [row["filename"] for row in held.json("upload", "list", "--state", "loaded")] == [FIRST]
    assert held.run("upload", "list", "--state", "failed").out == "No uploads.\n"
    [_, newest, _] = held.run("upload", "list").lines
    assert "held (empty)" in newest


def test_a_client_and_a_segment_can_be_asked_for(shell: Shell) -> None:
    for client, name in (("acme", FIRST), ("acme", "Très_Chic_20260310_0900.csv"), ("bravo", FIRST)):
        shell.load(name, rows([1]), client=client)

    def listed(*options: str) -> list[tuple[str, str]]:
        return [(row["client"], row["segment"]) for row in shell.json("upload", "list", *options)]

    assert listed("--client", "acme") == [("acme", "Très Chic"), ("acme", "VIP")]
    assert listed("--segment", "vip") == [("bravo", "VIP"), ("acme", "VIP")]
    assert listed("--segment", "TRÈS_CHIC", "--client", "acme") == [("acme", "Très Chic")]
    shell.run("client", "add", "quiet")
    assert listed("--client", "quiet") == []
    assert "There is no client 'nobody'" in shell.refused("upload", "list", "--client", "nobody", code=1)


def test_the_table_shows_fifty_and_json_all(shell: Shell) -> None:
    async def bring() -> None:
        async with Engine.open(read_settings()) as engine:
            for number in range(51):
                engine.landed(put(engine.spool, f"ready{number}.flag", ""))
            await engine.queue.wait_for()

    asyncio.run(bring())
    done = shell.run("upload", "list")
    assert len(done.lines) == 1 + 50
    assert "ready50.flag" in done.lines[1]
    assert done.err == "These are the newest 50: --json lists all.\n"
    assert len(shell.json("upload", "list")) == 51


def test_one_upload_is_shown_with_its_meaning_and_what_to_do(held: Shell) -> None:
    [row] = held.json("upload", "list", "--state", "held")
    out = held.run("upload", "show", row["id"]).out
    for words in (row["id"], "held", "The file has no members, and the segment had 2.", "ctsftp upload approve ID"):
        assert words in out
    assert "ctsftp explain empty" in out
    assert held.run("explain", "empty").out.split()[:2] == ["code", "empty"]
    assert held.json("upload", "show", row["id"])["meaning"] == held.json("explain", "empty")["meaning"]


def test_a_held_upload_shows_what_it_would_change_now(held: Shell) -> None:
    second, first = held.json("upload", "list")
    assert held.json("upload", "show", second["id"])["if_approved"] == {
        "members_now": 2,
        "enter": 0,
        "leave": 2,
        "retired": False,
    }
    assert "2 -> 0 members: 0 enter, 2 leave" in held.run("upload", "show", second["id"]).out
    assert held.json("upload", "show", first["id"])["current"]
    assert "The segment has these members, since" in held.run("upload", "show", first["id"]).out
    held.run("upload", "approve", second["id"])
    shown = held.json("upload", "show", first["id"])
    assert (shown["current"], shown["periods"][0]["ended_by"]) == (False, "loaded")
    assert "until" in held.run("upload", "show", first["id"]).out


def test_the_beginning_of_an_id_is_enough_where_no_other_upload_has_it(held: Shell) -> None:
    newest, _ = (row["id"] for row in held.json("upload", "list"))
    for beginning in (newest[:18], newest[:18].upper(), newest[:-1]):
        assert held.json("upload", "show", beginning)["id"] == newest
    assert held.run("upload", "approve", newest[:18]).err == f"{SECOND} is loaded.\n"
    assert held.refused("upload", "show", newest[:7], code=1).startswith(f"There is no upload {newest[:7]}: give")
    assert held.refused("upload", "show", "%" * 18, code=1).startswith("There is no upload %%")


def test_a_file_name_is_enough_and_of_several_uploads_the_newest_that_it_is_about(held: Shell) -> None:
    [one] = held.json("upload", "list", "--state", "held")
    held.load(SECOND, rows([1, 2, 3]), client="acme")
    newest = held.json("upload", "list")[0]
    assert (newest["filename"], newest["state"]) == (SECOND, "loaded")
    done = held.run("upload", "show", SECOND, "--json")
    assert newest["id"] in done.err
    assert done.err.startswith(f"This is {SECOND} of acme, loaded, which came at 20")
    assert newest["id"] in done.out
    held.load(SECOND, rows([]), client="acme")
    [waits] = held.json("upload", "list", "--state", "held")
    assert waits["id"] != one["id"]
    done = held.run("upload", "discard", SECOND)
    assert (waits["id"] in done.err, done.err.endswith(f"{SECOND} is discarded.\n")) == (True, True)
    assert "is discarded" in held.run("upload", "discard", SECOND, code=1).err
    assert held.refused("upload", "show", "nothing.csv", code=1).startswith("There is no upload nothing.csv: give")
    assert held.json("upload", "rejects", FIRST) == []


def test_a_segment_is_enough_for_its_newest_upload_that_waits(held: Shell) -> None:
    [waits] = held.json("upload", "list", "--state", "held")
    held.load("VIP_20260310_0800.csv", rows([1]))
    newest = held.json("upload", "list")[0]
    assert newest["state"] == "superseded"
    assert held.json("upload", "show", "--segment", "vip")["id"] == waits["id"]
    done = held.run("upload", "approve", "--segment", "VIP")
    assert waits["id"] in done.err
    assert held.json("upload", "show", "--segment", "vip")["id"] == newest["id"]
    said = held.refused("upload", "approve", "--segment", "vip", code=1)
    assert said.startswith('No upload of the segment "vip" is held: ')
    said = held.refused("upload", "retry", "--segment", "vip", code=1)
    assert said.startswith('No upload of the segment "vip" is rejected or failed or retired: ')
    assert 'no upload of a segment "gold"' in held.refused("upload", "show", "--segment", "gold", code=1)


def test_a_duplicate_names_what_it_is_the_same_as_and_the_command_for_that(held: Shell) -> None:
    [waits] = held.json("upload", "list", "--state", "held")
    again = held.load(SECOND, rows([]))
    assert held.json("upload", "show", again.id)["duplicate_of"] == waits["id"]
    assert held.json("upload", "show", SECOND)["id"] == again.id  # the newest of its name
    shown = held.run("upload", "show", again.id).out
    assert f"It is held, and waits for the server's admin to approve it (ctsftp upload approve {waits['id']})" in shown
    said = held.refused("upload", "approve", again.id, code=1)
    assert said.startswith(f"The upload {again.id} is duplicate. The same file came before. It is held")
    assert waits["id"] in said
    assert held.run("upload", "approve", SECOND).err.endswith(f"{SECOND} is loaded.\n")
    assert "The same file was applied before. The segment has these members" in held.run("upload", "show", again.id).out
    held.run("segment", "rollback", "vip")
    assert "an admin made another list current" in held.run("upload", "show", again.id).out


@pytest.mark.parametrize("given", [(), (FIRST, "--segment", "vip")], ids=["nothing", "both"])
def test_one_upload_is_named_in_one_way(held: Shell, given: tuple[str, ...]) -> None:
    assert "Name one upload" in held.run("upload", "show", *given, code=2).err


def test_what_fits_several_uploads_lists_them_with_names_states_and_times(held: Shell) -> None:
    newest, oldest = held.json("upload", "list")
    said = held.refused("upload", "show", newest["id"][:8], code=2)
    assert said.startswith(f"The ids of several uploads begin with {newest['id'][:8]}: ")
    for row in (newest, oldest):
        assert f"{row['id'][:18]} is {row['filename']} of acme ({row['state']}, {row['received_at']})" in said
    held.load(FIRST, rows([1]), client="bravo")
    for given in ((FIRST,), ("--segment", "VIP")):
        said = held.refused("upload", "show", *given, code=2)
        assert all(words in said for words in ("Several clients", "of acme (", "of bravo (", "Add --client"))
        assert held.json("upload", "show", *given, "--client", "bravo")["client"] == "bravo"


def test_what_came_for_a_retired_segment_is_applied_once_it_is_restored(shell: Shell) -> None:
    shell.load(FIRST, rows([1, 2]))
    shell.run("segment", "retire", "vip")
    shell.load(SECOND, rows([1, 2, 3]))
    assert "is retired: first ctsftp segment restore" in shell.run("upload", "retry", SECOND, code=1).err
    shell.run("segment", "restore", "vip")
    assert shell.run("upload", "retry", "--segment", "vip").err.endswith(f"{SECOND} is loaded.\n")


@pytest.mark.parametrize("state", ["superseded", "held", "received", "retired"])
def test_an_approval_that_does_not_end_well_is_no_success(
    held: Shell, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    row = held.json("upload", "list")[0]
    monkeypatch.setattr("ctsftp.cli.context.Edge.perform", lambda *_: row | {"state": state, "reason": "Too late."})
    assert held.run("upload", "approve", row["id"], code=1).err == f"{SECOND} is {state}. Too late.\n"


def test_a_held_upload_is_approved(held: Shell) -> None:
    [row] = held.json("upload", "list", "--state", "held")
    assert held.run("upload", "approve", row["id"]).err == f"{SECOND} is loaded.\n"
    assert held.json("segment", "list")[0]["members"] == 0
    assert "is loaded" in held.refused("upload", "approve", row["id"], code=1)


def test_a_held_upload_is_discarded(held: Shell) -> None:
    [row] = held.json("upload", "list", "--state", "held")
    assert held.json("upload", "discard", row["id"])["state"] == "discarded"
    assert "is discarded" in held.refused("upload", "approve", row["id"], code=1)


def test_a_rejected_upload_is_read_again(shell: Shell) -> None:
    row = shell.load(FIRST, "member\n1\n")
    assert row.code == "no_id_column"
    shell.run("client", "add", "acme")
    (shell.folder / "keys" / "clients" / "acme" / "client.toml").write_text('id_columns = ["Member"]\n')
    assert shell.run("upload", "retry", row.id).err == f"{FIRST} is loaded.\n"
    assert shell.run("segment", "members", "vip").out == "1\n"


def test_a_retry_that_fails_by_our_fault_says_so_and_why(shell: Shell) -> None:
    row = shell.load(FIRST, "member\n1\n")
    place = next((shell.folder / "data" / "clients" / "acme" / "uploads" / row.id).iterdir())
    place.unlink()
    place.symlink_to("/nowhere")
    assert "no longer there" in shell.refused("upload", "retry", row.id, code=1)
    assert shell.json("upload", "show", row.id)["state"] == "rejected"


def test_what_is_wrong_while_a_command_works_is_logged(shell: Shell) -> None:
    row = shell.load(FIRST, "member\n1\n")
    with sqlite3.connect(shell.folder / "data" / "ctsftp.db") as database:
        database.execute("CREATE TRIGGER no BEFORE INSERT ON snapshot_parts BEGIN SELECT raise(ABORT, 'no'); END")
    database.close()
    shell.run("client", "add", "acme")
    (shell.folder / "keys" / "clients" / "acme" / "client.toml").write_text('id_columns = ["Member"]\n')
    done = shell.run("upload", "retry", row.id, code=1)
    logged, said = done.err.splitlines()
    assert "load failed" in logged
    assert "code=database" in logged
    assert said.startswith(f"{FIRST} is failed.")
