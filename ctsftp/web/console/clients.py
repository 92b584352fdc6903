"""The pages of the clients: who may send files, with which keys, and how their logins went."""

import asyncio

from starlette.responses import Response

from ctsftp.model.records import Logins
from ctsftp.web.console.visitor import Visitor


async def all_of_them(visitor: Visitor) -> Response:
    clients, logins = visitor.console.clients, await visitor.store.overview.logins()
    counts = await visitor.store.overview.segment_counts(visitor.token.client)
    names = await visitor.clients_seen()
    found = await asyncio.to_thread(lambda: [clients.get(name) for name in names])
    rows = [
        {"client": one, "logins": logins.get(one.name, Logins()), "segments": counts.get(one.name, 0)} for one in found
    ]
    return await visitor.page("clients.html", here="/clients", rows=rows)


async def one_of_them(visitor: Visitor) -> Response:
    """Show a client: its connection sheet, its keys, its last login and refusal."""
    name = visitor.request.path_params["client"]
    visitor.require(name)
    client = await asyncio.to_thread(visitor.console.clients.get, name)
    counts = await visitor.store.overview.segment_counts(name)
    return await visitor.page(
        "client.html",
        here="/clients",
        client=client,
        segments=counts.get(name, 0),
        sheet=await visitor.console.sheet(name),
        now=visitor.now,
        uses=await visitor.store.logins.key_uses(name),
    )
