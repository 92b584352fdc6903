"""Whose account does the work: what root asks for in another account's folders is done as that account.

A file that root made among the service's would shut the service out, at its next start. So a command that root runs
becomes the account that owns the folder, before it opens anything in there, and says so. Where the folder is not
there yet, the nearest one above it says whose it will be, then the other folders that were set.
"""

import os
import pwd
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ctsftp.errors import RefusedError, SettingsError

ROOT = 0


@dataclass(frozen=True)
class Account:
    """An account of the operating system, and the folder that is its."""

    uid: int
    gid: int
    name: str
    home: str | None
    owns: Path

    @property
    def announcement(self) -> str:
        """The sentence that tells root of it."""
        return f"Working as {self.name}, the account that owns {self.owns}."


def account_for(folder: Path, *others: Path) -> Account | None:
    """Find the account that this process is to become for its work in a folder; None if it is to stay what it is.

    `others` are asked where the folder is not there yet.
    """
    if os.geteuid() != ROOT:
        return None
    there = _nearest(folder)
    for place in (there,) if there == folder else (there, *map(_nearest, others)):
        found = place.stat()
        if found.st_uid != ROOT:
            return _account(found, place)
    return None


def become(account: Account) -> None:
    """Become an account for good; `RefusedError` if this process may not."""
    with _refusals(account):
        os.setgroups(_groups(account))
        os.setgid(account.gid)
        os.setuid(account.uid)
    _feel_at_home(account)


@contextmanager
def acting_as(account: Account | None) -> Iterator[None]:
    """Be an account within the block alone: what was opened before is finished as root after it."""
    if account is None:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    with _refusals(account):
        os.setgroups(_groups(account))
        os.setegid(account.gid)
        os.seteuid(account.uid)
    try:
        _feel_at_home(account)
        yield
    finally:
        os.seteuid(ROOT)
        os.setegid(gid)
        os.setgroups(groups)


def name_of(uid: int) -> str:
    """Give an account's name, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the uid {uid}"


def _account(found: os.stat_result, owns: Path) -> Account:
    try:
        entry = pwd.getpwuid(found.st_uid)
    except KeyError:  # as in a container, or of another machine
        return Account(found.st_uid, found.st_gid, name_of(found.st_uid), None, owns)
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir, owns)


def _groups(account: Account) -> list[int]:
    return [account.gid] if account.home is None else os.getgrouplist(account.name, account.gid)


def _nearest(place: Path) -> Path:
    """Give the place itself, or the nearest folder above it that is there."""
    for one in (place, *place.parents):
        with suppress(OSError):
            one.stat()
            return one
    return place


@contextmanager
def _refusals(account: Account) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise RefusedError(
            f"{account.owns} belongs to {account.name}, which this root may not become ({exc.strerror}):"
            " start ctsftp as that account."
        ) from exc


def _feel_at_home(account: Account) -> None:
    """Let libraries look for their files in the account's home, and see that it can read the program itself."""
    os.environ["HOME"] = account.home or "/"
    os.environ["USER"] = os.environ["LOGNAME"] = account.name
    for place in (Path(__file__), Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))):
        if not os.access(place, os.R_OK, effective_ids=True):
            raise SettingsError(
                f"{account.name}, which owns {account.owns}, cannot read {place}: install ctsftp where every account"
                " can read it, such as /opt/ctsftp."
            )
