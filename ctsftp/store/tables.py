"""The tables, as SQLAlchemy Core sees them; what each holds stands in its comment.

The migrations are what makes them (`migrations/versions`); a test holds the two together. Times are
text, ISO 8601 in UTC with milliseconds and a Z, so that their order as text is their order in time.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from ctsftp.contract.states import State


class PeerText(TypeDecorator[str]):
    """Text that a sender chose: whatever cannot be stored is replaced, and never raises.

    A lone surrogate (a name or a value that was not UTF-8) has no UTF-8 form, and PostgreSQL holds
    no NUL in text.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Make the text storable."""
        if value is None:
            return None
        return str(value).encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class StateText(TypeDecorator[State]):
    """A state, kept as its word."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: State | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write a state; not every driver would take an enumeration's member for its text."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> State | None:  # noqa: ARG002
        """Read a state."""
        return None if value is None else State(value)


metadata = sa.MetaData()

# A segment exists from its first publishing on, so it always has a current snapshot: there is no empty shell.
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("key", PeerText, nullable=False),
    sa.Column("title", PeerText, nullable=False),
    sa.Column(
        "current_snapshot_id",
        sa.Integer,
        sa.ForeignKey("snapshots.id", name="segments_current_snapshot", use_alter=True),
        nullable=False,
    ),
    # The newest stamp that was ever published, and the last upload that brought it.
    sa.Column("newest_stamp", sa.Text, nullable=False),
    sa.Column("newest_upload_id", sa.Text, sa.ForeignKey("uploads.id"), nullable=False),
    sa.Column("rolled_back", sa.Boolean, nullable=False),
    sa.Column("retired_at", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.UniqueConstraint("client", "key"),
)

# The ledger: a row for every upload, for ever. `id` is a UUIDv7, so the order of ids is the order of the CLOSEs.
uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("filename", PeerText, nullable=False),
    sa.Column("segment_title", PeerText),
    sa.Column("segment_key", PeerText),
    sa.Column("stamp", sa.Text),
    sa.Column("state", StateText, nullable=False),
    sa.Column("code", sa.Text),
    sa.Column("reason", PeerText),
    sa.Column("rows", sa.BigInteger),
    sa.Column("members", sa.BigInteger),
    sa.Column("duplicates", sa.BigInteger),
    sa.Column("rejected", sa.BigInteger),
    sa.Column("warnings", sa.JSON, nullable=False),
    sa.Column("sha256", sa.Text),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("finished_at", sa.Text),
    sa.Column("approved", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("retry_at", sa.Text),
    # Which of the nodes that share a database has the file; null where there is only one.
    sa.Column("node", sa.Text),
    sa.Index("uploads_by_state", "state", "id"),
    sa.Index("uploads_by_name", "client", "filename", "id"),
)


def is_mine(node: str | None) -> sa.ColumnElement[bool]:
    """Tell of an upload whether this node is to load it: its own, and one that no node is named with.

    None, for a node that is alone, has them all.
    """
    return sa.true() if node is None else sa.or_(uploads.c.node == node, uploads.c.node.is_(None))


# A snapshot without a segment and a number is being written, was abandoned, or is being deleted: no reader meets it.
# An id is never used twice (AUTOINCREMENT), or a reader that pages through a deleted snapshot would slip into a new
# one. `previous_id` was current before: `entered` and `left` are counted against it; it may be pruned.
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("segment_id", sa.Integer, sa.ForeignKey("segments.id")),
    sa.Column("number", sa.Integer),
    sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), nullable=False),
    sa.Column("previous_id", sa.Integer),
    sa.Column("members", sa.BigInteger, nullable=False),
    sa.Column("entered", sa.BigInteger),
    sa.Column("left", sa.BigInteger),
    sa.Column("published_at", sa.Text),
    sa.UniqueConstraint("segment_id", "number"),
    sqlite_autoincrement=True,
)

# No foreign key: it would cost a look-up per id, an eighth of the bulk load's time. Members are added and deleted in
# transactions that also touch their snapshot's row, which serves the same end.
snapshot_members = sa.Table(
    "snapshot_members",
    metadata,
    sa.Column("snapshot_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ct_user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (snapshot_id)",
)

rejected_rows = sa.Table(
    "rejected_rows",
    metadata,
    sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", PeerText, nullable=False),
    sa.Column("reason", PeerText, nullable=False),
    sqlite_with_rowid=False,
)

# The last login and the last refusal of each client that exists, for its connection sheet.
client_logins = sa.Table(
    "client_logins",
    metadata,
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("login_at", sa.Text),
    sa.Column("login_address", sa.Text),
    sa.Column("login_fingerprint", sa.Text),
    sa.Column("login_algorithm", sa.Text),
    sa.Column("refusal_at", sa.Text),
    sa.Column("refusal_address", sa.Text),
    sa.Column("refusal_fingerprint", sa.Text),
    sa.Column("refusal_cause", sa.Text),
)
