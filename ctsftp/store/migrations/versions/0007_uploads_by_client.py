"""List a client's newest uploads without looking at those of all others: for its receipts, and for the API."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the index."""
    op.create_index("uploads_by_client", "uploads", ["client", "id"])
