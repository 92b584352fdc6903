"""What reads the lists themselves: members, differences, and files of members, written whole or not at all."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.progress import Progress

from ctsftp.admin.names import resolve_segment
from ctsftp.cli.output import error_console, plain, say
from ctsftp.durable import replacing
from ctsftp.errors import RefusedError
from ctsftp.model.records import Diff, Segment
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


async def diff_of(store: Store, name: str, client: str | None, old: int | None, new: int | None) -> Diff:
    """Compare two snapshots of the segment of that name."""
    segment = await resolve_segment(store, name, client)
    return await store.segments.diff(segment.client, segment.key, old, new)


async def print_members(store: Store, name: str, client: str | None, *, as_json: bool) -> None:
    """Write the ids page by page, in constant memory."""
    segment = await resolve_segment(store, name, client)
    written = 0
    begin, between, end = ("[", ",", "]\n") if as_json else ("", "\n", "\n")
    sys.stdout.write(begin)
    if segment.retired_at:
        say(f'The segment "{segment.title}" is retired: it has no members until it is restored.')
    else:
        async for page in store.snapshots.stream_members(segment.snapshot_id):
            sys.stdout.write((between if written else "") + between.join(map(str, page.tolist())))
            written += len(page)
    if written or as_json:
        sys.stdout.write(end)


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
        with replacing(target, mode=FILE_MODE) as file:
            yield file
    except OSError as exc:
        if exc.filename != str(target):
            raise
        raise OSError(exc.errno, exc.strerror, place) from exc  # as it was typed


@contextmanager
def _bar(segment: Segment) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; elsewhere nothing."""
    with Progress(console=error_console(), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(plain(segment.title), total=segment.members)
        yield lambda count: progress.advance(task, count)
