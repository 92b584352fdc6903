"""Note with each upload the title of the column that its ids were read from; null where that is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column("uploads", sa.Column("id_title", sa.Text))
