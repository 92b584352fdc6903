"""`check`: the verdict without the server, as its own exit code."""

import sqlite3

import pytest

from tests.app.bench import rows

from .shell import Shell

FIRST, SECOND = "VIP_20260310_0900.csv", "VIP_20260310_0901.csv"


@pytest.mark.parametrize(
    ("name", "content", "code", "state"),
    [
        (FIRST, rows([1, 2]), 0, "loaded"),
        (FIRST, "CTUserID;CITY\n1;Basel\n", 1, "rejected"),
        ("VIP.csv", rows([1]), 1, "rejected"),
        ("ready.flag", "", 1, "ignored"),
        ("VIP_29991231_0000.csv", rows([1]), 1, "held"),
    ],
)
def test_the_exit_code_says_whether_the_file_would_be_applied(
    empty_shell: Shell, name: str, content: str, code: int, state: str
) -> None:
    empty_shell.file(name, content)
    assert empty_shell.json("check", name, code=code)["state"] == state
    assert state in empty_shell.run("check", name, code=code).out


def test_a_files_verdict_against_what_a_client_has_now(shell: Shell) -> None:
    shell.run("client", "add", "acme")
    shell.load(FIRST, rows([1, 2, 3]))
    for name, content, code, state in (
        (FIRST, rows([1, 2, 3]), 0, "duplicate"),
        ("VIP_20260309_0900.csv", rows([1]), 1, "superseded"),
        (SECOND, rows([]), 1, "held"),
        (SECOND, rows([3, 4]), 0, "loaded"),
    ):
        shell.file(name, content)
        assert shell.json("check", name, "--client", "acme", code=code)["state"] == state
    said = shell.json("check", SECOND, "--client", "acme")
    assert (said["entered"], said["left"]) == (1, 2)
    assert len(shell.json("upload", "list")) == 1, "nothing was taken"
    said = shell.json("check", FIRST, "--client", "acme", code=0)
    assert said["reason"].startswith("The same file was applied before. The segment has these members, since 20")


def test_what_was_not_sent_is_told_as_what_would_become_of_it(empty_shell: Shell) -> None:
    empty_shell.file("VIP_20260310_0900.csv", rows([1]))
    assert "would be loaded" in empty_shell.run("check", "VIP_20260310_0900.csv").out
    assert empty_shell.json("check", "VIP_20260310_0900.csv")["state"] == "loaded", "scripts read it"


def test_what_is_not_known_without_a_client_is_said(shell: Shell) -> None:
    shell.run("client", "add", "acme")
    shell.load(FIRST, rows([1, 2, 3]))
    shell.file(SECOND, "CTUserID\n1\n2")
    done = shell.run("check", SECOND)
    assert "would be loaded, by the file alone" in done.out
    assert "--client NAME tells" in done.err
    assert "--client NAME tells" in shell.run("check", SECOND, "--json").err
    done = shell.run("check", SECOND, "--client", "acme", code=1)
    assert ("would be held for an admin" in done.out, done.err) == (True, "")
    shell.file("VIP.csv", rows([1]))
    assert shell.run("check", "VIP.csv", code=1).err == ""  # no client could change that


def test_a_client_is_judged_by_its_own_settings(shell: Shell) -> None:
    shell.run("client", "add", "acme")
    (shell.folder / "keys" / "clients" / "acme" / "client.toml").write_text('id_columns = ["Member"]\n')
    shell.file(FIRST, "member\n1\n")
    shell.run("check", FIRST, code=1)
    shell.run("check", FIRST, "--client", "acme")


def test_the_setting_to_change_and_the_first_rejected_rows_are_shown(empty_shell: Shell) -> None:
    empty_shell.file(FIRST, rows([*["x"] * 20, 1]))
    out = empty_shell.run("check", FIRST, code=1).out
    assert "Select Object: a data source whose CTUserID column holds whole numbers only" in out
    assert out.count("the id is not a whole number") == 11, "one in the reason, and the first ten"
    assert len(empty_shell.json("check", FIRST, code=1)["rejected_rows"]) == 20


def test_warnings_are_shown(empty_shell: Shell) -> None:
    empty_shell.file(FIRST, rows([1]).rstrip())
    assert "warning (no_last_newline)" in empty_shell.run("check", FIRST).out


@pytest.mark.parametrize(("content", "code", "state"), [(rows([1]), 0, "loaded"), ("a;b\n", 1, "rejected")])
def test_what_comes_through_a_pipe_is_judged_by_its_content(
    empty_shell: Shell, content: str, code: int, state: str
) -> None:
    out = empty_shell.run("check", "-", stdin=content.encode(), code=code).out
    assert state in out
    assert list(empty_shell.folder.iterdir()) == []


def test_a_stranger_of_a_client_is_refused(shell: Shell) -> None:
    shell.file(FIRST, rows([1]))
    assert "no client 'nobody'" in shell.refused("check", FIRST, "--client", "nobody", code=1)


def test_nothing_that_is_kept_comes_out_differently_by_the_same_version(shell: Shell) -> None:
    shell.run("client", "add", "acme")
    shell.load(FIRST, rows([*range(1001, 1041), "x"]))
    shell.load(SECOND, rows([1]))
    shell.load("VIP_20260310_0902.csv", "CTUserID;A\n")
    shell.load("VIP_20260310_0903.csv", rows([1, 2, 3]).rstrip())
    shell.load("ready.flag", "")
    shell.load("VIP.csv", "")
    assert shell.json("check", "--kept") == {"judged": 6, "different": []}
    done = shell.run("check", "--kept", "--since", "14d")
    assert done.out == ""
    assert "Judged 6 kept files; 0 would come out differently." in done.err


def test_what_would_come_out_differently_is_listed_and_is_the_exit_code(shell: Shell) -> None:
    shell.run("client", "add", "acme")
    shell.load(FIRST, rows(range(1001, 1041)))
    footer = shell.load(SECOND, rows([*range(1001, 1031)]) + "\n30\n")
    cut = shell.load("VIP_20260310_0902.csv", rows([*range(1001, 1041), 10]).rstrip())
    mac = shell.load("VIP_20260310_0903.csv", "CTUserID,A\r1,x\r")
    with sqlite3.connect(shell.folder / "data" / "ctsftp.db") as database:
        # What an older version made of them.
        database.execute("UPDATE uploads SET members = 31, rejected = 0 WHERE id = ?", [footer.id])
        database.execute("UPDATE uploads SET state = 'loaded', code = NULL WHERE id IN (?, ?)", [cut.id, mac.id])
        database.execute("UPDATE uploads SET warnings = '[]' WHERE id = ?", [cut.id])
    database.close()
    found = shell.json("check", "--kept", "--client", "acme", code=1)
    assert found["judged"] == 4
    now = [(row["id"], row["before"]["state"], row["now"]["state"], row["now"]["code"]) for row in found["different"]]
    assert now == [
        (footer.id, "loaded", "loaded", None),
        (cut.id, "loaded", "held", "unfinished"),
        (mac.id, "loaded", "rejected", "line_ends"),
    ]
    assert found["different"][0]["before"]["members"] == 31
    assert found["different"][0]["now"]["members"] == 30
    out = shell.run("check", "--kept", code=1).out
    assert "rejected (line_ends)" in out
    assert "loaded, 31 members, 0 rejected" in out


@pytest.mark.parametrize("words", [(), ("--since", "1d"), (FIRST, "--kept"), ("--kept", "--since", "soon")])
def test_check_wants_a_file_or_what_is_kept(empty_shell: Shell, words: tuple[str, ...]) -> None:
    empty_shell.run("check", *words, code=2)
