"""`check`: the verdict without the server, as its own exit code."""

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


def test_a_client_is_judged_by_its_own_settings(shell: Shell) -> None:
    shell.run("client", "add", "acme")
    (shell.folder / "keys" / "clients" / "acme" / "client.toml").write_text('id_columns = ["id"]\n')
    shell.file(FIRST, "id\n1\n")
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
