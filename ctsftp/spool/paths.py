"""Paths as a client writes them: read strictly, so that none leads out of its home.

A path is resolved by its text alone, from the root of the home. What stands on the disk is then
walked one component at a time without following a link (`Home`).
"""

import unicodedata
from dataclasses import dataclass

from ctsftp.errors import PathRefusedError

MAX_NAME_BYTES = 255
# Linux takes paths of 4,095 bytes, and the spool's own folders stand before the client's part.
MAX_PATH_BYTES = 2048
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class HomePath:
    """A place in a client's home: the names from the root down; none for the root itself."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "HomePath":
        """Read what `str` wrote."""
        return cls(tuple(filter(None, text.split("/"))))

    @property
    def name(self) -> str:
        """The last name; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @property
    def parent(self) -> "HomePath":
        """The folder that holds this place; the root's parent is the root."""
        return HomePath(self.parts[:-1])

    def child(self, name: str) -> "HomePath":
        """Name a place in this folder."""
        return HomePath((*self.parts, name))

    def __str__(self) -> str:
        """Write the path as the client sees it."""
        return "/" + "/".join(self.parts)


def read_path(
    raw: bytes, *, max_bytes: int = MAX_PATH_BYTES, max_depth: int = MAX_DEPTH, stays_in: bool = False
) -> HomePath:
    """Read a path that a client sent; raise `PathRefusedError` with the reason if it cannot be.

    `stays_in`: above the root is the root again, as on any system, rather than a path that cannot be.
    """
    if len(raw) > max_bytes:
        raise PathRefusedError(f"The path is longer than {max_bytes} bytes: use a shorter one.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise PathRefusedError("The path is not UTF-8: set your client's file name encoding to UTF-8.") from None
    parts: list[str] = []
    for name in text.split("/"):
        if name == "..":
            if not parts and not stays_in:
                raise PathRefusedError("The path leads out of your home folder, which is / here.")
            parts = parts[:-1]
        elif name not in {"", "."}:
            check_name(name)
            parts.append(name)
    if len(parts) > max_depth:
        raise PathRefusedError(f"The path is deeper than {max_depth} folders: use a shorter one.")
    return HomePath(tuple(parts))


def check_name(name: str) -> None:
    """Raise `PathRefusedError` if a file or folder cannot have this name."""
    if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
        raise PathRefusedError(f"A name in the path is longer than {MAX_NAME_BYTES} bytes: use a shorter one.")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in name):
        raise PathRefusedError("The path has a control character in it: use letters, digits and punctuation.")
