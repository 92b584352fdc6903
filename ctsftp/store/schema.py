"""Which tables a database holds: empty, old, as they should be, of a newer ctsftp, or somebody else's.

Alembic is imported only where something must be migrated, since most commands only read.
"""

import sqlalchemy as sa
from sqlalchemy import Connection

from ctsftp.errors import StoreError
from ctsftp.store.tables import segments, uploads

# The newest migration; ids are zero-padded numbers, so a greater one is newer.
REVISION = "0014"


# Instead of a revision: a copy that is not finished (`copying`). Nobody opens it.
COPYING = "copying"


def refuse_strangers(conn: Connection, *, name: str) -> None:
    """Raise a `StoreError` if the tables are somebody else's, or of a newer ctsftp.

    `name` is how the database is called in the error.
    """
    found = revision(conn)
    if found is None:
        raise StoreError(f"{name} holds other tables than ctsftp's: name another.")
    if found == COPYING:
        raise StoreError(f"{name} is a copy that is not finished: run `ctsftp migrate-database` again.")
    if found > REVISION:
        raise StoreError(
            f"{name} was made by a newer ctsftp: upgrade ctsftp."
            f" Its tables are at {found}, and this one knows {REVISION}."
        )


def require(conn: Connection, *, name: str) -> None:
    """Raise a `StoreError` unless the tables are those of `REVISION`."""
    found = revision(conn)
    if not found:
        raise StoreError(f"{name} is empty: start `ctsftp serve` once to make its tables.")
    if found != REVISION:
        raise StoreError(f"{name} was made by an older ctsftp: start `ctsftp serve` once to bring it up to date.")


def upgrade(conn: Connection) -> None:
    """Bring the tables up to `REVISION` in the connection's transaction: all of it, or nothing."""
    if revision(conn) == REVISION:
        return
    # Imported here: with its templates it costs more than many a command.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", "ctsftp.store:migrations")
    command.upgrade(config, REVISION)


def revision(conn: Connection) -> str | None:
    """Tell which migration was the last; "" for an empty database, None for somebody else's."""
    tables = sa.inspect(conn).get_table_names()
    if not tables:
        return ""
    if not {"alembic_version", uploads.name, segments.name}.issubset(tables):
        return None
    found = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found) if found else None


def set_revision(conn: Connection, to: str) -> None:
    """Say which tables these are."""
    conn.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": to})
