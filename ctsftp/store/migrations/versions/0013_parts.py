"""Keep lists as parts, and the rows of members for SQL alone.

No row is copied: the rows of a snapshot become the row set of the same number. The parts of the lists are made from
the rows when the database is opened (`store.upgrading`), list by list; then the rows of old lists are deleted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

SEGMENT_MEMBERS = """
CREATE VIEW segment_members AS
SELECT segments.client AS client, segments.title AS segment, member_rows.ct_user_id AS ct_user_id
FROM segments JOIN member_rows ON member_rows.row_set = segments.row_set
WHERE segments.retired_at IS NULL
"""
SETS_SO_FAR = """
INSERT INTO row_sets (id, segment_id, snapshot_id) SELECT id, segment_id, id FROM snapshots WHERE segment_id IS NOT NULL
"""
# What was being written or deleted: nobody needs it.
SETS_TO_DELETE = """
INSERT INTO row_sets (id, segment_id, snapshot_id) SELECT id, NULL, NULL FROM snapshots WHERE segment_id IS NULL
"""
PARTITIONS = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'snapshot\\_members\\_%'
AND relnamespace = current_schema()::regnamespace
"""
# The ids of sets whose rows share a partition go on behind those of the snapshots that did.
SEQUENCE = """
SELECT setval(pg_get_serial_sequence('row_sets', 'id'), coalesce(max(id), 0) + 1, false)
FROM row_sets WHERE id < 1000000000
"""


def upgrade() -> None:
    """Make the tables, rename that of the rows, and name each segment's set."""
    op.create_table(
        "row_sets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("segment_id", sa.Integer),
        sa.Column("snapshot_id", sa.Integer),
        sqlite_autoincrement=True,
    )
    op.create_index("row_sets_by_segment", "row_sets", ["segment_id"])
    op.create_table(
        "snapshot_parts",
        sa.Column("snapshot_id", sa.Integer, sa.ForeignKey("snapshots.id"), primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.execute(SETS_SO_FAR)
    op.execute(SETS_TO_DELETE)
    op.execute("DROP VIEW segment_members")
    op.execute("ALTER TABLE snapshot_members RENAME TO member_rows")
    op.execute("ALTER TABLE member_rows RENAME COLUMN snapshot_id TO row_set")
    op.execute("ALTER TABLE segments ADD COLUMN row_set INTEGER REFERENCES row_sets (id)")
    if op.get_context().dialect.name == "postgresql":
        _upgrade_postgres()
    op.execute("UPDATE segments SET row_set = current_snapshot_id")
    op.execute(SEGMENT_MEMBERS)


def _upgrade_postgres() -> None:
    # The blobs are packed already, and small: kept beside the row, and not packed again.
    op.execute('ALTER TABLE snapshot_parts ALTER COLUMN "blob" SET STORAGE EXTERNAL')
    for (name,) in op.get_bind().execute(sa.text(PARTITIONS)).all():
        op.execute(f"ALTER TABLE {name} RENAME TO {name.replace('snapshot_members', 'member_rows')}")
    op.execute("ALTER SEQUENCE large_snapshots RENAME TO large_row_sets")
    op.execute(SEQUENCE)
