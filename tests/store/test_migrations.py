"""What a migration makes of a database that is in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

UPLOADS = """
INSERT INTO uploads (id, client, filename, segment_key, state, warnings, size, received_at, approved, attempts, deaths)
VALUES ('1', 'acme', 'a', 'vip', 'loaded', '[]', 1, '2026-03-10T09:00:00.000Z', 0, 0, 0),
       ('2', 'acme', 'b', 'vip', 'duplicate', '[]', 1, '2026-03-11T09:00:00.000Z', 0, 0, 0),
       ('3', 'acme', 'c', 'vip', 'rejected', '[]', 1, '2026-03-12T09:00:00.000Z', 0, 0, 0),
       ('4', 'zeta', 'd', 'vip', 'loaded', '[]', 1, '2026-03-13T09:00:00.000Z', 0, 0, 0)
"""
SEGMENT = """
INSERT INTO segments
(id, client, "key", title, current_snapshot_id, newest_stamp, newest_upload_id, rolled_back, created_at)
VALUES (1, 'acme', 'vip', 'VIP', 1, '20260310_0900', '1', 0, '2026-03-10T09:00:00.000Z')
"""


def upgraded(conn: sa.Connection, revision: str) -> ScriptDirectory:
    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", "ctsftp.store:migrations")
    command.upgrade(config, revision)
    return ScriptDirectory.from_config(config)


def test_a_segment_was_last_heard_of_with_its_newest_file_that_was_loaded_or_the_same(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as conn:
        scripts = upgraded(conn, "0001")
        before = str(scripts.get_revision("0002").down_revision)
        upgraded(conn, before)
        for statement in (UPLOADS, SEGMENT):
            conn.exec_driver_sql(statement)
        upgraded(conn, "0002")
        found = conn.exec_driver_sql("SELECT heard_at, expect_every_s, overdue_since FROM segments").all()
    engine.dispose()
    assert found == [("2026-03-11T09:00:00.000Z", None, None)]


REJECTED = "INSERT INTO rejected_rows VALUES ('1', 9, 'b', ''), ('1', 4, 'a', ''), ('2', 4, 'c', '')"
KEPT = "SELECT upload_id, position, line, value FROM rejected_rows ORDER BY upload_id, position"


@contextmanager
def place_of(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a new, empty database of this kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'old.db'}"
    else:
        server = request.getfixturevalue("postgres")
        with server.database() as url:
            yield url


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_rejected_rows_of_before_stay_in_their_order(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with place_of(kind, tmp_path, request) as url:
        engine = sa.create_engine(url)
        with engine.begin() as conn:
            upgraded(conn, "0001")
            conn.exec_driver_sql(UPLOADS.replace(", 0, 0, 0)", ", false, 0, 0)"))
            conn.exec_driver_sql(REJECTED)
            upgraded(conn, "0014")
            found = [tuple(row) for row in conn.exec_driver_sql(KEPT)]
        engine.dispose()
    assert found == [("1", 0, 4, "a"), ("1", 1, 9, "b"), ("2", 0, 4, "c")]
