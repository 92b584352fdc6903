"""What an admin may ask of the engine, by name: the same whether `serve` runs or the command works by itself."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import structlog

from ctsftp.app.engine import Engine
from ctsftp.app.segments import resolve_segment
from ctsftp.errors import UsageError

log = structlog.get_logger()

Operation = Callable[..., Awaitable[Any]]


async def sweep(engine: Engine) -> dict[str, Any]:
    """Sweep now, and wait until what was found is done."""
    swept = await engine.sweeper.sweep()
    await engine.queue.wait_for(swept.queued)
    return asdict(swept)


async def retry(engine: Engine, *, upload_id: str) -> dict[str, Any]:
    """Read a rejected or failed upload again, and wait until that is done."""
    stored = await engine.find_file(upload_id)
    await engine.store.ledger.retry(upload_id)
    await engine.take_up(upload_id, stored)
    return await _upload(engine, upload_id)


async def approve(engine: Engine, *, upload_id: str) -> dict[str, Any]:
    """Apply a held or superseded upload, and wait until that is done."""
    stored = await engine.find_file(upload_id)
    await engine.store.ledger.approve(upload_id)
    await engine.take_up(upload_id, stored)
    return await _upload(engine, upload_id)


async def discard(engine: Engine, *, upload_id: str) -> dict[str, Any]:
    """Drop a held upload."""
    await engine.store.ledger.discard(upload_id)
    return await _upload(engine, upload_id)


async def rollback(engine: Engine, *, name: str, client: str | None, number: int | None) -> dict[str, Any]:
    """Make an earlier snapshot of a segment current again."""
    segment = await resolve_segment(engine.store, name, client)
    return (await engine.store.segments.rollback(segment.client, segment.key, number)).as_json()


async def retire(engine: Engine, *, name: str, client: str | None) -> dict[str, Any]:
    """Take a segment out of use."""
    segment = await resolve_segment(engine.store, name, client)
    await engine.store.segments.retire(segment.client, segment.key)
    return (await engine.store.segments.segment(segment.client, segment.key)).as_json()


async def restore(engine: Engine, *, name: str, client: str | None) -> dict[str, Any]:
    """Put a retired segment back into use."""
    segment = await resolve_segment(engine.store, name, client)
    await engine.store.segments.restore(segment.client, segment.key)
    return (await engine.store.segments.segment(segment.client, segment.key)).as_json()


async def delete(engine: Engine, *, name: str, client: str | None) -> dict[str, Any]:
    """Delete a retired segment for good, and give what it was."""
    segment = await resolve_segment(engine.store, name, client)
    await engine.store.segments.delete(segment.client, segment.key)
    return segment.as_json()


async def _upload(engine: Engine, upload_id: str) -> dict[str, Any]:
    return (await engine.store.ledger.upload(upload_id)).as_json()


OPERATIONS: dict[str, Operation] = {
    "sweep": sweep,
    "upload.retry": retry,
    "upload.approve": approve,
    "upload.discard": discard,
    "segment.rollback": rollback,
    "segment.retire": retire,
    "segment.restore": restore,
    "segment.delete": delete,
}


async def perform_on(engine: Engine, operation: str, arguments: dict[str, Any]) -> Any:
    """Do one of the operations on this engine."""
    work = OPERATIONS.get(operation)
    if work is None:
        raise UsageError(f"The running server does not know {operation!r}: restart it with this version of ctsftp.")
    result = await work(engine, **arguments)
    log.info("admin command", operation=operation, **arguments)
    return result
