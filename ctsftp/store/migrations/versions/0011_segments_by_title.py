"""Read a page of the segments, in the order of their titles, without looking at all the others."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"


def upgrade() -> None:
    """Make the index, in the order of the characters' numbers whatever the database's locale is."""
    collation = ' COLLATE "C"' if op.get_context().dialect.name == "postgresql" else ""
    columns = [sa.text(f"{name}{collation}") for name in ("client", "title")]
    op.create_index("segments_by_title", "segments", columns)
