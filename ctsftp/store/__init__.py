"""The store: tables, queries, migrations, and the one function that moves an upload from state to state.

A load writes a new, immutable list as parts, prepares the rows by which SQL reads it, and then moves pointers in one
transaction. That gives atomic publishing, history, rollback and differences, and a database that is never locked for
long.
"""

from ctsftp.model.records import (
    Clock,
    Diff,
    Facts,
    Logins,
    NewUpload,
    Outcome,
    Segment,
    Snapshot,
    Upload,
)
from ctsftp.store.publishing import Judge
from ctsftp.store.store import Store

__all__ = [
    "Clock",
    "Diff",
    "Facts",
    "Judge",
    "Logins",
    "NewUpload",
    "Outcome",
    "Segment",
    "Snapshot",
    "Store",
    "Upload",
]
