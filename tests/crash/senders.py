"""Senders that know what they were told: asyncssh's client, held to what the server has answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh
from asyncssh.constants import FXP_CLOSE
from asyncssh.packet import String

from tests.e2e.conftest import PATIENCE_S, Box

from .oracle import Journal, Sent

# What a put meets when the server refuses, and when it dies.
REFUSED = (asyncssh.SFTPError,)
BROKEN = (OSError, asyncssh.Error, EOFError)


@asynccontextmanager
async def session(box: Box, client: str) -> AsyncIterator[asyncssh.SFTPClient]:
    """Log in as a client, to the server that runs now."""
    assert box.serve is not None
    async with (
        asyncssh.connect(
            "127.0.0.1",
            box.serve.port,
            username=client,
            client_keys=[str(box.folder / f"{client}_key")],
            known_hosts=None,
            config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


async def put(sftp: asyncssh.SFTPClient, journal: Journal, sent: Sent, *, by_rename: bool = False) -> None:
    """Put a file and note the answer; raise what the put met."""
    place = f"{sent.name}.tmp" if by_rename else sent.name
    try:
        file = await sftp.open(place, "wb")
        await file.write(sent.data)
        await close(file)
        if by_rename:
            await sftp.posix_rename(place, sent.name)
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
        raise
    except REFUSED:
        journal.refuse(sent)
        raise
    journal.acknowledge(sent)


async def close(file: asyncssh.SFTPClientFile) -> None:
    """Close a file and wait for the answer.

    Its own `close` does nothing at all, and raises nothing, where the connection is already known to be lost.
    """
    await file._handler._make_request(FXP_CLOSE, String(file._handle))


def send(box: Box, journal: Journal, sent: Sent) -> bool:
    """Put a file over a connection that may break; whether it was acknowledged."""

    async def work() -> None:
        async with asyncio.timeout(PATIENCE_S), session(box, sent.client) as sftp:
            await put(sftp, journal, sent)

    with contextlib.suppress(*BROKEN):  # an answer that came before the connection broke counts
        asyncio.run(work())
    return sent.acknowledged
