"""The tables, as SQLAlchemy Core sees them; what each holds stands in its comment.

The migrations are what makes them (`migrations/versions`); a test holds the two together. Times are
text, ISO 8601 in UTC with milliseconds and a Z, so that their order as text is their order in time.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
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


class in_code_points(GenericFunction[str]):  # noqa: N801 - a function of SQL
    """A text to sort by its characters' numbers, as Python and SQLite do; PostgreSQL would ask its locale."""

    type = sa.Text()
    inherit_cache = True


@compiles(in_code_points)
def _write_plainly(element: in_code_points, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(in_code_points, "postgresql")
def _write_collated(element: in_code_points, compiler: SQLCompiler, **options: Any) -> str:
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'


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
    # The rows by which SQL reads the current list.
    sa.Column("row_set", sa.Integer, sa.ForeignKey("row_sets.id")),
    # The newest stamp that was ever published, and the last upload that brought it.
    sa.Column("newest_stamp", sa.Text, nullable=False),
    sa.Column("newest_upload_id", sa.Text, sa.ForeignKey("uploads.id"), nullable=False),
    sa.Column("rolled_back", sa.Boolean, nullable=False),
    sa.Column("retired_at", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    # The last CLOSE of a file that was loaded or was a duplicate; how often one is expected; since when it is overdue.
    sa.Column("heard_at", sa.Text),
    sa.Column("expect_every_s", sa.Integer),
    sa.Column("expect_grace_s", sa.Integer),
    sa.Column("overdue_since", sa.Text),
    sa.UniqueConstraint("client", "key"),
    # For pages of them. Its order is that of `in_code_points`, which only the migration can say.
    sa.Index("segments_by_title", "client", "title"),
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
    # The title of the column that its ids were read from; null for what was read before that was noted.
    sa.Column("id_title", PeerText),
    # The folder of the home that it was put into; null for what came before that was noted.
    sa.Column("directory", PeerText),
    sa.Index("uploads_by_state", "state", "id"),
    sa.Index("uploads_by_name", "client", "filename", "id"),
    sa.Index("uploads_by_segment", "client", "segment_key", "id"),
    sa.Index("uploads_by_client", "client", "id"),
)


def is_mine(node: str | None) -> sa.ColumnElement[bool]:
    """Tell of an upload whether this node is to load it, since it has the file; one that is alone (None) has all."""
    return sa.true() if node is None else uploads.c.node == node


# A snapshot without a segment and a number is being written, was abandoned, or is being deleted: no reader meets it.
# An id is never used twice (AUTOINCREMENT), or whoever pages through a deleted snapshot would slip into a new one.
# `previous_id` was current before: `entered` and `left` are against it; it may be pruned.
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

# What a snapshot's list is: its parts (`lists.Part`), which are written once and never changed. With a rowid, since
# their rows are large.
snapshot_parts = sa.Table(
    "snapshot_parts",
    metadata,
    sa.Column("snapshot_id", sa.Integer, sa.ForeignKey("snapshots.id"), primary_key=True, autoincrement=False),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("members", sa.Integer, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)

# The sets of rows that mirror lists for SQL: of each segment the one that it names (`segments.row_set`), and a spare,
# which may be some lists behind. `snapshot_id` is the list that a set holds exactly; null while it is being changed.
# A set of no segment belongs to a load, or is being deleted. No id is used twice: rows may be left of one.
row_sets = sa.Table(
    "row_sets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("segment_id", sa.Integer),
    sa.Column("snapshot_id", sa.Integer),
    sa.Index("row_sets_by_segment", "segment_id"),
    sqlite_autoincrement=True,
)

# No foreign key: it would cost a look-up per id, an eighth of the bulk load's time. Rows are added and deleted in
# transactions that also look at their set's row, which serves the same end.
member_rows = sa.Table(
    "member_rows",
    metadata,
    sa.Column("row_set", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ct_user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (row_set)",
)

rejected_rows = sa.Table(
    "rejected_rows",
    metadata,
    sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),  # a line may hold several
    sa.Column("line", sa.BigInteger, nullable=False),
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

# What happened, in its order; written in the transaction of what it tells of. An id is never used twice, and
# `message_id` is one of a kind even where a backup was restored: receivers know an event by it.
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("client", sa.Text),
    sa.Column("segment_key", PeerText),
    sa.Column("segment", PeerText),
    sa.Column("upload_id", sa.Text),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index("events_by_time", "at"),
    sqlite_autoincrement=True,
)

# Who is told. `shown` is the address without its secrets; a hook without a `secret` is a message to people.
hooks = sa.Table(
    "hooks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("client", sa.Text),
    sa.Column("events", sa.JSON(none_as_null=True)),
    sa.Column("secret", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

# What is to be told to whom. Of one lane (a segment) a hook is told in order: while one delivery waits for its next
# try, which is its `next_at`, those behind it wait as well.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("hook_id", sa.Integer, sa.ForeignKey("hooks.id"), primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Integer, sa.ForeignKey("events.id"), primary_key=True, autoincrement=False),
    sa.Column("lane", PeerText, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Text),
    sa.Column("done_at", sa.Text),
    sa.Column("last_error", PeerText),
    sa.Index("deliveries_by_turn", "state", "hook_id", "event_id"),
    sa.Index("deliveries_by_lane", "state", "hook_id", "lane", "next_at"),
    sa.Index("deliveries_of_event", "event_id"),
)

# Of which troubles of a lane the people behind a hook were told, so that they are told once.
told_troubles = sa.Table(
    "told_troubles",
    metadata,
    sa.Column("hook_id", sa.Integer, sa.ForeignKey("hooks.id"), primary_key=True, autoincrement=False),
    sa.Column("lane", PeerText, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
)

# What was found, reported, and is not over yet: a key about to expire, a disk that is nearly full.
standing = sa.Table(
    "standing",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
)

# When each key of a client was last used; a client's keys are few, and only those that let somebody in are here.
key_logins = sa.Table(
    "key_logins",
    metadata,
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("login_at", sa.Text, nullable=False),
)

# Who may use the API: of the secret only its hash. No id is used twice, or a late note of a revoked token's use would
# be taken for that of another.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    sa.Column("client", sa.Text),
    sa.Column("admin", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text),
    sa.Column("last_used_at", sa.Text),
    sqlite_autoincrement=True,
)

# An activity, a reward or a campaign that is open to the members of any of its segments, which are its client's own.
gates = sa.Table(
    "gates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("set_at", sa.Text, nullable=False),
    sa.UniqueConstraint("client", "kind", "item"),
)

gate_segments = sa.Table(
    "gate_segments",
    metadata,
    sa.Column("gate_id", sa.Integer, sa.ForeignKey("gates.id"), primary_key=True),
    sa.Column("segment_id", sa.Integer, sa.ForeignKey("segments.id"), primary_key=True),
    sa.Index("gate_segments_by_segment", "segment_id"),
    sqlite_with_rowid=False,
)

# The browsers that are signed in to the console, by the hash of their cookie's secret. `notices` are told on the next
# page: objects of `tone` and `text`.
console_sessions = sa.Table(
    "console_sessions",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id"), nullable=False),
    sa.Column("opened_at", sa.Text, nullable=False),
    sa.Column("ends_at", sa.Text, nullable=False),
    sa.Column("notices", sa.JSON, nullable=False),
    sa.Index("console_sessions_by_token", "token_id", "opened_at"),
)

# What readers of a segment had, and since when: a row each time that changes, written in the transaction that changes
# it, and kept longer than the snapshots. Of a retired segment they have nothing: `members` is 0, and the list the one
# that it was retired with. `number` is null where that was not known when the table was made.
timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("segment_id", sa.Integer, sa.ForeignKey("segments.id"), nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), nullable=False),
    sa.Column("number", sa.Integer),
    sa.Column("members", sa.BigInteger, nullable=False),
    sa.Index("timeline_by_segment", "segment_id", "id"),
    sa.Index("timeline_by_upload", "upload_id"),
)
