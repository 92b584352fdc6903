"""The page of the gates: which items are open to the members of which segments."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from ctsftp.errors import RefusedError
from ctsftp.model.commands import RemoveGate, SetGate
from ctsftp.model.records import Segment
from ctsftp.web.console.views import segment_href
from ctsftp.web.console.visitor import Form, Visitor

MAX_ADDRESS = 6_000  # characters, which every browser and every proxy takes


async def all_of_them(visitor: Visitor) -> Response:
    """Show the gates of a client: the one that was asked for, else the first that has segments."""
    segments = await visitor.store.segments.segments(client=visitor.token.client)
    clients = sorted({one.client for one in segments})
    client = visitor.asked("client") or next(iter(clients), visitor.token.client or "")
    visitor.require(client)
    own = sorted((one for one in segments if one.client == client), key=lambda one: one.title.casefold())
    return await visitor.page(
        "gates.html",
        here="/gates",
        clients=clients,
        client=client,
        gates=[
            {"gate": gate, "segments": [(title, _href(own, title)) for title in gate.segments]}
            for gate in await visitor.store.gates.gates(client=client)
        ],
        segments=[one for one in own if not one.retired_at],
        typed={
            "kind": visitor.asked("kind"),
            "item": visitor.asked("item"),
            "segments": set(visitor.request.query_params.getlist("segment")),
        },
    )


def place(_request: Request, form: Form) -> str:
    """Give the address of the page with the form as it was filled in, as much of it as an address holds."""
    typed = {name: form.all(name) for name in ("client", "kind", "item", "segment")}
    for dropped in ((), ("segment",), ("segment", "kind", "item")):
        fields = {name: values for name, values in typed.items() if name not in dropped}
        address = f"/gates?{urlencode(fields, doseq=True)}#set"
        if len(address) <= MAX_ADDRESS:
            return address
    return "/gates"


async def put(visitor: Visitor, form: Form) -> str:
    """Say which segments open an item."""
    client = form["client"]
    visitor.require(client)
    kind, item, keys = form["kind"].strip(), form["item"].strip(), form.all("segment")
    own = await visitor.store.segments.segments(client=client)
    titles = [one.title for one in own if one.key in keys]
    if not titles:
        raise RefusedError("Choose at least one segment whose members may see it.")
    await visitor.perform(SetGate(kind, item, tuple(titles), client))
    await visitor.say("good", f'The {kind} "{item}" is open to the members of {", ".join(titles)}.')
    return _page(client)


async def remove(visitor: Visitor, form: Form) -> str:
    client = form["client"]
    visitor.require(client)
    await visitor.perform(RemoveGate(form["kind"], form["item"], client))
    await visitor.say("good", f'The gate of the {form["kind"]} "{form["item"]}" is removed.')
    return _page(client)


def _page(client: str) -> str:
    return f"/gates?{urlencode({'client': client})}"


def _href(segments: list[Segment], title: str) -> str:
    return next((segment_href(one.client, one.key) for one in segments if one.title == title), "")
