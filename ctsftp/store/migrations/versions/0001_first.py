"""Make the first tables and the view.

A migration is history: it repeats the columns in full and never imports `tables`, which moves on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# PostgreSQL: the small snapshots' members share a partition, and large snapshots have ids of their own from here on.
LARGE_FROM_ID = 1_000_000_000

SEGMENT_MEMBERS = """
CREATE VIEW segment_members AS
SELECT segments.client AS client, segments.title AS segment, snapshot_members.ct_user_id AS ct_user_id
FROM segments JOIN snapshot_members ON snapshot_members.snapshot_id = segments.current_snapshot_id
WHERE segments.retired_at IS NULL
"""


def upgrade() -> None:
    """Make the first tables and the view."""
    _make_ledger()
    _make_segments()
    _make_logins()
    op.execute(SEGMENT_MEMBERS)


def _make_ledger() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("segment_title", sa.Text),
        sa.Column("segment_key", sa.Text),
        sa.Column("stamp", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("reason", sa.Text),
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
    )
    op.create_index("uploads_by_state", "uploads", ["state", "id"])
    op.create_index("uploads_by_name", "uploads", ["client", "filename", "id"])
    op.create_table(
        "rejected_rows",
        sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), primary_key=True),
        sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_segments() -> None:
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column(
            "current_snapshot_id",
            sa.Integer,
            # Segments and snapshots point at each other: SQLite takes the name of a table that is yet to come,
            # and PostgreSQL is told when it is there.
            sa.ForeignKey("snapshots.id", name="segments_current_snapshot", use_alter=True),
            nullable=False,
        ),
        sa.Column("newest_stamp", sa.Text, nullable=False),
        sa.Column("newest_upload_id", sa.Text, sa.ForeignKey("uploads.id"), nullable=False),
        sa.Column("rolled_back", sa.Boolean, nullable=False),
        sa.Column("retired_at", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.UniqueConstraint("client", "key"),
    )
    op.create_table(
        "snapshots",
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
    op.create_table(
        "snapshot_members",
        sa.Column("snapshot_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ct_user_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (snapshot_id)",
    )
    if op.get_context().dialect.name == "postgresql":
        op.create_foreign_key("segments_current_snapshot", "segments", "snapshots", ["current_snapshot_id"], ["id"])
        op.execute(
            "CREATE TABLE snapshot_members_small PARTITION OF snapshot_members"
            f" FOR VALUES FROM (MINVALUE) TO ({LARGE_FROM_ID})"
        )
        op.execute(f"CREATE SEQUENCE large_snapshots AS integer START {LARGE_FROM_ID} MINVALUE {LARGE_FROM_ID}")


def _make_logins() -> None:
    op.create_table(
        "client_logins",
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
