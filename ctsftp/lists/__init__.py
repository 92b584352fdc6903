"""Lists of member ids as parts: Roaring bitmaps of ranges of ids; pure, with no database in it.

A list of ten million ids in one bitmap would hold the interpreter's lock for up to a second in one call (CRoaring is
called with the lock held). As parts of at most `MAX_PART_IDS` ids, each step takes some milliseconds: a part is built,
written, compared or looked into by itself, and two lists are never whole in memory.

    ids            7, 9, ..., 70_001, ..., 10_000_000        ascending, each once
    containers     id >> 16: 0, 1, 1, ..., 152               what a Roaring bitmap is made of
    parts          [7 .. 65_000] [65_540 .. 131_000] ...     cut between containers
"""

from ctsftp.lists.changes import Change, changes
from ctsftp.lists.lookup import holds
from ctsftp.lists.parts import (
    MAX_LIST_CONTAINERS,
    MAX_PART_CONTAINERS,
    MAX_PART_IDS,
    Ids,
    MemberList,
    Part,
    build,
    in_memory,
    is_scattered,
    read_part,
)

__all__ = [
    "MAX_LIST_CONTAINERS",
    "MAX_PART_CONTAINERS",
    "MAX_PART_IDS",
    "Change",
    "Ids",
    "MemberList",
    "Part",
    "build",
    "changes",
    "holds",
    "in_memory",
    "is_scattered",
    "read_part",
]
