"""The data folder: what stands in it, under which names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The folder of everything that a server keeps; each name in it stands here alone."""

    path: Path

    @property
    def lock(self) -> Path:
        """The file whose lock the one process that works on the folder holds."""
        return self.path / "lock"

    @property
    def socket(self) -> Path:
        """The control socket of a running server."""
        return self.path / "control.sock"

    @property
    def database(self) -> Path:
        """The database, where it is a file."""
        return self.path / "ctsftp.db"

    @property
    def clients(self) -> Path:
        """The folders of the clients' uploads, partials and homes."""
        return self.path / "clients"

    @property
    def reserve(self) -> Path:
        """The file that gives a full disk some room."""
        return self.path / "reserve"

    @property
    def node(self) -> Path:
        """The file with the name of the node whose folder this is."""
        return self.path / "node"

    @property
    def alive(self) -> Path:
        """The sign of life of a node."""
        return self.path / "alive"
