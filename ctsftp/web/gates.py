"""The gates: which segments open an activity, a reward or a campaign, and to whom one is open."""

import orjson
from fastapi import APIRouter
from fastapi.responses import Response

from ctsftp.contract.words import PLAIN_WORD, fold_kind, fold_word, is_plain_word
from ctsftp.model.commands import RemoveGate, SetGate
from ctsftp.model.records import GateOut
from ctsftp.web.access import Admin, Reader
from ctsftp.web.models import (
    BAD_BODY,
    PROBLEMS,
    REFUSED,
    ClientFilter,
    ClientPath,
    CtUserId,
    GateIn,
    GateList,
    IsOpen,
    ItemPath,
    KindFilter,
    KindPath,
    answers,
)
from ctsftp.web.paging import Cursor, Limit, cut, page_size, read_place
from ctsftp.web.problems import Problem

router = APIRouter(prefix="/v1/gates", tags=["gates"], responses=PROBLEMS)


@router.get("")
async def list_gates(
    access: Reader, client: ClientFilter = None, kind: KindFilter = None, cursor: Cursor = None, limit: Limit = None
) -> GateList:
    """List the gates, by client, kind and item."""
    size = page_size(limit)
    found = await access.store.gates.gates(
        client=access.narrow(client),
        kind=fold_kind(kind) if kind else None,
        after=read_place(cursor, 3),
        limit=size + 1,
    )
    shown, following = cut(found, size, lambda one: (one.client, one.kind, one.item))
    return GateList(items=[gate.as_json() for gate in shown], next=following)


@router.get("/{client}/{kind}/{item}")
async def show_gate(access: Reader, client: ClientPath, kind: KindPath, item: ItemPath) -> GateOut:
    """Tell which segments open an item."""
    access.require(client)
    return (await access.store.gates.gate(client, *_named(kind, item))).as_json()


@router.put("/{client}/{kind}/{item}", responses=REFUSED | BAD_BODY)
async def set_gate(access: Admin, client: ClientPath, kind: KindPath, item: ItemPath, body: GateIn) -> GateOut:
    """Say which segments open an item, in the place of what was said before."""
    access.require(client)
    kind, item = _named(kind, item)
    gate: GateOut = await access.perform(SetGate(kind, item, tuple(body.segments), client))
    return gate


@router.delete("/{client}/{kind}/{item}", status_code=204, responses=REFUSED)
async def remove_gate(access: Admin, client: ClientPath, kind: KindPath, item: ItemPath) -> None:
    """Remove a gate."""
    access.require(client)
    kind, item = _named(kind, item)
    await access.perform(RemoveGate(kind, item, client))


@router.get("/{client}/{kind}/{item}/members/{ct_user_id}", response_model=None, responses=answers(IsOpen))
async def is_open(access: Reader, client: ClientPath, kind: KindPath, item: ItemPath, ct_user_id: CtUserId) -> Response:
    """Tell whether a member may see an item: whether it is in any of the gate's segments that are in use."""
    access.require(client)
    opened = await access.store.gates.is_open(client, *_named(kind, item), ct_user_id)
    return Response(orjson.dumps({"ct_user_id": ct_user_id, "open": opened}), media_type="application/json")


def _named(kind: str, item: str) -> tuple[str, str]:
    """Give the kind and the item as they are kept; 404 for what no gate can be called."""
    folded = (fold_kind(kind), fold_word(item))
    if not all(map(is_plain_word, folded)):
        raise Problem(404, "not-found", f"The kind and the item of a gate are each {PLAIN_WORD}.")
    return folded
