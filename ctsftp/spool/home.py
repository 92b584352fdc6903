"""A client's home: the folder that it sees over SFTP, with its cut-off uploads shown among the files.

`home/` holds hard links to complete uploads; `partials/` mirrors its folders and holds what was cut
off. Where both stand at one path, the complete file is the one that is shown: an overwrite that
broke off leaves the good file as it was. Nothing here follows a link.

A client may have several sessions, and each call comes from some thread. Whoever looks and then acts
on what was there holds `lock` for that long; nobody holds it during an fsync or while bytes are copied.
"""

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ctsftp.contract.names import nfc
from ctsftp.errors import DiskError, IncompleteError, NoSuchPathError, PathRefusedError, PathTakenError, PeerError
from ctsftp.spool.disk import Disk, translated
from ctsftp.spool.paths import MAX_DEPTH, MAX_PATH_BYTES, HomePath, check_name

MAX_FOLDER_ENTRIES = 100_000
ROOT = HomePath(())

# What the disk answers where a local user, or another session, was quicker than a check of ours.
_PEERS_FAULTS: dict[int, tuple[type[PeerError], str]] = {
    errno.ENOENT: (NoSuchPathError, "is not there"),
    errno.ENOTDIR: (NoSuchPathError, "is not there"),
    errno.EEXIST: (PathTakenError, "is there already"),
    errno.ENOTEMPTY: (PathTakenError, "is not empty"),
    errno.ELOOP: (PathRefusedError, "is a link or a special file"),
    errno.ENAMETOOLONG: (PathRefusedError, "is too long for this disk"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a place: a folder or a file, its size in bytes, its time in seconds since 1970."""

    name: str
    is_folder: bool
    size: int
    modified_s: float
    read_only: bool = False

    @classmethod
    def of(cls, name: str, found: os.stat_result) -> "Entry":
        """Describe what `found` says."""
        return cls(name, stat.S_ISDIR(found.st_mode), found.st_size, found.st_mtime)


class OpenFile:
    """A file that is open for reading."""

    def __init__(self, disk: Disk, fd: int) -> None:
        self._disk = disk
        self._fd: int | None = fd

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        with translated("The file could not be read"):
            return b"" if self._fd is None else self._disk.read(self._fd, size, offset)

    def stat(self) -> os.stat_result:
        """Describe the file."""
        if self._fd is None:
            raise NoSuchPathError("The file was closed already.")
        with translated("The file could not be looked at"):
            return self._disk.fstat(self._fd)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                self._disk.close(fd)


@dataclass(slots=True)
class Notes:
    """What changed in a home since somebody looked.

    The paths to which something was moved, and which uploads were made of bytes that others have, by their inode.
    """

    moved: list[HomePath] = field(default_factory=list)
    shared: list[tuple[int, str]] = field(default_factory=list)


class Home:
    """One client's home and its partials, below the client's folder in the spool."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self.files = folder / "home"
        self.partials = folder / "partials"
        self.lock = threading.RLock()
        self._notes: list[Notes] = []

    def begin_notes(self) -> Notes:
        """Note from now on what is moved here: who walks a home that is in use would miss it."""
        notes = Notes()
        with self.lock:
            self._notes.append(notes)
        return notes

    def end_notes(self, notes: Notes) -> None:
        """Forget them."""
        with self.lock:
            self._notes = [one for one in self._notes if one is not notes]

    def note_moved(self, path: HomePath) -> None:
        """Note that something stands at `path` that stood elsewhere; call it under the lock."""
        for notes in self._notes:
            notes.moved.append(path)

    def note_shared(self, inode: int, upload_id: str) -> None:
        """Note that an upload was made of the bytes of another."""
        with self.lock:
            for notes in self._notes:
                notes.shared.append((inode, upload_id))

    def file(self, path: HomePath) -> Path:
        """Where the file or folder at `path` stands on the disk."""
        return self.files.joinpath(*path.parts)

    def partial(self, path: HomePath) -> Path:
        """Where the cut-off upload to `path` stands on the disk."""
        return self.partials.joinpath(*path.parts)

    def find(self, path: HomePath) -> os.stat_result | None:
        """Describe the complete file or the folder at `path`, or None; raise for a link on the way."""
        with _answered(path, "looked at"):
            self._walk(path.parent)
            found = self._lstat(self.file(path))
        if found and not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise PathRefusedError(f"{path} is a link or a special file.")
        return found

    def find_partial(self, path: HomePath) -> os.stat_result | None:
        """Describe the cut-off upload to `path`, or None."""
        with _answered(path, "looked at"):
            found = self._lstat(self.partial(path))
        return found if found and stat.S_ISREG(found.st_mode) else None

    def stat(self, path: HomePath) -> Entry:
        """Describe what the client sees at `path`, in whichever Unicode form its name is."""
        place = self._spelled(path)
        cut_off = self.find_partial(place)  # first: it goes only when the complete file is there
        found = self.find(place) or cut_off
        if found is None:
            raise NoSuchPathError(f"{path} is not there.")
        return Entry.of(path.name, found)

    def entries(self, path: HomePath) -> list[Entry]:
        """List the folder at `path`, by name; links and special files are left out."""
        self.require_folder(path)
        with _answered(path, "listed"):
            cut_off, complete = self._contents(self.partial(path)), self._contents(self.file(path))
        shown = {name: Entry.of(name, found) for name, found in cut_off if stat.S_ISREG(found.st_mode)}
        for name, found in complete:  # a complete file covers a partial of its name
            if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                shown[name] = Entry.of(name, found)
        return [shown[name] for name in sorted(shown)]

    def require_folder(self, path: HomePath) -> None:
        """Raise unless a folder stands at `path`."""
        found = self.find(path)
        if found is None:
            raise NoSuchPathError(f"{path} is not there.")
        if not stat.S_ISDIR(found.st_mode):
            raise NoSuchPathError(f"{path} is not a folder.")

    def require_file(self, path: HomePath) -> os.stat_result:
        """Describe the complete file at `path`; raise unless there is one."""
        found = self.find(path)
        if found and stat.S_ISREG(found.st_mode):
            return found
        if found is None and self.find_partial(path):
            raise IncompleteError(f"{path} was cut off: resume it or send it again, then go on.")
        raise NoSuchPathError(f"{path} is not there." if found is None else f"{path} is a folder.")

    def find_writable(self, path: HomePath) -> os.stat_result | None:
        """Describe the complete file that stands where one is to be written; raise if none can be written there."""
        if not path.parts:
            raise PathRefusedError("/ is a folder.")
        self.require_folder(path.parent)
        found = self.find(path)
        if found and stat.S_ISDIR(found.st_mode):
            raise PathRefusedError(f"{path} is a folder.")
        return found

    def open(self, path: HomePath) -> OpenFile:
        """Open what the client sees at `path` for reading, in whichever Unicode form its name is."""
        with self.lock, _answered(path, "opened"):
            path = self._spelled(path)
            try:
                self.require_file(path)
                place = self.file(path)
            except IncompleteError:
                place = self.partial(path)
            return OpenFile(self._disk, self._disk.open_read(place))

    def set_times(self, path: HomePath, accessed_s: float, modified_s: float) -> None:
        """Set the times of what the client sees at `path`."""
        with self.lock, _answered(path, "given its times"):
            place = self.file(path) if self.find(path) else self.partial(path)
            self._disk.set_times(place, accessed_s, modified_s)

    def room(self) -> os.statvfs_result:
        """Tell how much room the home's file system has."""
        with translated("The disk could not be asked for its room"):
            return self._disk.room(self.files)

    def make_folder(self, path: HomePath) -> None:
        """Make a folder; it is durable, so that the uploads in it can be."""
        with self.lock, _answered(path, "made"):
            if not path.parts or self.find(path) or self.find_partial(path):
                raise PathTakenError(f"{path} is there already.")
            self.require_folder(path.parent)
            self._disk.make_folder(self.file(path))
        self.sync(path.parent)

    def remove_folder(self, path: HomePath) -> None:
        """Remove an empty folder."""
        if not path.parts:
            raise PathRefusedError("The home folder itself cannot be removed.")
        with self.lock, _answered(path, "removed"):
            if self.entries(path):
                raise PathTakenError(f"{path} is not empty.")
            self._disk.remove_folder(self.file(path))
            with contextlib.suppress(OSError):  # a mirror that is not there
                self._disk.remove_folder(self.partial(path))

    def remove(self, path: HomePath) -> None:
        """Take a file's name away, with what was cut off under it; an upload of it stays."""
        with self.lock, _answered(path, "removed"):
            found, cut_off = self.find(path), self.find_partial(path)
            if found and stat.S_ISDIR(found.st_mode):
                raise PathRefusedError(f"{path} is a folder: remove it with rmdir.")
            if not found and not cut_off:
                raise NoSuchPathError(f"{path} is not there.")
            if cut_off:
                self._disk.unlink(self.partial(path))
            if found:
                self._disk.unlink(self.file(path))

    def rename(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        """Move a complete file or a folder; a file at `new` gives way only if `replace`.

        A folder takes along what was cut off in it. What was cut off under a file's old or new name
        is forgotten, as if the file had been removed from the one and put to the other.
        """
        with self.lock, _answered(old, "renamed"):
            found = self.find(old)
            is_folder = found is not None and stat.S_ISDIR(found.st_mode)
            if not is_folder:
                self.require_file(old)
            if is_folder:
                self.check_folder_move(old, new)
            else:
                self.check_target(old, new, replace=replace)
            if old == new:
                return
            self.move(self.file(old), self.file(new))
            self.note_moved(new)
            if is_folder:
                self._move_mirror(old, new)
            else:
                self.drop_partial(old)
                self.drop_partial(new)

    def move_target(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        """Check that a file which is being written may stand at `new`; forget what was cut off at `old`."""
        with self.lock, _answered(old, "renamed"):
            self.check_target(old, new, replace=replace)
            self.find_writable(new)
            self.drop_partial(old)

    def check_target(self, old: HomePath, new: HomePath, *, replace: bool) -> None:
        """Raise unless something at `old` may be moved to `new`."""
        if not old.parts or new.parts[: len(old.parts)] == old.parts != new.parts:
            raise PathRefusedError(f"{old} cannot be moved into itself.")
        self.require_folder(new.parent)
        there = self.find(new)
        if there and old != new and (stat.S_ISDIR(there.st_mode) or not replace):
            raise PathTakenError(f"{new} is there already.")

    def check_folder_move(self, old: HomePath, new: HomePath) -> None:
        """Raise unless the folder at `old`, with all that is in it, may be moved to `new`."""
        self.check_target(old, new, replace=False)
        if old != new:
            self._require_reach(old, new)

    def move(self, old: Path, new: Path) -> None:
        """Rename on the disk, and make it so where both names belong to one file (rename(2) then does nothing)."""
        before = self._lstat(new)
        self._disk.rename(old, new)
        if before and old != new and (left := self._lstat(old)) and os.path.samestat(left, before):
            self._disk.unlink(old)

    def claim_partial(self, path: HomePath, place: Path) -> int:
        """Take what was cut off at `path` over to `place`, and return its descriptor; on an OSError it stays."""
        fd = self._disk.open_write(self.partial(path))
        try:
            self._disk.rename(self.partial(path), place)
        except OSError:
            self._disk.close(fd)
            raise
        return fd

    def keep_partial(self, staged: Path, path: HomePath) -> None:
        """Keep a cut-off file for the client to resume; raise if the folder that it was meant for is gone."""
        with self.lock, _answered(path, "kept"):
            self.require_folder(path.parent)
            self._make_mirror(path.parent)
            self._disk.rename(staged, self.partial(path))

    def drop_partial(self, path: HomePath) -> None:
        """Forget what was cut off at `path`: a complete file took its place."""
        with self.lock, contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._disk.unlink(self.partial(path))

    def sync(self, path: HomePath) -> None:
        """Make the entries of the folder at `path` durable."""
        with _answered(path, "made durable"):
            self._disk.fsync_folder(self.file(path))

    def sync_partials(self, path: HomePath) -> None:
        """Make durable which files were cut off in the folder at `path`."""
        with _answered(path, "made durable"):
            self._disk.fsync_folder(self.partial(path))

    def count_folders(self) -> int:
        """Tell how many folders the client has made."""
        count, pending = 0, [HomePath(())]
        while pending:
            folder = pending.pop()
            for name, found in self._readable(self.file(folder)):
                if stat.S_ISDIR(found.st_mode):
                    count += 1
                    if len(folder.parts) + 1 < MAX_DEPTH:
                        pending.append(folder.child(name))
        return count

    def walk(
        self, root: Path, go_on: Callable[[], bool] = lambda: True, *, below: HomePath = ROOT
    ) -> Iterator[tuple[HomePath, os.stat_result]]:
        """Yield every regular file of `root` (files or partials) with what the disk says of it, until `go_on` says no.

        What a local user put there and this process may not read, or no client could name, is left out.
        """
        pending = [below]
        while pending and go_on():
            folder = pending.pop()
            for name, found in self._readable(root.joinpath(*folder.parts)):
                if stat.S_ISREG(found.st_mode):
                    yield folder.child(name), found
                elif stat.S_ISDIR(found.st_mode) and len(folder.parts) + 1 < MAX_DEPTH:
                    pending.append(folder.child(name))

    def _spelled(self, path: HomePath) -> HomePath:
        """Return a path as it is spelled here: a name may have come in another Unicode form than it is asked for."""
        if str(path).isascii():
            return path
        place = ROOT
        with _answered(path, "looked at"):
            for name in path.parts:
                exact = place.child(name)
                if self._lstat(self.file(exact)) or self._lstat(self.partial(exact)):
                    place = exact
                    continue
                self._walk(place)
                names = [*self._names(self.file(place)), *self._names(self.partial(place))]
                same = [one for one in names if nfc(one) == nfc(name)]
                if not same:
                    return path
                place = place.child(same[0])
        return place

    def _names(self, folder: Path) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(filter(_can_be_asked_for, self._disk.names(folder)))
        return []

    def _walk(self, path: HomePath) -> None:
        """Raise unless every component of `path` is a real folder (the peer cannot make links; a local user can)."""
        place = self.files
        for name in path.parts:
            place = place / name
            found = self._lstat(place)
            if found and stat.S_ISLNK(found.st_mode):
                raise PathRefusedError(f"{path} leads through a link.")
            if not found or not stat.S_ISDIR(found.st_mode):
                raise NoSuchPathError(f"{path} is not there.")

    def _make_mirror(self, path: HomePath) -> None:
        folder = self.partials
        for name in path.parts:
            folder = folder / name
            with contextlib.suppress(FileExistsError):
                self._disk.make_folder(folder)

    def _require_reach(self, old: HomePath, new: HomePath) -> None:
        """Raise if a folder's move takes something to where no path leads: nobody would find or count it there."""
        for root in (self.files, self.partials):
            pending = [old]
            while pending:
                folder = pending.pop()
                for name, found in self._readable(root.joinpath(*folder.parts)):
                    inside = folder.child(name)
                    moved = HomePath((*new.parts, *inside.parts[len(old.parts) :]))
                    if len(moved.parts) > MAX_DEPTH or len(str(moved).encode()) > MAX_PATH_BYTES:
                        raise PathRefusedError(f"{old} cannot be moved: a path in it would be too deep, or too long.")
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(inside)

    def _move_mirror(self, old: HomePath, new: HomePath) -> None:
        """Let what was cut off in a folder follow it; if it cannot, it must be sent whole."""
        with contextlib.suppress(OSError):
            self.drop_partial(new)
            if self._lstat(self.partial(old)):
                self._make_mirror(new.parent)
                self._disk.rename(self.partial(old), self.partial(new))

    def _lstat(self, place: Path) -> os.stat_result | None:
        try:
            return self._disk.lstat(place)
        except OSError as exc:
            if exc.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
                return None
            raise

    def _contents(self, folder: Path) -> list[tuple[str, os.stat_result]]:
        """Describe what a client could name in a folder; nothing, if there is no folder."""
        try:
            names = self._disk.names(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        nameable = [name for name in names if _can_be_asked_for(name)][:MAX_FOLDER_ENTRIES]
        return [(name, found) for name in nameable if (found := self._lstat(folder / name))]

    def _readable(self, folder: Path) -> list[tuple[str, os.stat_result]]:
        try:
            return self._contents(folder)
        except OSError as exc:
            if exc.errno in {errno.EACCES, errno.ENAMETOOLONG}:
                return []
            raise DiskError(f"{folder} could not be listed: {exc.strerror}.") from exc


@contextlib.contextmanager
def _answered(path: HomePath, done: str) -> Iterator[None]:
    """Raise what the disk answers as the peer's fault, where it is one, else as a `DiskError`."""
    with translated(f"{path} could not be {done}"):
        try:
            yield
        except OSError as exc:
            if exc.errno not in _PEERS_FAULTS:
                raise
            fault, reason = _PEERS_FAULTS[exc.errno]
            raise fault(f"{path} {reason}.") from exc


def _can_be_asked_for(name: str) -> bool:
    """Whether a client could name it: a file that came by other means may be called anything."""
    try:
        check_name(name)
    except PathRefusedError:
        return False
    return True
