"""A copy of the database while it is in use, by SQLite's online backup (sqlite.org/backup.html)."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import make_url

from ctsftp.durable import put_in_place
from ctsftp.errors import NotFoundError, RefusedError, StoreError
from ctsftp.store import sqlite

FILE_MODE = 0o600
PAGES_AT_ONCE = 2_000  # 8 MB: between two such steps writers have their turn


def back_up(
    url: str,
    target: Path,
    *,
    progress: Callable[[int, int], None],
    as_owner: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> int:
    """Copy the database to a new file and return its bytes; `progress` is told of pages that remain, and of all.

    The copy is one moment of the database, and it is checked before it gets its name. Blocks. `as_owner` is entered
    while the database is opened, and the copy is made outside of it: root's copy of another account's database.
    Raises `RefusedError` if the target is there already, `StoreError` if the copy cannot be made.
    """
    if make_url(url).get_backend_name() == "postgresql":
        raise RefusedError("This database is on a PostgreSQL server: back it up with pg_dump, or as its provider does.")
    source = sqlite.path_of(url)
    if target.exists():
        raise RefusedError(f"{target} is there already: name a new file.")
    draft = target.with_name(f"{target.name}.part")
    try:
        _copy(source, draft, progress, as_owner)
        put_in_place(draft, target)
        return target.stat().st_size
    except (sqlite3.Error, OSError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise StoreError(f"The backup {target} could not be made: {why}.") from exc
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _copy(
    source: Path,
    draft: Path,
    progress: Callable[[int, int], None],
    as_owner: Callable[[], AbstractContextManager[object]],
) -> None:
    draft.unlink(missing_ok=True)  # of a backup that died
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    with contextlib.ExitStack() as opened:
        with as_owner():
            if not source.exists():
                raise NotFoundError(f"There is no database {source} yet: there is nothing to back up.")
            # A reader that only reads: the one writer, and its log, are left alone.
            reading = opened.enter_context(contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)))
            # A whole read transaction: without it every write meanwhile would begin the copy anew.
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        writing = opened.enter_context(contextlib.closing(sqlite3.connect(draft)))
        reading.backup(writing, pages=PAGES_AT_ONCE, progress=lambda _, left, total: progress(left, total))
        damage = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise StoreError(f"The database {source} is damaged ({damage}): the backup was not kept.")
