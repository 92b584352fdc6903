"""The table of senders: each cell, a program and what it does, is one test against the real server.

After each put the segment has exactly the ids of the file, whatever the sender does to the file next.

=========  ===  =========  ====  ====  ======  ======  ======
program    put  overwrite  list  stat  rename  resume  remove
=========  ===  =========  ====  ====  ======  ======  ======
openssh    x    x          x     x     x       x       x
lftp       x    x          x     x     x       x       x
rclone     x    x          x     x     x               x
curl       x    x          x     x     x       x       x
psftp      x    x          x     x     x       x       x
sshfs      x    x          x     x     x       x       x
paramiko   x    x          x     x     x       x       x
jsch       x    x          x     x     x       x       x
=========  ===  =========  ====  ====  ======  ======  ======

The empty cells, and why, are in `CANNOT`.
"""

from collections.abc import Callable

import pytest

from .jsch import Jsch
from .post import Account, export
from .programs import Curl, Lftp, OpenSsh, Paramiko, Program, Psftp, Rclone, Sshfs

pytestmark = pytest.mark.slow

PROGRAMS: dict[str, type[Program]] = {
    "openssh": OpenSsh,
    "lftp": Lftp,
    "rclone": Rclone,
    "curl": Curl,
    "psftp": Psftp,
    "sshfs": Sshfs,
    "paramiko": Paramiko,
    "jsch": Jsch,
}
CANNOT = {
    ("rclone", "resume"): "rclone has no resume: it sends a file whole, again if need be",
}

NAME = "VIP_20261123_0900.csv"
# Some 96 kB: more than one packet of any program. All ids have seven digits, so that files agree byte for byte.
IDS = range(1_000_000, 1_012_000)


def put(program: Program, account: Account) -> None:
    program.put(account.file("local.csv", export(IDS)), NAME)


def overwrite(program: Program, account: Account) -> None:
    program.put(account.file("first.csv", export(IDS[:-1])), NAME)
    assert account.state(NAME) == "loaded"
    account.look_on()
    program.put(account.file("local.csv", export(IDS)), NAME)


def list_(program: Program, account: Account) -> None:
    assert program.list() == set()
    program.put(account.file("local.csv", export(IDS)), NAME)
    assert program.list() == {NAME}


def stat(program: Program, account: Account) -> None:
    file = account.file("local.csv", export(IDS))
    assert program.put_and_stat(file, NAME) == file.stat().st_size


def rename(program: Program, account: Account) -> None:
    program.put_and_rename(account.file("local.csv", export(IDS)), f"{NAME}.tmp", NAME)
    assert account.state(f"{NAME}.tmp") == "ignored"
    assert program.list() == {NAME}


def resume(program: Program, account: Account) -> None:
    """The sender's own first half differs from the one that the server has: so it shows if it was sent again."""
    half = len(IDS) // 2
    account.cut_off(NAME, export(IDS[:half]))
    others = [ct_user_id + 1_000_000 for ct_user_id in IDS[:half]]
    program.resume(account.file("local.csv", export([*others, *IDS[half:]])), NAME)


def remove(program: Program, account: Account) -> None:
    program.put_and_remove(account.file("local.csv", export(IDS)), NAME)
    assert program.list() == set()


WORKS: dict[str, Callable[[Program, Account], None]] = {
    "put": put,
    "overwrite": overwrite,
    "list": list_,
    "stat": stat,
    "rename": rename,
    "resume": resume,
    "remove": remove,
}
CELLS = [
    pytest.param(program, work, id=f"{program}-{work}")
    for program in PROGRAMS
    for work in WORKS
    if (program, work) not in CANNOT
]


@pytest.mark.parametrize(("program", "work"), CELLS)
def test_the_sender_does_it_and_the_segment_has_exactly_the_ids(account: Account, program: str, work: str) -> None:
    WORKS[work](PROGRAMS[program](account), account)
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS)
    assert {state for name, state in account.states() if name == NAME} == {"loaded"}
