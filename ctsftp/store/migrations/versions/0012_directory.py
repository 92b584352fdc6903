"""Note with each upload the folder that it was put into; null for those of before, whose folder is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column."""
    op.add_column("uploads", sa.Column("directory", sa.Text))
