"""Find the uploads of one segment without reading all of its client's."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the index."""
    op.create_index("uploads_by_segment", "uploads", ["client", "segment_key", "id"])
