"""Broken packets: whatever a client sends, the server lives, no half file is loaded, and other sessions go on.

A recorded upload of four packets is sent again and again with one bit or all bits of one byte turned over, or cut
off. What a server may then have is worked out from its own answers: a file holds what WRITEs that were answered
with OK put into it, and is an upload only if its CLOSE was.
"""

import asyncio
import itertools
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh
import pytest
from asyncssh.constants import FX_OK, FXF_CREAT, FXF_TRUNC, FXF_WRITE, FXP_CLOSE, FXP_OPEN, FXP_STATUS, FXP_WRITE
from asyncssh.packet import Byte, String, UInt32, UInt64

from ..sftp.raw import NO_ATTRS, Answer, RawSftp
from .post import HOST, Account, export

FIRST, SECOND = export(range(1, 9)), b"10\n11\n12\n"
FIRST_HANDLE = b"\0\0\0\0"
ENDLESS = 200


@asynccontextmanager
async def connected(account: Account) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with asyncssh.connect(
        HOST,
        account.port,
        config=None,
        username=account.client,
        client_keys=[str(account.keys.ed25519)],
        known_hosts=None,
        agent_path=None,
    ) as connection:
        yield connection


def packet(kind: int, number: int, *fields: bytes) -> bytes:
    return String(Byte(kind) + UInt32(number) + b"".join(fields))


def upload(name: str) -> list[bytes]:
    flags = UInt32(FXF_WRITE | FXF_CREAT | FXF_TRUNC)
    return [
        packet(FXP_OPEN, 0, String(name), flags, NO_ATTRS),
        packet(FXP_WRITE, 1, String(FIRST_HANDLE), UInt64(0), String(FIRST)),
        packet(FXP_WRITE, 2, String(FIRST_HANDLE), UInt64(len(FIRST)), String(SECOND)),
        packet(FXP_CLOSE, 3, String(FIRST_HANDLE)),
    ]


async def play(connection: asyncssh.SSHClientConnection, sent: bytes) -> dict[int, int]:
    """Send bytes over a channel of their own, end it, and give the codes of the answers, by the request's number."""
    raw = await RawSftp.open(connection)
    raw._writer.write(sent)
    raw._writer.write_eof()
    codes: dict[int, int] = {}
    try:
        while True:
            answer: Answer = await raw.answer()
            codes[answer.number] = answer.status()[0] if answer.kind == FXP_STATUS else FX_OK
    except (asyncio.IncompleteReadError, asyncssh.Error, ConnectionError):
        raw.channel.close()
        await raw.channel.wait_closed()
    return codes


def content(sent: bytes, codes: dict[int, int]) -> bytes:
    """Work out what the file holds, if the server did as it answered; b"" for what is no upload."""
    held = bytearray()
    closed = False
    while len(sent) >= 4 and len(sent) >= 4 + (length := int.from_bytes(sent[:4], "big")):
        body, sent = sent[4 : 4 + length], sent[4 + length :]
        if len(body) < 5 or codes.get(int.from_bytes(body[1:5], "big")) != FX_OK:
            continue
        if body[0] == FXP_WRITE:
            handle = int.from_bytes(body[5:9], "big")
            offset, size = struct.unpack_from(">QI", body, 9 + handle)
            data = body[21 + handle : 21 + handle + size]
            held.extend(bytes(max(0, offset + len(data) - len(held))))
            held[offset : offset + len(data)] = data
        closed |= body[0] == FXP_CLOSE
    return bytes(held) if closed else b""


def variants() -> list[bytes]:
    """Give the recorded upload, under a name of its own each, with every byte turned over, and cut before each byte."""
    names = (f"S{number:04} x_20261123_0900.csv" for number in itertools.count())
    whole = b"".join(upload(next(names)))
    made = []
    for place in range(len(whole)):
        for mask in (0x01, 0xFF):
            fresh = bytearray(b"".join(upload(next(names))))
            fresh[place] ^= mask
            made.append(bytes(fresh))
        made.append(b"".join(upload(next(names)))[:place])
    return made


async def still_serves(account: Account, session: asyncssh.SFTPClient) -> None:
    """Hold that a session that was open all the time can put a list, and that it is loaded."""
    account.look_on()
    async with session.open("Other_20261123_0900.csv", "wb") as file:
        await file.write(export(range(1, 5)))
    assert await asyncio.to_thread(account.state, "Other_20261123_0900.csv") in {"loaded", "duplicate"}


def kept(account: Account) -> Counter[bytes]:
    """Count what the server took for whole files: all that it has not rejected."""
    files = account.post.box.folder / "data" / "clients" / account.client / "uploads"
    rejected = {row[0] for row in account.post.select("SELECT id FROM uploads WHERE state = 'rejected'")}
    found: Counter[bytes] = Counter()
    for folder in files.iterdir():
        [file] = folder.iterdir()
        if folder.name not in rejected and not file.name.startswith("Other"):
            found[file.read_bytes()] += 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3), ids=["one bit", "all bits", "cut off"])
async def test_every_byte_that_is_turned_over_or_missing_costs_no_more_than_its_own_file(
    account: Account, part: int
) -> None:
    expected: Counter[bytes] = Counter()
    async with connected(account) as connection, connected(account) as other:
        session = await other.start_sftp_client()
        for sent in (b"".join(upload("Whole_20261123_0900.csv")), *variants()[part::3]):
            codes = await play(connection, sent)
            if held := content(sent, codes):
                expected[held] += 1
        await still_serves(account, session)
        assert account.post.serve.process.poll() is None
        box = account.post.box
        await asyncio.to_thread(box.run, "sweep")
    found = await asyncio.to_thread(kept, account)
    assert found == expected
    assert found[FIRST + SECOND]


async def broken_write(raw: RawSftp, handle: bytes) -> None:
    """Let the second half come in a packet that cannot be read."""
    await raw.ask(FXP_WRITE, String(handle), UInt64(len(FIRST)), UInt32(99) + SECOND)


async def write_to_nowhere(raw: RawSftp, handle: bytes) -> None:
    """Let the second half come for a handle that was never given out."""
    await raw.ask(FXP_WRITE, String(b"nowhere"), UInt64(len(FIRST)), String(SECOND))


async def hole(raw: RawSftp, handle: bytes) -> None:
    await raw.write(handle, len(FIRST) + 1, SECOND)


@pytest.mark.parametrize("break_it", [broken_write, write_to_nowhere, hole])
async def test_a_file_with_a_write_that_was_lost_is_refused(account: Account, break_it: object) -> None:
    assert callable(break_it)
    async with connected(account) as connection:
        raw = await RawSftp.open(connection)
        handle = await raw.create("VIP_20261123_0900.csv")
        assert (await raw.write(handle, 0, FIRST))[0] == FX_OK
        await break_it(raw, handle)
        assert (await raw.close(handle))[0] != FX_OK
    assert account.states() == []


async def test_writes_out_of_order_and_over_each_other_make_the_file_that_they_describe(account: Account) -> None:
    async with connected(account) as connection:
        raw = await RawSftp.open(connection)
        handle = await raw.create("VIP_20261123_0900.csv")
        data = FIRST + SECOND
        for start, end in ((20, len(data)), (0, 15), (10, 25), (5, 12)):
            assert (await raw.write(handle, start, data[start:end]))[0] == FX_OK
        assert (await raw.close(handle))[0] == FX_OK
    assert await asyncio.to_thread(account.state, "VIP_20261123_0900.csv") == "loaded"
    assert account.members("VIP") == [*range(1, 9), 10, 11, 12]


async def test_handles_without_end_are_refused_to_the_session_that_asks_for_them(account: Account) -> None:
    async with connected(account) as connection, connected(account) as other:
        session = await other.start_sftp_client()
        raw = await RawSftp.open(connection)
        flags = UInt32(FXF_WRITE | FXF_CREAT | FXF_TRUNC)
        answers = [await raw.ask(FXP_OPEN, String(f"{one}.csv"), flags, NO_ATTRS) for one in range(ENDLESS)]
        refused = [answer for answer in answers if answer.kind == FXP_STATUS]
        assert 0 < len(refused) < ENDLESS
        assert "handles" in refused[-1].status()[1]
        await still_serves(account, session)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\xff\xff\xff\xff" + b"x" * 100, id="four GiB are announced"),
        pytest.param(b"\0\0\0\0", id="nothing is announced"),
        pytest.param(UInt32(1) + b"\x06", id="a type alone"),
        pytest.param(b"".join(String(Byte(kind) + UInt32(kind)) for kind in range(3, 256)), id="all types, no fields"),
        pytest.param(b"SSH-2.0-what\r\n" * 100, id="text"),
    ],
)
async def test_what_is_no_request_ends_at_most_its_own_channel(account: Account, sent: bytes) -> None:
    async with connected(account) as connection, connected(account) as other:
        session = await other.start_sftp_client()
        await play(connection, sent)
        await still_serves(account, session)
    assert account.post.serve.process.poll() is None
