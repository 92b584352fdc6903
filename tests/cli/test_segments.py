"""Segments on the command line: found by any spelling of their name, shown for people and for scripts."""

import pytest

from tests.app.bench import rows

from .shell import Shell

FIRST, SECOND = "VIP_Members_20260310_0900.csv", "VIP_Members_20260310_0901.csv"


@pytest.fixture
def vip(shell: Shell) -> Shell:
    shell.load(FIRST, rows([1, 2, 3]))
    shell.load(SECOND, rows([2, 3, 4, 5]))
    return shell


@pytest.mark.parametrize("name", ["VIP Members", "VIP_Members", "vip_members", "vip  MEMBERS", "_vip members_"])
def test_a_name_is_the_title_or_its_underscore_form_in_any_case(vip: Shell, name: str) -> None:
    assert vip.run("segment", "members", name).out == "2\n3\n4\n5\n"
    assert vip.json("segment", "show", name)["segment"] == "VIP Members"


def test_members_are_printed_page_by_page_as_lines_or_as_json(vip: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctsftp.store.snapshots.READ_AT_ONCE", 3)
    assert vip.run("segment", "members", "vip_members").out == "2\n3\n4\n5\n"
    assert vip.run("segment", "members", "vip_members", "--json").out == "[2,3,4,5]\n"
    vip.load("None_20260310_0900.csv", rows([]))
    assert vip.run("segment", "members", "none").out == ""
    assert vip.json("segment", "members", "none") == []


def test_the_list_has_the_fields_that_scripts_read(vip: Shell) -> None:
    [segment] = vip.json("segment", "list")
    upload = vip.json("upload", "list")[0]
    assert segment == {
        "client": "acme",
        "segment": "VIP Members",
        "members": 4,
        "stamp": "20260310_0901",
        "loaded_at": upload["finished_at"],
        "upload_id": upload["id"],
        "number": 2,
        "entered": 2,
        "left": 1,
        "retired": False,
        "rolled_back": False,
        "heard_at": upload["received_at"],
        "expect_every_s": None,
        "expect_grace_s": None,
        "overdue_at": None,
    }
    assert segment["loaded_at"].endswith("Z")
    assert vip.json("segment", "show", "vip members") == segment
    assert vip.json("segment", "list", "--client", "acme") == [segment]
    vip.run("client", "add", "zeta")
    assert vip.json("segment", "list", "--client", "zeta") == []
    assert "There is no client 'zetta'" in vip.refused("segment", "list", "--client", "zetta", code=1)


def test_the_table_is_for_people(vip: Shell) -> None:
    vip.load("Big_20260310_0900.csv", rows(range(1, 1235)))
    heading, big, members = vip.run("segment", "list").lines
    assert heading.split()[:3] == ["CLIENT", "SEGMENT", "MEMBERS"]
    assert "1,234" in big
    assert "VIP Members" in members
    assert "Client Defined" in vip.run("segment", "show", "big").out


def test_a_name_that_two_clients_use_needs_its_client(vip: Shell) -> None:
    vip.load(FIRST, rows([9]), client="zeta")
    for command in ("show", "members", "history", "diff", "rollback", "retire"):
        said = vip.refused("segment", command, "vip_members", code=2)
        assert said == 'Several clients have a segment "VIP Members": add --client, one of acme, zeta.'
    assert vip.run("segment", "members", "vip_members", "--client", "zeta").out == "9\n"
    assert vip.json("segment", "retire", "vip_members", "--client", "zeta")["client"] == "zeta"
    said = vip.refused("segment", "show", "vip_members", "--client", "nobody", code=1)
    assert said == 'The client nobody has no segment "vip_members": `ctsftp segment list` shows them all.'


def test_the_history_lists_the_snapshots_newest_first(vip: Shell) -> None:
    newest, oldest = vip.json("segment", "history", "vip_members")
    assert (newest["number"], newest["members"], newest["entered"], newest["left"]) == (2, 4, 2, 1)
    assert (newest["filename"], newest["current"], oldest["filename"], oldest["current"]) == (
        SECOND,
        True,
        FIRST,
        False,
    )
    assert newest["loaded_at"].endswith("Z")
    lines = vip.run("segment", "history", "vip_members").lines
    assert [line.split()[0] for line in lines] == ["NUMBER", "2", "1"]
    assert "current" in lines[1]


def test_the_difference_of_two_snapshots_is_shown(vip: Shell) -> None:
    done = vip.run("segment", "diff", "vip_members")
    assert (done.out, done.err) == ("+4\n+5\n-1\n", "From 1 to 2: 2 entered, 1 left.\n")
    assert vip.json("segment", "diff", "vip_members", "2", "1") == {"from": 2, "to": 1, "entered": [1], "left": [4, 5]}
    assert "no snapshot number 7" in vip.refused("segment", "diff", "vip_members", "1", "7", code=1)
    assert "no snapshot number" in vip.refused("segment", "diff", "vip_members", "1", str(2**70), code=1)


def test_a_segment_goes_back_and_its_files_are_then_held(vip: Shell) -> None:
    said = vip.run("segment", "rollback", "vip_members").err
    assert said.startswith('The segment "VIP Members" of acme is at snapshot 1 again, with 3 members;')
    assert vip.json("segment", "list")[0]["rolled_back"] is True
    assert vip.run("segment", "list").lines[1].endswith("rolled back")
    assert "rolled back" in vip.run("segment", "show", "vip_members").out
    assert vip.run("segment", "members", "vip_members").out == "1\n2\n3\n"
    assert "no snapshot before" in vip.refused("segment", "rollback", "vip_members", code=1)
    assert vip.load("VIP_Members_20260310_0902.csv", rows([7])).code == "rolled_back"
    assert vip.json("segment", "rollback", "vip_members", "2")["number"] == 2


def test_a_rollback_without_a_number_goes_where_the_history_says(vip: Shell) -> None:
    vip.load("VIP_Members_20260310_0902.csv", rows([1, 2, 3, 4, 5]))
    vip.run("segment", "rollback", "vip_members")
    assert (vip.json("segment", "show", "vip_members")["entered"], vip.json("segment", "list")[0]["left"]) == (0, 1)
    said = vip.run("segment", "diff", "vip_members")
    assert (said.out, said.err) == ("-1\n", "From 3 to 2: 0 entered, 1 left.\n")
    held = vip.load("VIP_Members_20260310_0903.csv", rows([7]))
    vip.run("upload", "approve", held.id)
    printed = [line.strip() for line in vip.run("segment", "history", "vip_members").lines]
    heading, fourth, third, second, first = printed
    assert heading.endswith("READERS HAD IT (UTC)")
    assert "a rollback goes here" in second
    assert "current" in fourth
    assert not any("goes here" in line for line in (fourth, third, first))
    before, after = second.split("a rollback goes here  ")[1].split("; ")
    assert before.split(" to ")[1] < after
    assert after.endswith(" (by a rollback)")
    assert fourth.endswith(" to now")
    assert vip.json("segment", "rollback", "vip_members")["number"] == 2
    explained = " ".join(vip.run("segment", "rollback", "--help").out.split())
    assert "else what readers had before the current list came" in explained
    assert vip.json("segment", "rollback", "vip_members")["number"] == 1


def test_a_segment_is_retired_restored_and_deleted(vip: Shell) -> None:
    assert "is retired." in vip.run("segment", "retire", "vip_members").err
    done = vip.run("segment", "members", "vip_members")
    assert (done.out, "is retired: it has no members" in done.err) == ("", True)
    assert vip.json("segment", "members", "vip_members") == []
    assert vip.json("segment", "list")[0]["retired"] is True
    assert "retired" in vip.run("segment", "list").lines[1]
    assert "current once restored" in vip.run("segment", "history", "vip_members").lines[1]
    assert "is retired already" in vip.refused("segment", "retire", "vip_members", code=1)
    assert "is in use again, with 4 members." in vip.run("segment", "restore", "vip_members").err
    assert "takes it out of use first" in vip.refused("segment", "delete", "vip_members", code=1)
    vip.run("segment", "retire", "vip_members")
    assert "is deleted." in vip.run("segment", "delete", "vip_members").err
    assert vip.json("segment", "list") == []
    assert len(vip.json("upload", "list")) == 2


def test_the_segments_of_a_member_are_listed(vip: Shell) -> None:
    vip.load("Gold_20260310_0900.csv", rows([2]), client="zeta")
    assert [row["segment"] for row in vip.json("member", "segments", "2")] == ["VIP Members", "Gold"]
    assert vip.json("member", "segments", "1") == []
    assert vip.run("member", "segments", "1").out == "1 is in no segment.\n"
    assert [line.split()[0] for line in vip.run("member", "segments", "2").lines] == ["CLIENT", "acme", "zeta"]


def test_work_without_a_server_says_nothing_but_its_answer(vip: Shell) -> None:
    """Logs are for servers: what a command did stands in its answer."""
    assert vip.run("sweep").err == ""
    assert vip.run("segment", "retire", "vip_members", "--json").err == ""
