"""OpenSSH's sftp when it does not come to its end: what was cut off never loads, and `reput` completes it."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..e2e.conftest import wait_until
from ..sftp.conftest import require_program
from .post import HOST, PATIENCE_S, Account, export
from .programs import OpenSsh, ssh_options

NAME = "VIP_20261123_0900.csv"
# Large, and sent slowly: a test meets it in the middle.
IDS = range(1_000_000, 1_600_000)
LIMIT_KBIT = "20000"


def kill_sftp(sftp: subprocess.Popen[str]) -> None:
    sftp.kill()


def kill_its_ssh(sftp: subprocess.Popen[str]) -> None:
    [ssh] = Path(f"/proc/{sftp.pid}/task/{sftp.pid}/children").read_text().split()
    os.kill(int(ssh), signal.SIGKILL)


def interrupt(sftp: subprocess.Popen[str]) -> None:
    """Press Ctrl-C: the terminal signals the whole process group."""
    os.killpg(sftp.pid, signal.SIGINT)


def break_off(account: Account, name: str, death: Callable[[subprocess.Popen[str]], None]) -> None:
    """Start to put a file, and let the death come once the first bytes are there."""
    command = ["sftp", "-l", LIMIT_KBIT, "-b", "-", *ssh_options(account), f"{account.client}@{HOST}"]
    staging = account.post.box.folder / "data" / "clients" / account.client / "staging"
    with subprocess.Popen(
        command,
        cwd=account.folder,
        env=account.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as sftp:
        assert sftp.stdin is not None
        sftp.stdin.write(f"put local.csv {name}\n")
        sftp.stdin.flush()
        wait_until(lambda: any(place.stat().st_size for place in staging.glob("*")))
        death(sftp)
        sftp.stdin.close()
        sftp.wait(PATIENCE_S)


def landed_bytes(account: Account, name: str) -> int:
    query = "SELECT size FROM uploads WHERE client = ? AND filename = ?"
    [(size,)] = account.post.select(query, account.client, name)
    return int(size)


@pytest.mark.slow
@pytest.mark.parametrize("death", [kill_sftp, kill_its_ssh])
def test_a_put_whose_program_is_killed_never_loads_and_reput_completes_it(
    account: Account, death: Callable[[subprocess.Popen[str]], None]
) -> None:
    file = account.file("local.csv", export(IDS))
    break_off(account, NAME, death)
    kept = account.event("upload cut off", path=f"/{NAME}")["kept_bytes"]
    assert 0 < kept < file.stat().st_size
    assert account.states() == []
    OpenSsh(account).resume(file, NAME)
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS)
    assert account.states() == [(NAME, "loaded")]


def test_a_put_that_is_killed_leaves_the_good_file_of_that_name_and_its_segment_as_they_were(account: Account) -> None:
    sftp = OpenSsh(account)
    good = account.file("good.csv", export(range(1, 11)))
    sftp.put(good, NAME)
    assert account.state(NAME) == "loaded"
    account.file("local.csv", export(IDS))
    break_off(account, NAME, kill_sftp)
    account.event("upload cut off", path=f"/{NAME}")
    assert account.members("VIP") == list(range(1, 11))
    sftp.batch(f"get {NAME} back.csv")
    assert (account.folder / "back.csv").read_bytes() == good.read_bytes()


def test_after_ctrl_c_a_temporary_name_keeps_the_cut_off_list_out_and_reput_and_rename_complete_it(
    account: Account,
) -> None:
    """sftp closes the file itself after Ctrl-C, as if it were whole: no server can tell (see the README)."""
    file = account.file("local.csv", export(IDS))
    first = f"{NAME}.filepart"
    break_off(account, first, interrupt)
    assert account.state(first) == "ignored"
    assert landed_bytes(account, first) < file.stat().st_size
    OpenSsh(account).batch(f"reput {file} {first}", f"rename {first} {NAME}")
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS)


def test_after_ctrl_c_the_same_name_put_again_is_the_segment(account: Account) -> None:
    file = account.file("local.csv", export(IDS))
    break_off(account, NAME, interrupt)
    account.state(NAME)  # whatever it is: sftp closed a list that is cut off
    assert landed_bytes(account, NAME) < file.stat().st_size
    account.look_on()
    OpenSsh(account).put(file, NAME)
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS)


def test_a_put_that_asks_for_fsync_loads(account: Account) -> None:
    OpenSsh(account).batch(f"put -f {account.file('local.csv', export(IDS[:9]))} {NAME}")
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS[:9])


def scp(account: Account, file: Path, *options: str) -> list[str]:
    """The command of OpenSSH's scp, which speaks SFTP by itself since 9.0, and where it is told to since 8.7."""
    require_program("scp")
    return ["scp", "-s", *options, *ssh_options(account), str(file), f"{account.client}@{HOST}:/{NAME}"]


def test_scp_ends_well_and_the_list_loads(account: Account) -> None:
    account.execute(*scp(account, account.file("local.csv", export(IDS[:9]))))
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS[:9])


@pytest.mark.slow
def test_scp_of_a_shorter_list_after_one_that_was_killed_replaces_the_longer_one(account: Account) -> None:
    """It never truncates before it writes: what was cut off is the new list's beginning and the old one's end."""
    account.execute(*scp(account, account.file("long.csv", export(IDS))))
    assert account.state(NAME) == "loaded"
    shorter = account.file("shorter.csv", export(IDS[1:-1000]))
    staging = account.post.box.folder / "data" / "clients" / account.client / "staging"
    with subprocess.Popen(scp(account, shorter, "-l", LIMIT_KBIT), env=account.environment) as killed:
        wait_until(lambda: any(place.stat().st_size for place in staging.glob("*")))
        killed.kill()
    account.event("upload cut off", path=f"/{NAME}")
    account.look_on()
    account.execute(*scp(account, shorter))
    assert account.state(NAME) == "loaded"
    assert account.members("VIP") == list(IDS[1:-1000])
