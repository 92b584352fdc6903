"""Says what is wrong in keys/ and where, for `ctsftp doctor` and the log."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in keys/ that grants nothing because it is not as it should be.

    `line` counts from 1 and is None where the whole file (or folder) is meant; `path` is None only while a text
    is judged without its file. `do` is the way to mend it.
    """

    text: str
    line: int | None = None
    path: Path | None = None
    do: str = "Correct the line, or remove it."

    def __str__(self) -> str:
        """Render as compilers do: path:line: text."""
        path = "" if self.path is None else f"{self.path}:"
        line = "" if self.line is None else f"{self.line}:" if path else f"line {self.line}:"
        return f"{path}{line} {self.text}".strip()
