"""Keep several rejected rows of one line: a line break of another kind joins rows, and each piece counts.

Their key was the line, so that a file with two of them in one line could not be written down.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

COPY = """
INSERT INTO rejected_rows_by_position (upload_id, position, line, value, reason)
SELECT upload_id, row_number() OVER (PARTITION BY upload_id ORDER BY line) - 1, line, value, reason FROM rejected_rows
"""


def upgrade() -> None:
    """Make the table anew: SQLite cannot change a primary key."""
    op.create_table(
        "rejected_rows_by_position",
        sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(COPY)
    op.drop_table("rejected_rows")
    op.rename_table("rejected_rows_by_position", "rejected_rows")
