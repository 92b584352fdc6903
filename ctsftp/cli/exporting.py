"""Writing a segment's members to a file, whole or not at all, with a bar that tells how far it is."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.progress import Progress

from ctsftp.admin.names import resolve_segment
from ctsftp.cli.output import error_console, plain
from ctsftp.errors import RefusedError
from ctsftp.model.records import Segment
from ctsftp.store.export import PageForm
from ctsftp.store.store import Store

HEADER = b"CTUserID\n"
FILE_MODE = 0o640


async def export(store: Store, name: str, client: str | None, file: IO[bytes]) -> Segment:
    """Write a segment's members as the file contract has them, so that they could be pushed again."""
    segment = await resolve_segment(store, name, client)
    if segment.retired_at:
        raise RefusedError(f'The segment "{segment.title}" is retired: it has no members until it is restored.')
    with _bar(segment) as advance:
        file.write(HEADER)
        async for text, count in store.export.pages(segment.snapshot_id, PageForm()):
            file.write(text)
            advance(count)
    return segment


@contextmanager
def output_file(place: str) -> Iterator[IO[bytes]]:
    """Open what is written to: a file beside its place, which it takes when it is complete and on disk.

    "-" is stdout. A link is followed, and a device or a pipe is written to as it is.
    """
    if place == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(place).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, place) from exc  # not the name that nobody typed
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _bar(segment: Segment) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; elsewhere nothing."""
    with Progress(console=error_console(), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(plain(segment.title), total=segment.members)
        yield lambda count: progress.advance(task, count)
