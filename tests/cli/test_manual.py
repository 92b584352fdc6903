"""`ctsftp help`: the pages in a terminal and in a pipe."""

import os
import pty
import subprocess
import sys

from ctsftp import pages

from .shell import Shell


def test_without_a_page_all_are_listed(empty_shell: Shell) -> None:
    lines = empty_shell.run("help").lines
    assert [line.split()[0] for line in lines[1:]] == list(pages.NAMES)
    assert empty_shell.json("help")[0] == {"page": "install", "title": "Install and upgrade"}


def test_a_page_that_is_piped_on_is_text_without_pictures_whose_links_can_be_typed(empty_shell: Shell) -> None:
    done = empty_shell.run("help", "held")
    assert done.out.startswith("# When a list is held\n")
    assert "(`ctsftp help settings`)" in done.out
    for sign in ("](", "![", "\x1b"):
        assert sign not in done.out
    assert empty_shell.json("help", "held")["title"] == "When a list is held"


def test_an_unknown_page_is_wrong_usage_with_what_was_meant(empty_shell: Shell) -> None:
    assert empty_shell.refused("help", "instal", code=2) == "There is no page 'instal'. Did you mean install?"
    assert empty_shell.refused("help", "shrunk", code=2).endswith("For the code: ctsftp explain shrunk.")
    assert empty_shell.refused("help", "segment", code=2).endswith("For the command: ctsftp segment --help.")


def test_a_code_is_explained_with_the_page_that_says_more(empty_shell: Shell) -> None:
    assert "ctsftp help held" in empty_shell.run("explain", "shrunk").out
    assert "ctsftp help connect-form" in empty_shell.run("explain", "delimiter").out


def test_on_a_terminal_a_page_is_laid_out_in_a_pager() -> None:
    inside, outside = pty.openpty()
    environment = os.environ | {"PAGER": "cat", "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "ctsftp", "help", "login-fails"]
    with subprocess.Popen(command, stdin=outside, stdout=outside, env=environment) as running:
        os.close(outside)
        shown = b""
        while block := read(inside):
            shown += block
        os.close(inside)
        assert running.wait(60) == 0
    assert b"When a login fails" in shown
    assert b"# When a login fails" not in shown
    assert b"\x1b[1m" in shown


def read(terminal: int) -> bytes:
    """Read what stands there; nothing once nobody writes to it any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
