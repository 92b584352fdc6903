"""What a file's name says: the segment, the stamp, or why it is refused.

A segment file is named `<segment name>_YYYYMMDD_HH24MI.csv` and is read from the right, since the segment
name may hold digits, underscores, spaces and any Unicode. The four digits are a version rather than a
time of day: `0001` and `9999` are valid. Only the last part of a path counts; `places` reads the folders before it.

A name that begins like `tmp.` is a temporary one: such a file is ignored until it is renamed. Beside a list there may
be a companion, a small file of the list's name that holds a count, or nothing: `VIP_20261123_0900.txt`.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from ctsftp.contract.codes import Code, Fault, fault, harmless

PACKED_SUFFIXES = (
    *(".gz", ".gzip", ".tgz", ".zip", ".bz2", ".xz", ".zst", ".zstd"),
    *(".pgp", ".gpg", ".asc", ".7z", ".rar"),
)

# How a program may begin the name of a file that is not complete, in any case. Not `tmp_`, which may begin a title.
TEMPORARY_BEGINNINGS = (".", "~", "tmp.", "tmp-", "inprogress.", "inprogress-", "uploading-")
# How it may end: such a name is no list's anyhow.
_TEMPORARY_ENDINGS = re.compile(
    r"(?<=\.csv)(\.[0-9a-z]{1,16})?(\.(filepart|part|partial|tmp|temp|uploading)|~)\Z", re.IGNORECASE
)

MAX_COMPANION_BYTES = 4096
_COUNT = "_count"  # what Responsys adds to a list's name for the file with the count of its rows
_NUMBER = re.compile(rb"[0-9]+")

_WITHOUT_STAMP = "does not end in a date-time stamp and .csv, as in VIP_20260131_0900.csv"
_WITH_SECONDS = "has six digits of time (HH24MISS): four are wanted, so that the stamp is YYYYMMDD_HH24MI"
_STAMP_WITH_SECONDS = re.compile(r"[0-9]{8}_[0-9]{6}\Z")
_STAMP_AT_END = re.compile(r"(?P<day>[0-9]{8})_[0-9]{4}\Z")
_SHOWN_NAME_CHARACTERS = 255  # a whole file name: it is what the sender looks for
_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cf"})  # Unicode categories: spaces and marks without a glyph
_UNUSABLE = frozenset({"Cc", "Cs"})  # control characters, and the surrogates that stand for broken UTF-8


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """The name of a segment file: the segment's title, its identity, and the stamp `YYYYMMDD_NNNN`.

    Stamps of equal form compare as text in the order of their date and version.
    """

    title: str
    key: str
    stamp: str

    @property
    def day(self) -> date:
        """Return the stamp's date."""
        return _day(self.stamp[:8])


def read_name(path: str, *, temporary: Collection[str] = ()) -> SegmentFile | Fault | None:
    """Read the name of a file at a path in a client's home.

    None means an ignored file: neither a `.csv` nor nearly one, or one with a temporary name. `temporary` are further
    ways to begin one.
    """
    name = path.rpartition("/")[2]
    extension = name[-4:].lower()
    stem = name[:-4] if extension in {".csv", ".txt"} else name
    stamp = _STAMP_AT_END.search(stem)
    if "\\" in name:
        what = "holds a backslash: it is a Windows path. Paths have / here, and the name begins behind the last one"
        return _name_fault(name, what)
    if not name or _temporary_beginning(name, temporary):
        return None
    if name.lower().endswith(PACKED_SUFFIXES):
        return fault(Code.PACKED, f'By its name, the file "{_shown(name)}" is compressed or encrypted.')
    if extension != ".csv":
        return _name_fault(name, "does not end in .csv") if stamp else None
    if stamp is None:
        has_seconds = _STAMP_WITH_SECONDS.search(stem)
        return _name_fault(name, _WITH_SECONDS if has_seconds else _WITHOUT_STAMP)
    return _read_stamped(name, stem[: stamp.start()], stamp)


def final_name(name: str, *, temporary: Collection[str] = ()) -> str:
    """Return what a temporary name is likely to become: without its beginnings, or its ending, that say so."""
    while beginning := _temporary_beginning(name, temporary):
        name = name[len(beginning) :]
    return _TEMPORARY_ENDINGS.sub("", name)


def companion_of(name: str) -> str | None:
    """Return the name, without `.csv`, of the list that a file may be a companion of; None if it can be none.

    It can, if it has the name of a list and no `.csv`, or `_count` before that.
    """
    stem, extension = name[:-4], name[-4:].lower()
    if extension == ".csv":
        stem = stem[: -len(_COUNT)] if stem.lower().endswith(_COUNT) else ""
    elif extension != ".txt":
        stem = name
    return nfc(stem) if _STAMP_AT_END.search(stem) else None


def holds_a_count(content: bytes) -> bool:
    """Tell whether a file that may be a companion holds a count or nothing: one number at most."""
    return len(content) <= MAX_COMPANION_BYTES and len(_NUMBER.findall(content)) <= 1


def nfc(name: str) -> str:
    """Return a name in the one form that is compared: macOS writes "é" as two characters, others as one."""
    return unicodedata.normalize("NFC", name)


def fold_title(text: str) -> str:
    """Return a segment name as its title: underscores as spaces, white space folded, NFC."""
    return nfc(" ".join(text.replace("_", " ").split()))


def segment_key(text: str) -> str:
    """Return the identity of a segment, from its title or underscore form in any case.

    This is Unicode's canonical caseless matching (The Unicode Standard, D145), kept in NFC.
    """
    title = unicodedata.normalize("NFD", fold_title(text))
    return nfc(title.casefold())


def _read_stamped(name: str, prefix: str, stamp: re.Match[str]) -> SegmentFile | Fault:
    """Read a name that has the form of a segment file's: `prefix` is what stands before its stamp."""
    day = stamp["day"]
    title = fold_title(prefix[:-1] if prefix.endswith(("_", "-", " ")) else prefix)
    if not _is_date(day):
        return _name_fault(name, f"holds {day}, which is not a date (year, month, day)")
    if any(unicodedata.category(character) in _UNUSABLE for character in name):
        return _name_fault(name, "holds control characters or is not UTF-8")
    if all(unicodedata.category(character) in _INVISIBLE for character in title):
        return _name_fault(name, "has no segment name before its date-time stamp")
    if day in prefix:
        return _name_fault(name, f"holds the date {day} twice, which would make a new segment every day")
    return SegmentFile(title=title, key=segment_key(title), stamp=stamp[0])


def _temporary_beginning(name: str, further: Collection[str]) -> str:
    """Return how a name begins that is temporary, as it stands there; "" for any other name."""
    for beginning in (*TEMPORARY_BEGINNINGS, *further):
        found = name[: len(beginning)]
        if found.casefold() == beginning.casefold():
            return found
    return ""


def _name_fault(name: str, what: str) -> Fault:
    return fault(Code.NAME, f'The file name "{_shown(name)}" {what}.')


def _shown(name: str) -> str:
    return harmless(name, limit=_SHOWN_NAME_CHARACTERS)


def _is_date(digits: str) -> bool:
    try:
        _day(digits)
    except ValueError:
        return False
    return True


def _day(digits: str) -> date:
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
