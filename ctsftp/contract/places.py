"""What the folder that a file stands in makes of it: lists are taken in `/`, and in the folders that client.toml names.

`/VIP_20261123_0900.csv` is a list. In `/test/` the same file is refused, unless client.toml names that folder. In
`/tmp/` it is ignored until it is renamed to where lists are taken: programs write there what is not complete.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ctsftp.contract.codes import Code, Fault, Notice, fault, harmless, notice
from ctsftp.contract.names import SegmentFile, final_name, nfc, read_name

TEMPORARY_FOLDERS = ("tmp", "temp")
TEMPORARY_ENDS = (".tmp", ".temp")  # `.tmp` itself, and `weekly.tmp`
ROOT = "/"

_SHOWN_FOLDER_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A list in a folder in which this client's lists are not taken, as `fault` says.

    `named`: client.toml names the folders; else an earlier list of the segment from that folder lets it be taken.
    """

    file: SegmentFile
    fault: Fault
    named: bool


Named = SegmentFile | Elsewhere | Fault | None


@dataclass(frozen=True, slots=True)
class Places:
    """Where a client's lists are taken: in `/` and in `directories`; None where client.toml names none.

    `temporary_names` are further ways to begin a temporary name, and further temporary folders.
    """

    directories: Sequence[str] | None = None
    temporary_names: Collection[str] = ()

    def read(self, path: str) -> Named:
        """Read the name of a file at a path in the home; None means an ignored file."""
        found = read_name(path, temporary=self.temporary_names)
        folder = folder_of(path)
        if found is None or self._is_taken(folder):
            return found
        if self._is_temporary(folder):
            return None
        if not isinstance(found, SegmentFile):
            return found
        return Elsewhere(found, _fault(folder, self.directories or ()), named=self.directories is not None)

    def unfinished(self, path: str) -> SegmentFile | None:
        """Read the name of the list that a file would be but for its temporary name or folder, if it would."""
        folder, _, name = path.rpartition("/")
        final = final_name(name, temporary=self.temporary_names)
        if final == name and not self._is_temporary(folder):
            return None
        found = read_name(final)
        return found if isinstance(found, SegmentFile) else None

    def _is_taken(self, folder: str) -> bool:
        return folder == ROOT or _folded(folder) in map(_folded, self.directories or ())

    def _is_temporary(self, folder: str) -> bool:
        """Tell whether a folder, or one above it, is temporary; one that is named in `directories` never is."""
        temporary = {name.casefold() for name in (*TEMPORARY_FOLDERS, *self.temporary_names)}
        parts = folder.strip("/").casefold().split("/")
        return any(
            (part in temporary or part.endswith(TEMPORARY_ENDS)) and not self._is_taken(_first(folder, depth + 1))
            for depth, part in enumerate(parts)
        )


def folder_of(path: str) -> str:
    """Return the folder of a path in the home, as `/` or `/in/lists`."""
    return f"/{path.rpartition('/')[0].strip('/')}"


def is_known_folder(folder: str, known: Collection[str | None]) -> bool:
    """Tell whether a segment's lists came from a folder before; `known` are the folders of those that were applied.

    None is one of a list of before folders were noted. It may have been any, until a list came from `/`: then that is
    where the segment's lists are put.
    """
    return folder in known or (None in known and ROOT not in known)


def directory_notice(folder: str) -> Notice:
    """Return the warning that a list was taken from a folder for the sake of earlier ones."""
    shown = harmless(folder, limit=_SHOWN_FOLDER_CHARACTERS)
    found = f'The list is in "{shown}", and was taken, because lists of its segment came from there before.'
    return notice(Code.DIRECTORY, fault(Code.DIRECTORY, found).reason)


def _fault(folder: str, directories: Collection[str]) -> Fault:
    shown = [harmless(one, limit=_SHOWN_FOLDER_CHARACTERS) for one in (folder, *directories)]
    places = ", ".join([ROOT, *(one for one in shown[1:] if one != ROOT)])
    return fault(Code.DIRECTORY, f'The list was put into "{shown[0]}", and lists are taken in {places} alone.')


def _first(folder: str, count: int) -> str:
    return "/".join(folder.strip("/").split("/")[:count])


def _folded(folder: str) -> str:
    return nfc(folder.strip("/"))
