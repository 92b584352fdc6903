"""Note with each upload which node has its file; null where there is only one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("uploads", sa.Column("node", sa.Text))
