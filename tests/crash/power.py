"""A spool whose power fails: what its clients were told, and what must be there when the power is back."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

from ctsftp.errors import CtsftpError
from ctsftp.spool.disk import Disk
from ctsftp.spool.ids import UploadIds
from ctsftp.spool.paths import read_path
from ctsftp.spool.spool import Spool
from ctsftp.spool.staging import StagedFile
from tests.spool.bench import uploads_of

from .oracle import Fault
from .simdisk import ForgetfulDisk, PowerCutError

SIZES_BYTES = (1, 700, 5000)
PLACES = ("a.csv", "b.csv")
LIMIT_BYTES = 1 << 20

Wrap = Callable[[ForgetfulDisk], Disk]


def as_it_is(disk: ForgetfulDisk) -> Disk:
    return disk


class World:
    """A client of a spool on a forgetful disk; each power cut takes it to a new folder.

    `wrap` may put a mistake between the spool and the disk.
    """

    def __init__(self, folder: Path, seed: int, *, wrap: Wrap = as_it_is, cut_before: int | None = None) -> None:
        self.folder = folder
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.acknowledged: dict[str, bytes] = {}
        # What is broken off and resumed at one place is one and the same file.
        self.resumed = {place: self.chance.randbytes(max(SIZES_BYTES)) for place in PLACES}
        self.whole: set[bytes] = set(self.resumed.values())
        self._wrap = wrap
        self._ids = UploadIds().next
        self._tops = (folder / f"life_{number}" for number in itertools.count())
        top = next(self._tops)
        top.mkdir(parents=True)
        self._boot(top, cut_before)

    def put(self, place: str) -> None:
        """Send a whole file; it counts from the OK on."""
        self._finish(place, truncate=True, data=self._data())

    def break_off(self, place: str) -> None:
        """Send a part of a file, and lose the connection."""
        staged = self._open(place, truncate=True)
        data = self.resumed[place]
        staged.write(0, data[: len(data) // 2])
        self.spool.cut_off("acme", staged)

    def resume(self, place: str, *, breaks_off: bool = False, cut: bool = False) -> None:
        """Go on after what the server says that it has of a file, as reput does."""
        home = self.spool.home("acme")
        where = read_path(place.encode())
        partial = home.find_partial(where)
        if partial is None or home.find(where):
            return
        data = self.resumed[place]
        staged = self._open(place, truncate=False)
        end = len(data) - 1 if breaks_off else len(data)
        staged.write(partial.st_size, data[partial.st_size : end])
        if cut:
            raise PowerCutError
        if breaks_off:
            self.spool.cut_off("acme", staged)
        else:
            self._publish(staged, data)

    def rename(self, place: str) -> None:
        """Rename a file to a segment file's name: a new upload of the same bytes."""
        old, new = read_path(place.encode()), read_path(b"renamed.csv")
        home = self.spool.home("acme")
        if home.find(old) is None:
            return
        data = home.file(old).read_bytes()
        upload = self.spool.publish_again("acme", old, new)
        home.rename(old, new, replace=True)
        home.sync(new.parent)
        self.acknowledged[upload.id] = data

    def remove(self, place: str) -> None:
        home = self.spool.home("acme")
        where = read_path(place.encode())
        if home.find(where) or home.find_partial(where):
            home.remove(where)

    def cut_power(self) -> list[Fault]:
        """Cut the power and start again; give what is then not as it must be."""
        top = next(self._tops)
        self.disk.cut(top, self.chance)
        self._boot(top, None)
        self.spool.clear_staging()
        return list(self._faults())

    def _boot(self, top: Path, cut_before: int | None) -> None:
        self.disk = ForgetfulDisk(top, cut_before=cut_before)
        self.spool = Spool(top / "clients", disk=self._wrap(self.disk), next_id=self._ids)

    def _faults(self) -> list[Fault]:
        found = {upload.id: upload.path.read_bytes() for upload in uploads_of(self.spool)}
        faults = [Fault("lost", upload_id) for upload_id in self.acknowledged.keys() - found.keys()]
        for upload_id, data in found.items():
            if data != self.acknowledged.get(upload_id, data) or data not in self.whole:
                faults.append(Fault("wrong_bytes", upload_id))
        home = self.spool.root / "acme" / "home"
        shown = (file for file in home.rglob("*") if file.is_file())
        faults += [Fault("half_stored", str(file)) for file in shown if file.read_bytes() not in self.whole]
        return faults

    def _data(self) -> bytes:
        data = self.chance.randbytes(self.chance.choice(SIZES_BYTES))
        self.whole.add(data)
        return data

    def _open(self, place: str, *, truncate: bool) -> StagedFile:
        return self.spool.stage(
            "acme",
            read_path(place.encode()),
            truncate=truncate,
            create=True,
            exclusive=False,
            append=False,
            max_size_bytes=LIMIT_BYTES,
        )

    def _finish(self, place: str, *, truncate: bool, data: bytes) -> None:
        staged = self._open(place, truncate=truncate)
        half = len(data) // 2
        staged.write(0, data[:half])
        staged.write(half, data[half:])
        self._publish(staged, data)

    def _publish(self, staged: StagedFile, data: bytes) -> None:
        upload = self.spool.publish("acme", staged)
        self.acknowledged[upload.id] = data

    def step(self, name: str, place: str) -> list[Fault]:
        """Do something, by its name; give the faults that a power cut then shows."""
        try:
            match name:
                case "cut":
                    return self.cut_power()
                case "resume_and_break_off":
                    self.resume(place, breaks_off=True)
                case _:
                    getattr(self, name)(place)
        except PowerCutError:
            return self.cut_power()
        except CtsftpError:
            pass
        return []


def steps(world: World, names: list[tuple[str, str]]) -> list[Fault]:
    """Do things until a power cut shows a fault, the last of them a power cut; give the faults."""
    for name, place in names:
        if faults := world.step(name, place):
            return faults
    return world.cut_power()
