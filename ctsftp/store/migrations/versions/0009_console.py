"""Keep the console's sessions, and what readers of each segment had, and since when.

The steps so far are those that the ledger knows: every load of a list, and that a segment is retired. When an earlier
rollback was made was written down nowhere: it is shown from this upgrade on.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

# Loads of a segment of the same name that was deleted before belong to none.
LOADED_SO_FAR = """
INSERT INTO timeline (segment_id, at, kind, upload_id, number, members)
SELECT segments.id, uploads.finished_at, 'loaded', uploads.id, (
    SELECT max(snapshots.number) FROM snapshots
    WHERE snapshots.upload_id = uploads.id AND snapshots.segment_id = segments.id
), uploads.members
FROM segments JOIN uploads ON uploads.client = segments.client AND uploads.segment_key = segments.key
WHERE uploads.state = 'loaded' AND uploads.finished_at >= segments.created_at
ORDER BY segments.id, uploads.finished_at, uploads.id
"""
ROLLED_BACK_SO_FAR = """
INSERT INTO timeline (segment_id, at, kind, upload_id, number, members)
SELECT segments.id, :now, 'rolled_back', snapshots.upload_id, snapshots.number, snapshots.members
FROM segments JOIN snapshots ON snapshots.id = segments.current_snapshot_id
WHERE segments.rolled_back
ORDER BY segments.id
"""
RETIRED_SO_FAR = """
INSERT INTO timeline (segment_id, at, kind, upload_id, number, members)
SELECT segments.id, segments.retired_at, 'retired', snapshots.upload_id, snapshots.number, 0
FROM segments JOIN snapshots ON snapshots.id = segments.current_snapshot_id
WHERE segments.retired_at IS NOT NULL
ORDER BY segments.id
"""


def upgrade() -> None:
    """Make the tables, and write down what is known."""
    op.create_table(
        "console_sessions",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id"), nullable=False),
        sa.Column("opened_at", sa.Text, nullable=False),
        sa.Column("ends_at", sa.Text, nullable=False),
        sa.Column("notices", sa.JSON, nullable=False),
    )
    op.create_index("console_sessions_by_token", "console_sessions", ["token_id", "opened_at"])
    op.create_table(
        "timeline",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("segment_id", sa.Integer, sa.ForeignKey("segments.id"), nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("members", sa.BigInteger, nullable=False),
    )
    op.create_index("timeline_by_segment", "timeline", ["segment_id", "id"])
    op.create_index("timeline_by_upload", "timeline", ["upload_id"])
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    op.execute(LOADED_SO_FAR)
    op.get_bind().execute(sa.text(ROLLED_BACK_SO_FAR), {"now": now})
    op.execute(RETIRED_SO_FAR)
