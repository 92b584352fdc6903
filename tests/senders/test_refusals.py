"""The table of who hears a refusal at the put: each program puts a wrong file, then the right one under its name.

`deploy/docs/connect-form.md` prints the table for senders.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from ctsftp.contract.codes import PAGES, REJECTED, Code
from ctsftp.demo.connect import ExportFile
from ctsftp.lists.parts import MAX_LIST_CONTAINERS

from ..e2e.misconfigured import CASES
from .jsch import Jsch
from .post import Account, Post, export
from .programs import Curl, Lftp, OpenSsh, Paramiko, Program, Pscp, Psftp, Rclone, Scp, Sshfs
from .ssh2 import Ssh2

NAME = "VIP_20261123_0900.csv"
IDS = range(1_000_000, 1_000_030)
WRONG = b"CTUserID\n1.23E+10\n1.24E+10\n"
REASON = "2 of 2 rows with an id were rejected"
PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "connect-form.md"

TOLD = "fails, with the reason"
FAILS = "fails, without a reason"
SILENT = "does not notice"


class Putter(Protocol):
    def put(self, file: Path, name: str) -> None: ...


# In the words of the page for senders: the program, what it does, how that shows.
TABLE: dict[Callable[[Account], Putter], tuple[str, str, str]] = {
    OpenSsh: ("OpenSSH `sftp -b`", TOLD, "exit code 1"),
    Scp: ("OpenSSH `scp` (9.0 and later)", TOLD, "exit code 1"),
    Lftp: ("lftp", TOLD, "exit code 1"),
    Rclone: ("rclone", TOLD, "exit code 1"),
    Jsch: ("JSch", TOLD, "`SftpException`"),
    Paramiko: ("paramiko `put`", TOLD, "`FileNotFoundError`, by its look at the file after the put"),
    Ssh2: ("npm's ssh2-sftp-client `put`", TOLD, "a rejected promise"),
    Psftp: ("PuTTY `psftp -b`", FAILS, "exit code 1"),
    Pscp: ("PuTTY `pscp -sftp`", SILENT, "exit code 0"),
    Sshfs: ("sshfs", SILENT, "`cp` ends well"),
    Curl: ("curl", SILENT, "exit code 0"),
}


def outcome(program: Putter, file: Path) -> tuple[str, str]:
    """Put a file, and give what the program does, and all that it says."""
    try:
        program.put(file, NAME)
    except (AssertionError, OSError) as exc:
        said = f"{type(exc).__name__}: {exc}"
        return (TOLD if REASON in said else FAILS), said
    return SILENT, ""


@pytest.mark.slow
@pytest.mark.parametrize("make", TABLE, ids=lambda make: make.__name__)
def test_who_hears_a_refusal_and_how_and_that_the_right_file_is_taken_after_it(
    account: Account, make: Callable[[Account], Putter]
) -> None:
    program = make(account)
    _, does, _ = TABLE[make]
    found, said = outcome(program, account.file("wrong.csv", WRONG))
    assert account.state(NAME) == "rejected"
    assert found == does, said
    account.look_on()
    assert outcome(program, account.file("right.csv", export(IDS))) == (SILENT, "")
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS)


def test_the_page_for_senders_has_the_table() -> None:
    page = PAGE.read_text("utf-8")
    for row in TABLE.values():
        assert "| {} | {} | {} |".format(*row) in page


FIRST_CASES = {case.code: case for case in reversed(CASES)}
HEARING: list[Callable[[Account], Program | Putter]] = [OpenSsh, Scp, Jsch, Rclone, Lftp, Paramiko]


def test_there_is_a_wrong_file_for_every_code_of_a_refusal() -> None:
    assert set(FIRST_CASES) == {code for code in Code if PAGES[code].kind == REJECTED}


@cache
def scattered() -> bytes:
    """Export one id more than there may be that lie so far apart."""
    return b"CTUserID\n" + b"".join(b"%d\n" % (one << 16) for one in range(1, MAX_LIST_CONTAINERS + 2))


@pytest.mark.alone
@pytest.mark.parametrize("make", HEARING, ids=lambda make: make.__name__)
def test_every_refusal_is_heard_at_the_put_itself(
    post: Post, tmp_path: Path, make: Callable[[Account], Putter]
) -> None:
    for code, case in FIRST_CASES.items():
        account = post.open_account(tmp_path, case.client_toml)
        file = ExportFile(case.export().filename, scattered()) if code is Code.SCATTERED else case.export()
        home = post.box.folder / "data" / "clients" / account.client / "home"
        (home / case.directory).mkdir(parents=True, exist_ok=True)
        with pytest.raises((AssertionError, OSError)) as told:
            make(account).put(account.file(f"{code}.data", file.data), file.filename)
        account.state(Path(file.filename).name)
        [(_, state, found, reason)] = post.select(
            "SELECT filename, state, code, reason FROM uploads WHERE client = ?", account.client
        )
        assert (state, found) == ("rejected", code)
        said = str(told.value).replace('\\"', '"')  # rclone escapes them
        assert reason[:60] in said, code
