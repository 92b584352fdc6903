"""Read a block of rows as if it were all of a file behind its header."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ctsftp.contract.records import read_rows, settle
from ctsftp.contract.rows import Ids, Layout, RejectedRow, Rows

Reader = Callable[..., tuple[Ids, bytes]]


@dataclass
class Found:
    """What a block holds; `found` is the account."""

    ids: Ids
    found: Rows
    lines: int

    @property
    def rows(self) -> int:
        return self.found.rows

    @property
    def rejected(self) -> int:
        return self.found.rejected

    @property
    def empty_ids(self) -> int:
        return self.found.empty_ids

    @property
    def rejected_rows(self) -> list[RejectedRow]:
        return self.found.rejected_rows

    @property
    def first_fault(self) -> RejectedRow | None:
        return self.found.first_fault

    @property
    def quoted_line(self) -> int:
        return self.found.quoted_line


def read_block(layout: Layout, block: bytes, line: int, *, keep: int = 1_000, read: Reader = read_rows) -> Found:
    found = Rows(line=line, keep=keep)
    ids, rest = read(layout, block, found, final=True)
    assert rest == b""
    if found.fault is None:
        ids = np.concatenate([ids, settle(found).ids])
        assert found.rows == len(ids) + found.rejected
    return Found(ids, found, found.line - line)
