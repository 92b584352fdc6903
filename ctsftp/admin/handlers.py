"""Does what is asked: a handler for each command, and the table of them.

The handlers of commands that work on uploads, segments, hooks, gates and tokens are given an engine: that of the
running server, or one that the command opened for itself. Those of live commands are given the running server.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar, cast

import structlog

from ctsftp.admin.names import resolve_segment
from ctsftp.app.engine import Engine
from ctsftp.app.service import Service
from ctsftp.app.sheet import CAUSES
from ctsftp.contract.events import EventKind
from ctsftp.contract.freshness import Expectation
from ctsftp.contract.names import segment_key
from ctsftp.contract.words import PLAIN_WORD, fold_kind, fold_word, is_plain_word
from ctsftp.errors import AmbiguousError, CtsftpError, NotFoundError, RefusedError, UsageError
from ctsftp.model import commands as ask
from ctsftp.model.commands import Command, Entry, LiveCommand, Role, for_log
from ctsftp.model.records import GateOut, HookOut, SegmentOut, UploadOut
from ctsftp.model.writing import write

log = structlog.get_logger()

R = TypeVar("R")
W = TypeVar("W", Engine, Service)


async def sweep(engine: Engine, _: ask.Sweep) -> ask.SweptOut:
    """Sweep now, and wait until what was found is done."""
    swept = await engine.sweeper.sweep()
    await engine.queue.wait_for(swept.queued)
    while engine.queue.overflowed.is_set():  # there was more than the queue holds
        more = await engine.sweeper.sweep()
        await engine.queue.wait_for(more.queued)
        await engine.queue.wait_for_room()  # it may be full of what others sent
        swept += more
    return write(ask.SweptOut, swept)


async def retry(engine: Engine, command: ask.RetryUpload) -> UploadOut:
    """Read a rejected or failed upload again, and wait until that is done."""
    return await _load_again(engine, command.upload_id, engine.store.ledger.retry)


async def approve(engine: Engine, command: ask.ApproveUpload) -> UploadOut:
    """Apply a held or superseded upload, and wait until that is done."""
    return await _load_again(engine, command.upload_id, engine.store.ledger.approve)


async def discard(engine: Engine, command: ask.DiscardUpload) -> UploadOut:
    """Drop a held upload."""
    await engine.store.ledger.discard(command.upload_id)
    return (await engine.store.ledger.upload(command.upload_id)).as_json()


async def roll_back(engine: Engine, command: ask.RollBackSegment) -> SegmentOut:
    """Make another snapshot of a segment current: the one of that number, else what readers had before."""
    segment = await resolve_segment(engine.store, command.name, command.client)
    return (await engine.store.segments.rollback(segment.client, segment.key, command.number)).as_json()


async def retire(engine: Engine, command: ask.RetireSegment) -> SegmentOut:
    """Take a segment out of use."""
    segment = await resolve_segment(engine.store, command.name, command.client)
    await engine.store.segments.retire(segment.client, segment.key)
    return (await engine.store.segments.segment(segment.client, segment.key)).as_json()


async def restore(engine: Engine, command: ask.RestoreSegment) -> SegmentOut:
    """Put a retired segment back into use."""
    segment = await resolve_segment(engine.store, command.name, command.client)
    await engine.store.segments.restore(segment.client, segment.key)
    return (await engine.store.segments.segment(segment.client, segment.key)).as_json()


async def delete(engine: Engine, command: ask.DeleteSegment) -> SegmentOut:
    """Delete a retired segment for good, and give what it was."""
    segment = await resolve_segment(engine.store, command.name, command.client)
    await engine.store.segments.delete(segment.client, segment.key)
    with suppress(CtsftpError):  # it is deleted; the next sweep counts again
        await engine.holdings.count()
    return segment.as_json()


async def expect(engine: Engine, command: ask.ExpectSegment) -> SegmentOut:
    """Expect a segment's file every so often, or no longer."""
    segment = await resolve_segment(engine.store, command.name, command.client)
    every_s, grace_s = command.every_s, command.grace_s
    expectation = None if every_s is None or grace_s is None else Expectation(every_s, grace_s)
    return (await engine.store.segments.expect(segment.client, segment.key, expectation)).as_json()


async def add_hook(engine: Engine, command: ask.AddHook) -> ask.AddedHookOut:
    """Add a hook; a webhook's secret is told this once."""
    if command.client is not None:
        await asyncio.to_thread(engine.clients.get, command.client)
    kinds = [EventKind(one) for one in command.events]
    address = await engine.notifier.read_address(command.url)
    hook = await engine.store.outbox.add_hook(
        command.url, shown=address.shown, client=command.client, kinds=kinds, secret=address.secret
    )
    return {**hook.as_json(), "secret": address.secret}


async def remove_hook(engine: Engine, command: ask.RemoveHook) -> HookOut:
    """Remove a hook, and what was still to be delivered to it."""
    return (await engine.store.outbox.remove_hook(command.hook_id)).as_json()


async def try_hook(engine: Engine, command: ask.TryHook) -> ask.TriedHookOut:
    """Send a hook a test now, and tell whether it was taken."""
    hook = await engine.store.outbox.hook(command.hook_id)
    error = await engine.notifier.test(hook)
    return {**hook.as_json(), "delivered": error is None, "error": error}


async def revive_deliveries(engine: Engine, command: ask.ReviveDeliveries) -> ask.RevivedOut:
    """Deliver once more what was given up for a hook."""
    return {"hook": command.hook_id, "revived": await engine.store.outbox.revive(command.hook_id)}


async def set_gate(engine: Engine, command: ask.SetGate) -> GateOut:
    """Say which segments of one client open an item."""
    kind, item = fold_kind(command.kind), fold_word(command.item)
    for word in (kind, item):
        if not is_plain_word(word):
            raise UsageError(f"The kind and the item of a gate are each {PLAIN_WORD}: {word!r} is not allowed.")
    first = await resolve_segment(engine.store, command.segments[0], command.client)
    keys = [first.key, *map(segment_key, command.segments[1:])]
    return (await engine.store.gates.set(first.client, kind, item, keys)).as_json()


async def remove_gate(engine: Engine, command: ask.RemoveGate) -> GateOut:
    """Forget a gate, and give what it was."""
    kind, item = fold_kind(command.kind), fold_word(command.item)
    found = [one for one in await engine.store.gates.gates(client=command.client, kind=kind) if one.item == item]
    if not found:
        raise NotFoundError(f'There is no gate for the {kind} "{item}": `ctsftp gate list` shows them all.')
    if len(found) > 1:
        clients = ", ".join(gate.client for gate in found)
        raise AmbiguousError(f'Several clients have a gate for the {kind} "{item}": add --client, one of {clients}.')
    await engine.store.gates.remove(found[0].client, kind, item)
    return found[0].as_json()


async def add_token(engine: Engine, command: ask.AddToken) -> str:
    """Make a token of the API, and give its secret."""
    if not is_plain_word(command.name):
        raise UsageError(f"A token's name is {PLAIN_WORD}: {command.name!r} is not allowed.")
    if command.client is not None:
        await asyncio.to_thread(engine.clients.get, command.client)
    until = datetime.fromisoformat(command.expires) if command.expires else None
    return await engine.store.tokens.add(command.name, client=command.client, admin=command.admin, expires=until)


async def revoke_token(engine: Engine, command: ask.RevokeToken) -> None:
    """Forget a token of the API."""
    await engine.store.tokens.revoke(command.name)


async def recheck_sessions(service: Service, _: ask.RecheckSessions) -> int:
    """End the sessions of keys and clients that may no longer sign in."""
    return await service.server.recheck()


async def list_penalties(service: Service, _: ask.ListPenalties) -> list[ask.PenaltyOut]:
    """List the addresses whose logins failed lately."""
    return [write(ask.PenaltyOut, penalty) for penalty in service.server.penalties()]


async def clear_penalties(service: Service, command: ask.ClearPenalties) -> int:
    """Forgive an address, or all."""
    return service.server.clear_penalties(command.address)


async def list_logins(service: Service, _: ask.ListLogins) -> list[ask.AttemptOut]:
    """List who tried to sign in lately, with what the cause of a refusal means."""
    found = cast("list[ask.AttemptOut]", service.server.attempts.as_json())
    return [{**one, "text": one["text"] or CAUSES.get(one["cause"], "")} for one in found]


async def list_faults(service: Service, _: ask.ListFaults) -> list[str]:
    """List what is wrong with the server."""
    return await service.faults()


async def _load_again(engine: Engine, upload_id: str, decide: Callable[[str], Awaitable[None]]) -> UploadOut:
    async with engine.sweeper.deleting:
        stored = await engine.find_file(upload_id)
        await decide(upload_id)
    await engine.take_up(upload_id, stored)
    return (await engine.store.ledger.upload(upload_id)).as_json()


def _table(*entries: Entry[W]) -> dict[type[Command[object]], Entry[W]]:
    return {entry.kind: entry for entry in entries}


# What handles each command, and who may ask for it. mypy holds that a handler takes its command and gives its answer.
HANDLERS = _table(
    ask.Sweep.by(sweep, Role.OPERATOR),
    ask.RetryUpload.by(retry, Role.ADMIN),
    ask.ApproveUpload.by(approve, Role.ADMIN),
    ask.DiscardUpload.by(discard, Role.ADMIN),
    ask.RollBackSegment.by(roll_back, Role.ADMIN),
    ask.RetireSegment.by(retire, Role.ADMIN),
    ask.RestoreSegment.by(restore, Role.ADMIN),
    ask.DeleteSegment.by(delete, Role.OPERATOR),
    ask.ExpectSegment.by(expect, Role.OPERATOR),
    ask.AddHook.by(add_hook, Role.OPERATOR),
    ask.RemoveHook.by(remove_hook, Role.OPERATOR),
    ask.TryHook.by(try_hook, Role.OPERATOR),
    ask.ReviveDeliveries.by(revive_deliveries, Role.OPERATOR),
    ask.SetGate.by(set_gate, Role.ADMIN),
    ask.RemoveGate.by(remove_gate, Role.ADMIN),
    ask.AddToken.by(add_token, Role.OPERATOR),
    ask.RevokeToken.by(revoke_token, Role.OPERATOR),
)
# Those that need a running server.
LIVE_HANDLERS = _table(
    ask.RecheckSessions.by(recheck_sessions, Role.OPERATOR),
    ask.ListPenalties.by(list_penalties, Role.OPERATOR, changes=False),
    ask.ClearPenalties.by(clear_penalties, Role.OPERATOR),
    ask.ListLogins.by(list_logins, Role.OPERATOR, changes=False),
    ask.ListFaults.by(list_faults, Role.OPERATOR, changes=False),
)


def require_role(command: Command[object], role: Role) -> None:
    """Raise a `RefusedError` if a command is not for somebody of this role."""
    entry = LIVE_HANDLERS.get(type(command)) or HANDLERS[type(command)]
    if role < entry.role:
        raise RefusedError(f"{command.wire} is for {entry.role.told} alone.")


async def perform_on(engine: Engine, command: Command[R]) -> R:
    """Do what is asked, on this engine."""
    await asyncio.to_thread(engine.reserve.release_if_full)
    result = await HANDLERS[type(command)].handle(engine, command)
    log.info("admin command", operation=command.wire, **for_log(command))
    return cast("R", result)


async def perform_live(service: Service, command: LiveCommand[R]) -> R:
    """Do what is asked of this running server."""
    entry = LIVE_HANDLERS[type(command)]
    result = await entry.handle(service, command)
    if entry.changes:
        log.info("admin command", operation=command.wire, result=result, **for_log(command))
    return cast("R", result)
