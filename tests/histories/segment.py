"""What should become of one segment's uploads, written from the design's words alone: lists, and no database."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

REJECTED_ONE_IN = 10
SHRUNK_FROM = 10
KEPT_SNAPSHOTS = 5


@dataclass(frozen=True)
class File:
    """A file as its sender wrote it: `lines` are the ids, good and bad, below the title."""

    name: str
    spelling: str
    stamp: str
    is_future: bool
    title: str
    lines: tuple[str, ...]

    @property
    def content(self) -> bytes:
        return "".join(f"{line}\n" for line in (self.title, *self.lines)).encode()

    @property
    def members(self) -> frozenset[int]:
        return frozenset(int(line) for line in self.lines if line.isdigit())


@dataclass
class Upload:
    """An upload; `place` is its place in the order of the CLOSEs."""

    file: File
    place: int
    state: str = "received"
    code: str | None = None
    counts: tuple[int, int, int, int] | None = None
    approved: bool = False
    warnings: list[str] = field(default_factory=list)
    applied_to: "Segment | None" = None
    applied_as: int = 0

    @property
    def age(self) -> tuple[str, int]:
        """Newer is greater: by the stamp, then by the CLOSE."""
        return self.file.stamp, self.place


@dataclass
class Snapshot:
    number: int
    upload: Upload
    members: frozenset[int]
    entered: int
    left: int


@dataclass
class Segment:
    spelling: str
    snapshots: list[Snapshot]
    current: Snapshot
    newest: tuple[str, int]
    pile: list[int]
    before: frozenset[int] = frozenset()
    rolled_back: bool = False
    retired: bool = False


class RefusedByModelError(Exception):
    """What an admin asked for cannot be."""


@dataclass
class Model:
    """One client with one segment, or none yet."""

    uploads: list[Upload] = field(default_factory=list)
    segment: Segment | None = None
    knows_own_title: bool = False

    def send(self, file: File, *, database_refuses: bool = False) -> Upload:
        upload = Upload(file, len(self.uploads))
        self.uploads.append(upload)
        self._load(upload, database_refuses=database_refuses)
        return upload

    def approve(self, upload: Upload, *, database_refuses: bool = False) -> None:
        self._require(upload, "held", "superseded")
        if self.segment and self.segment.retired:
            raise RefusedByModelError
        upload.approved = True
        self._load(upload, database_refuses=database_refuses)

    def discard(self, upload: Upload) -> None:
        self._require(upload, "held")
        upload.state, upload.code = "discarded", None

    def retry(self, upload: Upload) -> None:
        self._require(upload, "rejected", "failed")
        self._load(upload)

    def rollback(self, number: int | None) -> None:
        segment = self._existing()
        if segment.retired:
            raise RefusedByModelError
        if number is None:  # what readers had before the current one came, of what is kept
            earlier = [one for below in segment.pile[:-1] for one in segment.snapshots if one.number == below]
        else:
            earlier = [one for one in segment.snapshots if one.number == number and one is not segment.current]
        if not earlier:
            raise RefusedByModelError
        segment.before, segment.current = segment.current.members, earlier[-1]
        if (number := segment.current.number) in segment.pile:
            del segment.pile[segment.pile.index(number) :]
        segment.pile.append(number)
        if self.uploads[segment.newest[1]].file.is_future:
            segment.newest = segment.current.upload.age
        segment.rolled_back = True
        self._forget_approvals(self.uploads)

    def retire(self) -> None:
        segment = self._existing()
        if segment.retired:
            raise RefusedByModelError
        segment.retired = True

    def restore(self) -> None:
        segment = self._existing()
        if not segment.retired:
            raise RefusedByModelError
        segment.retired = False

    def delete(self) -> None:
        if not self._existing().retired:
            raise RefusedByModelError
        self.segment = None

    def sweep(self) -> None:
        """Forget old snapshots; all are of today, so that of this day the last is among the last five."""
        if segment := self.segment:
            kept = segment.snapshots[-KEPT_SNAPSHOTS:]
            segment.snapshots = [one for one in segment.snapshots if one in kept or one is segment.current]

    @property
    def members(self) -> frozenset[int]:
        """Who is in the segment, to its readers."""
        return frozenset() if self.segment is None or self.segment.retired else self.segment.current.members

    def _load(self, upload: Upload, *, database_refuses: bool = False) -> None:
        upload.code, upload.counts, upload.warnings = None, None, []
        if fault := self._read(upload):
            upload.state, upload.code = "rejected", fault
            return
        state, code = self._judge(upload)
        if state == "loaded" and database_refuses:
            upload.state, upload.code, upload.counts = "failed", "database", None
            return
        upload.state, upload.code = state, code
        if state == "loaded":
            self._publish(upload)

    def _read(self, upload: Upload) -> str | None:
        """Count the rows; give the code if the file is refused."""
        file = upload.file
        if file.title.casefold() != "ctuserid" and not self.knows_own_title:
            upload.counts = (0, 0, 0, 0)
            return "no_id_column"
        good = [line for line in file.lines if line.isdigit()]
        empty = [line for line in file.lines if line == " ,"]
        bad = len(file.lines) - len(good) - len(empty)
        upload.counts = (len(file.lines), len(set(good)), len(good) - len(set(good)), bad + len(empty))
        return "too_many_rejected" if bad * REJECTED_ONE_IN > len(good) + bad else None

    def _judge(self, upload: Upload) -> tuple[str, str | None]:
        segment = self.segment
        if not upload.approved and self._is_done(upload):
            return "duplicate", None
        if segment and segment.retired:
            return "retired", None
        if upload.approved:
            return "loaded", None
        if segment and upload.age < segment.newest:
            return "superseded", None
        code = next(self._guards(upload), None)
        return ("held", code) if code else ("loaded", None)

    def _is_done(self, upload: Upload) -> bool:
        """Whether the same name and bytes were applied last, or came later and are held: do nothing."""
        others = [other for other in self.uploads if other is not upload and other.file.name == upload.file.name]
        applied = [other for other in others if other.state == "loaded" and other.applied_to is self.segment]
        last = sorted(applied, key=lambda other: other.applied_as)[-1:]
        candidates = last + [other for other in others if other.state == "held"]
        newest = max(candidates, key=lambda other: other.place, default=None)
        return newest is not None and newest.file.content == upload.file.content

    def _guards(self, upload: Upload) -> Iterator[str]:
        if self.segment and self.segment.rolled_back:
            yield "rolled_back"
        if upload.file.is_future:
            yield "future"
        had, has = len(self.segment.current.members) if self.segment else 0, len(upload.file.members)
        if had and not has:
            yield "empty"
        if had >= SHRUNK_FROM and has * 2 < had:
            yield "shrunk"

    def _publish(self, upload: Upload) -> None:
        members = upload.file.members
        for other in self.uploads:
            if other.state == "held" and other.age < upload.age:
                other.state, other.code = "superseded", None
        self._forget_approvals(other for other in self.uploads if other.age < upload.age)
        segment = self.segment
        if segment is None:
            first = Snapshot(1, upload, members, len(members), 0)
            self.segment = Segment(upload.file.spelling, [first], first, upload.age, [1])
        else:
            old = segment.current.members
            new = Snapshot(segment.snapshots[-1].number + 1, upload, members, len(members - old), len(old - members))
            if upload.file.spelling != segment.spelling:
                upload.warnings.append("title_spelling")
            if old and (new.left * 2 > len(old) or new.entered * 2 > len(members)):
                upload.warnings.append("mostly_changed")
            segment.snapshots.append(new)
            segment.before, segment.current = old, new
            segment.pile.append(new.number)
            segment.newest = max(segment.newest, upload.age)
            segment.rolled_back = False
        upload.applied_to, upload.applied_as = self.segment, 1 + max(one.applied_as for one in self.uploads)

    def _forget_approvals(self, uploads: Iterable[Upload]) -> None:
        """What was decided before the segment changed is decided anew."""
        for upload in uploads:
            upload.approved = upload.approved and upload.state not in {"failed", "rejected"}

    def _existing(self) -> Segment:
        if self.segment is None:
            raise RefusedByModelError
        return self.segment

    def _require(self, upload: Upload, *states: str) -> None:
        if upload.state not in states:
            raise RefusedByModelError
