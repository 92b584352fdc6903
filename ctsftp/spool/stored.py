"""An upload on disk: the value that the spool gives and every other room passes on."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """One complete file: its id, client and own name, where it stands, and the folder of the home it was put in."""

    id: str
    client: str
    filename: str
    path: Path
    directory: str = "/"

    @property
    def place(self) -> str:
        """Where the client put it, as `/in/VIP_20261123_0900.csv`."""
        return f"{self.directory.rstrip('/')}/{self.filename}"

    @property
    def folders(self) -> list[Path]:
        """The folders on the disk that are this upload's alone, the innermost first."""
        depth = len(self.directory.strip("/").split("/")) if self.directory != "/" else 0
        return list(self.path.parents[: depth + 1])
