"""What `ctsftp doctor` asks of the data folder: who may read and write it, and how much room there is."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ctsftp.contract.finding import Finding, Level
from ctsftp.spool.room import Floor, Room
from ctsftp.spool.spool import FOLDERS

MIN_FREE_FILES_RATIO = 0.05


def check_folder(part: str, folder: Path, *, private: bool = True) -> Iterator[Finding]:
    """Check that a folder is its owner's and closed to strangers, and that what stands in it belongs to one account.

    Where it is not `private`, strangers may read it.

    Looks at the folder and at what stands directly in it: root's own commands may have left something there.
    """
    try:
        owner = folder.stat()
        children = [(path, path.lstat()) for path in sorted(folder.iterdir())]
    except OSError as exc:
        why = f"{folder} cannot be read ({exc.strerror})."
        do = "Use root or the server's account, and see that CTSFTP_DATA_DIR and CTSFTP_KEYS_DIR are the server's."
        yield Finding(part, Level.BAD, why, do)
        return
    found = [*_strangers(part, folder, owner, private=private), *_owners(part, children, owner)]
    closed = "closed to others" if private else "written by it alone"
    yield from found or [Finding(part, Level.OK, f"{folder} belongs to one account and is {closed}.")]


def check_clients_folders(root: Path) -> Iterator[Finding]:
    """Check that what each client has in the spool can be listed: the sweep leaves out a client of which it cannot."""
    places = [folder / name for folder in sorted(root.glob("*")) if folder.is_dir() for name in FOLDERS]
    for place in places:
        try:
            if os.path.lexists(place):
                os.scandir(place).close()
        except OSError as exc:
            text = f"{place} cannot be listed ({exc.strerror}): nothing of this client is taken, found or deleted."
            yield Finding("data", Level.BAD, text, "Repair the disk, or move it away: a folder is made in its place.")


def check_homes(root: Path) -> Iterator[Finding]:
    """Check that what clients see are uploads: of other files, also of those with a link elsewhere, come new ones."""
    alone: list[Path] = []
    for home in sorted(root.glob("*/home")):
        shown = list(_files(home))  # first: what lands meanwhile is an upload before it shows
        kept = home.with_name("uploads")
        uploads = {inode for _, inode in _files(kept)}
        if kept.is_dir():  # else that is told of already
            alone += [path for path, inode in shown if inode not in uploads]
    if alone:
        are = "1 file in a client's home is" if len(alone) == 1 else f"{len(alone):,} files in clients' homes are"
        text = f"{are} no upload yet, {alone[0]} first: the sweep makes a new one of each."
        do = "If the data folder was copied without its hard links, stop the server and copy it with `cp -a`."
        yield Finding("data", Level.WARN, text, do)


def check_room(data_dir: Path, *, floor: Floor, free_ratio: float, largest_bytes: int) -> Iterator[Finding]:
    """Check that the disk has room for the next upload and its list, and for as many files as there will be."""
    found = os.statvfs(data_dir)
    room = Room.of(found, floor)
    told = (
        f"{room.free_bytes / 1e9:,.1f} GB of {room.total_bytes / 1e9:,.1f} GB are free at {data_dir},"
        f" {max(0, room.spare_bytes) / 1e9:,.1f} GB of them for uploads."
    )
    do = (
        "Free some room, or lower CTSFTP_SPOOL__KEEP_UPLOADS_DAYS and CTSFTP_SWEEP__KEEP_SNAPSHOTS for the server and"
        " restart it."
    )
    if refusal := room.refusal():
        yield Finding("disk", Level.BAD, f"{told} Every upload is refused. {refusal}", do)
    elif room.refusal(largest_bytes):
        yield Finding("disk", Level.BAD, f"{told} The largest file that may come would not fit.", do)
    elif room.free_bytes < room.total_bytes * free_ratio:
        yield Finding("disk", Level.WARN, told, do)
    else:
        yield Finding("disk", Level.OK, told)
    if found.f_files and found.f_favail < found.f_files * MIN_FREE_FILES_RATIO:
        text = f"Only {max(0, room.spare_files):,} more files of uploads fit on the disk of {data_dir}."
        yield Finding("disk", Level.WARN, text, do)


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """Give the regular files below a folder with their inodes."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(OSError):  # a server works meanwhile; what cannot be looked at is told of already
                if stat.S_ISREG((found := path.lstat()).st_mode):
                    yield path, found.st_ino


def _strangers(part: str, folder: Path, found: os.stat_result, *, private: bool) -> Iterator[Finding]:
    if found.st_mode & stat.S_IWOTH:
        yield Finding(part, Level.BAD, f"Everybody may write to {folder}.", f"chmod o-rwx {folder}")
    elif private and found.st_mode & stat.S_IROTH and found.st_mode & stat.S_IXOTH:
        yield Finding(part, Level.WARN, f"Everybody may read {folder}.", f"chmod o-rwx {folder}")


def _owners(part: str, children: list[tuple[Path, os.stat_result]], owner: os.stat_result) -> Iterator[Finding]:
    for path, found in children:
        if found.st_uid != owner.st_uid and path.name != "lost+found":  # where the folder is a disk of its own
            yield Finding(
                part,
                Level.BAD,
                f"{path} belongs to the uid {found.st_uid}, and its folder to {owner.st_uid}: the server is shut out.",
                f"chown -R --reference={path.parent} {path}",
            )
