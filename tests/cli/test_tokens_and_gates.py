"""Tokens and gates on the command line, and the export of a segment."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.bench import rows

from .shell import Shell


@pytest.fixture
def vip(shell: Shell) -> Shell:
    shell.load("VIP_20260310_0900.csv", rows([3, 1, 2]))
    return shell


def test_a_token_is_shown_once_and_listed_without_its_secret(shell: Shell) -> None:
    done = shell.run("token", "add", "shop", "--expires", "2100-01-01")
    [secret] = done.lines
    assert secret.startswith("ctsftp_")
    assert secret not in done.err
    [token] = shell.json("token", "list")
    assert token == {
        "name": "shop",
        "client": None,
        "scope": "read",
        "created_at": token["created_at"],
        "expires_at": "2100-01-01T00:00:00.000Z",
        "last_used_at": None,
    }
    assert secret not in shell.run("token", "list").out
    assert "shop" in shell.refused("token", "add", "shop", code=1)
    shell.run("token", "revoke", "shop")
    assert shell.run("token", "list").out.startswith("No tokens yet")
    assert "no token" in shell.refused("token", "revoke", "shop", code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("shop", "--client", "none"), 1, "none"),
        (("a/b",), 2, "printable"),
        (("",), 2, "printable"),
        (("shop", "--expires", "2020-01-01"), 2, "expired already"),
    ],
)
def test_a_token_that_cannot_be_is_refused_in_one_line(
    shell: Shell, arguments: tuple[str, ...], code: int, told: str
) -> None:
    assert told in shell.refused("token", "add", *arguments, code=code)
    assert shell.json("token", "list") == []


def test_a_token_of_a_client_says_so(shell: Shell) -> None:
    (shell.folder / "keys" / "clients" / "acme").mkdir(parents=True)
    assert shell.json("token", "add", "shop", "--client", "acme", "--admin").keys() == {"name", "token"}
    [token] = shell.json("token", "list")
    assert (token["client"], token["scope"]) == ("acme", "admin")


def test_a_gate_is_set_listed_and_removed(vip: Shell) -> None:
    vip.load("Gold_20260310_0900.csv", rows([1]))
    gate = vip.json("gate", "set", "Reward", "4711", "--segment", "vip", "--segment", "gold")
    assert gate == {
        "client": "acme",
        "kind": "reward",
        "item": "4711",
        "segments": ["Gold", "VIP"],
        "set_at": gate["set_at"],
    }
    assert vip.json("gate", "list") == vip.json("gate", "list", "--client", "acme") == [gate]
    assert "Gold, VIP" in vip.run("gate", "list").out
    assert "opens gates" in vip.refused("segment", "delete", "vip", code=1) or vip.json("segment", "retire", "vip")
    assert "reward 4711" in vip.refused("segment", "delete", "vip", code=1)
    assert vip.json("gate", "remove", "REWARD", "4711") == gate
    assert vip.run("gate", "list").out.startswith("No gates yet")
    assert "no gate" in vip.refused("gate", "remove", "reward", "4711", code=1)


def test_a_gate_of_a_segment_that_several_clients_have_needs_the_client(vip: Shell) -> None:
    vip.load("VIP_20260310_0900.csv", rows([1]), client="zeta")
    assert "acme, zeta" in vip.refused("gate", "set", "reward", "1", "--segment", "vip", code=2)
    for client in ("acme", "zeta"):
        vip.run("gate", "set", "reward", "1", "--segment", "vip", "--client", client)
    assert "acme, zeta" in vip.refused("gate", "remove", "reward", "1", code=2)
    vip.run("gate", "remove", "reward", "1", "--client", "acme")
    assert [gate["client"] for gate in vip.json("gate", "list")] == ["zeta"]
    assert "no segment" in vip.refused("gate", "set", "reward", "1", "--segment", "none", code=1)
    assert "printable" in vip.refused("gate", "set", "a/b", "1", "--segment", "vip", "--client", "acme", code=2)


def test_an_export_is_a_file_that_could_be_pushed_again(vip: Shell) -> None:
    (vip.folder / "vip.csv").write_text("what was there")
    done = vip.run("segment", "export", "vip", "vip.csv")
    assert "3 members" in done.err
    written = vip.folder / "vip.csv"
    assert written.read_text() == "CTUserID\n1\n2\n3\n"
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    assert vip.run("segment", "export", "VIP", "-").out == "CTUserID\n1\n2\n3\n"
    told = vip.json("segment", "export", "vip", "vip.csv")
    assert told == {"client": "acme", "segment": "VIP", "members": 3, "file": str(written)}
    assert "leave out --json" in vip.refused("segment", "export", "vip", "-", "--json", code=2)


def test_an_export_follows_a_link_and_writes_to_a_device_as_it_is(vip: Shell) -> None:
    (vip.folder / "link.csv").symlink_to(vip.folder / "vip.csv")
    vip.run("segment", "export", "vip", "link.csv")
    assert (vip.folder / "link.csv").is_symlink()
    assert (vip.folder / "vip.csv").read_text() == "CTUserID\n1\n2\n3\n"
    pipe = vip.folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(pipe.read_text)
        vip.run("segment", "export", "vip", "pipe")
        assert read.result() == "CTUserID\n1\n2\n3\n"
    assert pipe.is_fifo()


def test_an_export_that_fails_leaves_what_was_there(vip: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    written = vip.folder / "vip.csv"
    written.write_text("what was there")

    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    assert "No space left" in vip.refused("segment", "export", "vip", "vip.csv", code=1)
    monkeypatch.undo()
    assert written.read_text() == "what was there"
    assert {path.name for path in vip.folder.iterdir()} == {"data", "keys", "vip.csv"}


def test_an_export_of_what_is_not_there_or_to_nowhere_is_refused(vip: Shell) -> None:
    assert "no segment" in vip.refused("segment", "export", "none", "x.csv", code=1)
    assert (
        vip.refused("segment", "export", "vip", "nowhere/x.csv", code=1) == "No such file or directory: nowhere/x.csv."
    )
    vip.run("segment", "retire", "vip")
    assert "retired" in vip.refused("segment", "export", "vip", "x.csv", code=1)
    assert not Path("x.csv").exists()
