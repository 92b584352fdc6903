"""Make the tables of the API: tokens, and gates with the segments that open them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tokens",
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
    op.create_table(
        "gates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("set_at", sa.Text, nullable=False),
        sa.UniqueConstraint("client", "kind", "item"),
    )
    op.create_table(
        "gate_segments",
        sa.Column("gate_id", sa.Integer, sa.ForeignKey("gates.id"), primary_key=True),
        sa.Column("segment_id", sa.Integer, sa.ForeignKey("segments.id"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("gate_segments_by_segment", "gate_segments", ["segment_id"])
