"""A disk that forgets: after a power cut it keeps any subset of what was not made durable.

`ForgetfulDisk` is the real disk and keeps a model beside it of what is durable and what is not yet. `cut`
lays what a power cut may leave into a new folder, decided by a random source:

- of a file, the bytes of its last fsync and any subset of the sectors that were written after it;
- of a folder, the entries of its last fsync and any subset of the entries that came or went since.

A rename is two such entries, so its two sides may be kept apart: harsher than any journal is.
"""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from ctsftp.spool.disk import LocalDisk

SECTORS_BYTES = (512, 4096)


class PowerCutError(BaseException):
    """The power is off: no call comes back, and no handler runs."""


@dataclass(eq=False)
class File:
    """A file: its durable bytes, and the writes since, as (offset, bytes), or (size, None) for a cut."""

    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def torn(self, chance: random.Random, keep: float) -> bytes:
        """Give the bytes that a power cut may leave."""
        left = bytearray(self.durable)
        sector = chance.choice(SECTORS_BYTES)
        for place, data in self.pending:
            if data is None:
                if chance.random() < keep:
                    left[place:] = bytes(max(0, place - len(left)))
                continue
            start = place
            while start < place + len(data):
                end = min(start - start % sector + sector, place + len(data))
                if chance.random() < keep:
                    left.extend(bytes(max(0, end - len(left))))
                    left[start:end] = data[start - place : end - place]
                start = end
        return bytes(left)

    def now(self) -> bytes:
        return self.torn(random.Random(0), 2.0)  # noqa: S311 - no secret


@dataclass(eq=False)
class Folder:
    """A folder: its durable entries, its entries as they are, and what came or went in between."""

    durable: dict[str, "File | Folder"] = field(default_factory=dict)
    now: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[tuple[str, "File | Folder | None"]] = field(default_factory=list)

    def put(self, name: str, child: "File | Folder | None") -> None:
        self.pending.append((name, child))
        _set(self.now, name, child)

    def torn(self, chance: random.Random, keep: float) -> dict[str, "File | Folder"]:
        left = dict(self.durable)
        for name, child in self.pending:
            if chance.random() < keep:
                _set(left, name, child)
        return left


def _set(entries: dict[str, File | Folder], name: str, child: File | Folder | None) -> None:
    if child is None:
        entries.pop(name, None)
    else:
        entries[name] = child


class ForgetfulDisk(LocalDisk):
    """The real disk below `top`, all of which is durable at first; the power fails before change number `cut_before`.

    Changes are counted from 1 on in `changes`, which names them.
    """

    def __init__(self, top: Path, *, cut_before: int | None = None) -> None:
        self.top = top
        self.cut_before = cut_before
        self.changes: list[str] = []
        self._open: dict[int, File] = {}
        self._by_number: dict[int, File] = {}
        self._tree = self._scan(top)

    def cut(self, into: Path, chance: random.Random) -> None:
        """Lay what the power cut left into a new folder."""
        self._lay(self._tree, into, chance, chance.choice((0.0, 0.5, 0.9, 1.0)), {})

    def create(self, path: Path) -> int:
        self._change("create", path)
        fd = super().create(path)
        self._open[fd] = made = File()
        self._folder(path.parent).put(path.name, made)
        return fd

    def open_write(self, path: Path) -> int:
        fd = super().open_write(path)
        found = self._folder(path.parent).now[path.name]
        assert isinstance(found, File)
        self._open[fd] = found
        return fd

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        super().close(fd)

    def write(self, fd: int, data: bytes, offset: int) -> int:
        self._change("write", self.top)
        self._open[fd].pending.append((offset, bytes(data)))
        return super().write(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        self._change("truncate", self.top)
        self._open[fd].pending.append((size, None))
        super().truncate(fd, size)

    def fsync(self, fd: int) -> None:
        self._change("fsync", self.top)
        file = self._open[fd]
        file.durable, file.pending = file.now(), []

    def fsync_folder(self, path: Path) -> None:
        self._change("fsync_folder", path)
        folder = self._folder(path)
        folder.durable, folder.pending = dict(folder.now), []

    def make_folder(self, path: Path) -> None:
        self._change("make_folder", path)
        super().make_folder(path)
        self._folder(path.parent).put(path.name, Folder())

    def remove_folder(self, path: Path) -> None:
        self._change("remove_folder", path)
        super().remove_folder(path)
        self._folder(path.parent).put(path.name, None)

    def rename(self, old: Path, new: Path) -> None:
        self._change("rename", new)
        super().rename(old, new)
        moved = self._folder(old.parent).now[old.name]
        if self._folder(new.parent).now.get(new.name) is not moved:  # else rename(2) does nothing
            self._folder(new.parent).put(new.name, moved)
            self._folder(old.parent).put(old.name, None)

    def link(self, old: Path, new: Path) -> None:
        self._change("link", new)
        super().link(old, new)
        self._folder(new.parent).put(new.name, self._folder(old.parent).now[old.name])

    def unlink(self, path: Path) -> None:
        self._change("unlink", path)
        super().unlink(path)
        self._folder(path.parent).put(path.name, None)

    def _change(self, call: str, path: Path) -> None:
        if self.cut_before is not None and len(self.changes) + 1 >= self.cut_before:
            raise PowerCutError
        self.changes.append(f"{call} {path.relative_to(self.top)}")

    def _folder(self, path: Path) -> Folder:
        folder = self._tree
        for name in path.relative_to(self.top).parts:
            child = folder.now[name]
            assert isinstance(child, Folder)
            folder = child
        return folder

    def _scan(self, place: Path) -> Folder:
        entries: dict[str, File | Folder] = {}
        for child in place.iterdir():
            if child.is_dir():
                entries[child.name] = self._scan(child)
            else:
                entries[child.name] = self._by_number.setdefault(child.stat().st_ino, File(child.read_bytes()))
        return Folder(entries, dict(entries))

    def _lay(self, folder: Folder, place: Path, chance: random.Random, keep: float, laid: dict[File, Path]) -> None:
        place.mkdir()
        for name, child in folder.torn(chance, keep).items():
            if isinstance(child, Folder):
                self._lay(child, place / name, chance, keep, laid)
            elif child in laid:
                os.link(laid[child], place / name)
            else:
                (place / name).write_bytes(child.torn(chance, keep))
                laid[child] = place / name
