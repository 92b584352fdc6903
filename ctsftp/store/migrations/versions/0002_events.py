"""Add the outbox: events, hooks, deliveries, what was told; and how often a segment's file is expected."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

HEARD_SO_FAR = """
UPDATE segments SET heard_at = (
    SELECT max(uploads.received_at) FROM uploads
    WHERE uploads.client = segments.client AND uploads.segment_key = segments.key
    AND uploads.state IN ('loaded', 'duplicate')
)
"""


def upgrade() -> None:
    """Add the tables of the outbox, and the columns of the expectation."""
    op.add_column("segments", sa.Column("heard_at", sa.Text))
    op.add_column("segments", sa.Column("expect_every_s", sa.Integer))
    op.add_column("segments", sa.Column("expect_grace_s", sa.Integer))
    op.add_column("segments", sa.Column("overdue_since", sa.Text))
    op.execute(HEARD_SO_FAR)
    _make_outbox()
    _make_told()


def _make_outbox() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("client", sa.Text),
        sa.Column("segment_key", sa.Text),
        sa.Column("segment", sa.Text),
        sa.Column("upload_id", sa.Text),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_time", "events", ["at"])
    op.create_table(
        "hooks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("client", sa.Text),
        sa.Column("events", sa.JSON),
        sa.Column("secret", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "deliveries",
        sa.Column("hook_id", sa.Integer, sa.ForeignKey("hooks.id"), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.Integer, sa.ForeignKey("events.id"), primary_key=True, autoincrement=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Text),
        sa.Column("done_at", sa.Text),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("deliveries_by_turn", "deliveries", ["state", "hook_id", "event_id"])
    op.create_index("deliveries_by_lane", "deliveries", ["state", "hook_id", "lane", "next_at"])
    op.create_index("deliveries_of_event", "deliveries", ["event_id"])


def _make_told() -> None:
    op.create_table(
        "told_troubles",
        sa.Column("hook_id", sa.Integer, sa.ForeignKey("hooks.id"), primary_key=True, autoincrement=False),
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "standing",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
    )
