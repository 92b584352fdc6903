"""What an admin may ask of the engine, by name: the same whether `serve` runs or the command works by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog

from ctsftp.admin.names import resolve_segment
from ctsftp.app.engine import Engine
from ctsftp.contract.events import EventKind
from ctsftp.contract.freshness import Expectation
from ctsftp.contract.names import segment_key
from ctsftp.contract.words import PLAIN_WORD, fold_kind, fold_word, is_plain_word
from ctsftp.errors import AmbiguousError, CtsftpError, NotFoundError, UsageError
from ctsftp.model.records import GateOut, HookOut, SegmentOut, UploadOut

log = structlog.get_logger()

Operation = Callable[..., Awaitable[Any]]


async def sweep(engine: Engine) -> dict[str, Any]:
    """Sweep now, and wait until what was found is done."""
    swept = await engine.sweeper.sweep()
    await engine.queue.wait_for(swept.queued)
    while engine.queue.overflowed.is_set():  # there was more than the queue holds
        more = await engine.sweeper.sweep()
        await engine.queue.wait_for(more.queued)
        await engine.queue.wait_for_room()  # it may be full of what others sent
        swept += more
    return asdict(swept)


async def retry(engine: Engine, *, upload_id: str) -> UploadOut:
    """Read a rejected or failed upload again, and wait until that is done."""
    async with engine.sweeper.deleting:
        stored = await engine.find_file(upload_id)
        await engine.store.ledger.retry(upload_id)
    await engine.take_up(upload_id, stored)
    return await _upload(engine, upload_id)


async def approve(engine: Engine, *, upload_id: str) -> UploadOut:
    """Apply a held or superseded upload, and wait until that is done."""
    async with engine.sweeper.deleting:
        stored = await engine.find_file(upload_id)
        await engine.store.ledger.approve(upload_id)
    await engine.take_up(upload_id, stored)
    return await _upload(engine, upload_id)


async def discard(engine: Engine, *, upload_id: str) -> UploadOut:
    """Drop a held upload."""
    await engine.store.ledger.discard(upload_id)
    return await _upload(engine, upload_id)


async def rollback(engine: Engine, *, name: str, client: str | None, number: int | None) -> SegmentOut:
    """Make another snapshot of a segment current: the one of that number, else what readers had before."""
    segment = await resolve_segment(engine.store, name, client)
    return (await engine.store.segments.rollback(segment.client, segment.key, number)).as_json()


async def retire(engine: Engine, *, name: str, client: str | None) -> SegmentOut:
    """Take a segment out of use."""
    segment = await resolve_segment(engine.store, name, client)
    await engine.store.segments.retire(segment.client, segment.key)
    return (await engine.store.segments.segment(segment.client, segment.key)).as_json()


async def restore(engine: Engine, *, name: str, client: str | None) -> SegmentOut:
    """Put a retired segment back into use."""
    segment = await resolve_segment(engine.store, name, client)
    await engine.store.segments.restore(segment.client, segment.key)
    return (await engine.store.segments.segment(segment.client, segment.key)).as_json()


async def delete(engine: Engine, *, name: str, client: str | None) -> SegmentOut:
    """Delete a retired segment for good, and give what it was."""
    segment = await resolve_segment(engine.store, name, client)
    await engine.store.segments.delete(segment.client, segment.key)
    with suppress(CtsftpError):  # it is deleted; the next sweep counts again
        await engine.holdings.count()
    return segment.as_json()


async def expect(
    engine: Engine, *, name: str, client: str | None, every_s: int | None, grace_s: int | None
) -> SegmentOut:
    """Expect a segment's file every so often; `every_s` None: no longer."""
    segment = await resolve_segment(engine.store, name, client)
    expectation = None if every_s is None or grace_s is None else Expectation(every_s, grace_s)
    return (await engine.store.segments.expect(segment.client, segment.key, expectation)).as_json()


async def add_hook(engine: Engine, *, url: str, client: str | None, events: list[str]) -> dict[str, Any]:
    """Add a webhook (http, https), or an address for messages to people; a webhook's secret is told this once."""
    if client is not None:
        await asyncio.to_thread(engine.clients.get, client)
    kinds = [EventKind(one) for one in events]
    address = await engine.notifier.read_address(url)
    hook = await engine.store.outbox.add_hook(
        url, shown=address.shown, client=client, kinds=kinds, secret=address.secret
    )
    return {**hook.as_json(), "secret": address.secret}


async def remove_hook(engine: Engine, *, hook_id: int) -> HookOut:
    """Remove a hook, and what was still to be delivered to it."""
    return (await engine.store.outbox.remove_hook(hook_id)).as_json()


async def test_hook(engine: Engine, *, hook_id: int) -> dict[str, Any]:
    """Send a hook a test now, and tell whether it was taken."""
    hook = await engine.store.outbox.hook(hook_id)
    error = await engine.notifier.test(hook)
    return {**hook.as_json(), "delivered": error is None, "error": error}


async def revive_deliveries(engine: Engine, *, hook_id: int) -> dict[str, Any]:
    """Deliver once more what was given up for a hook."""
    return {"hook": hook_id, "revived": await engine.store.outbox.revive(hook_id)}


async def set_gate(engine: Engine, *, kind: str, item: str, segments: list[str], client: str | None) -> GateOut:
    """Say which segments of one client open an item."""
    kind, item = fold_kind(kind), fold_word(item)
    for word in (kind, item):
        if not is_plain_word(word):
            raise UsageError(f"The kind and the item of a gate are each {PLAIN_WORD}: {word!r} is not allowed.")
    first = await resolve_segment(engine.store, segments[0], client)
    keys = [first.key, *map(segment_key, segments[1:])]
    return (await engine.store.gates.set(first.client, kind, item, keys)).as_json()


async def remove_gate(engine: Engine, *, kind: str, item: str, client: str | None) -> GateOut:
    """Forget a gate, and give what it was."""
    kind, item = fold_kind(kind), fold_word(item)
    found = [one for one in await engine.store.gates.gates(client=client, kind=kind) if one.item == item]
    if not found:
        raise NotFoundError(f'There is no gate for the {kind} "{item}": `ctsftp gate list` shows them all.')
    if len(found) > 1:
        clients = ", ".join(gate.client for gate in found)
        raise AmbiguousError(f'Several clients have a gate for the {kind} "{item}": add --client, one of {clients}.')
    await engine.store.gates.remove(found[0].client, kind, item)
    return found[0].as_json()


async def add_token(engine: Engine, *, name: str, client: str | None, admin: bool, expires: str | None) -> str:
    """Make a token of the API, and give its secret."""
    if not is_plain_word(name):
        raise UsageError(f"A token's name is {PLAIN_WORD}: {name!r} is not allowed.")
    if client is not None:
        await asyncio.to_thread(engine.clients.get, client)
    until = datetime.fromisoformat(expires) if expires else None
    return await engine.store.tokens.add(name, client=client, admin=admin, expires=until)


async def revoke_token(engine: Engine, *, name: str) -> None:
    """Forget a token of the API."""
    await engine.store.tokens.revoke(name)


async def _upload(engine: Engine, upload_id: str) -> UploadOut:
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
    "segment.expect": expect,
    "hook.add": add_hook,
    "hook.remove": remove_hook,
    "hook.test": test_hook,
    "hook.revive": revive_deliveries,
    "gate.set": set_gate,
    "gate.remove": remove_gate,
    "token.add": add_token,
    "token.revoke": revoke_token,
}


async def perform_on(engine: Engine, operation: str, arguments: dict[str, Any]) -> Any:
    """Do one of the operations on this engine."""
    work = OPERATIONS.get(operation)
    if work is None:
        raise UsageError(f"The running server does not know {operation!r}: restart it with this version of ctsftp.")
    await asyncio.to_thread(engine.reserve.release_if_full)
    result = await work(engine, **arguments)
    log.info("admin command", operation=operation, **for_log(arguments))
    return result


def for_log(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give an operation's arguments as the log may have them: an address holds passwords and tokens."""
    return {key: arguments[key] for key in arguments if key != "url"}
