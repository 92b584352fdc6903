"""What asyncssh's connection is spared: the bytes that arrive are the same, and no packet is sent for nothing."""

from asyncssh.constants import MSG_IGNORE
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.sftp.asyncssh_seam.wire import Arrived

from ..room import GOLD, Room

LIST = b"CTUserID\n" + b"".join(b"%d\n" % number for number in range(1, 100_001))


@given(st.binary(), st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 40), st.integers(0, 40))))
def test_it_is_read_as_bytes_are(first: bytes, steps: list[tuple[bytes, int, int]]) -> None:
    plain, pieces = first, Arrived(first)
    for data, begin, size in steps:
        plain += data
        pieces += data
        assert (len(pieces), bool(pieces)) == (len(plain), bool(plain))
        start = min(begin, len(plain))
        stop = min(start + size, len(plain))
        if stop:
            assert (pieces[start:stop], pieces[:stop]) == (plain[start:stop], plain[:stop])
        plain = plain[start:]
        left = pieces[start:]
        assert left is pieces
    if plain:
        assert pieces[: len(plain)] == plain


async def test_a_large_file_arrives_whole_and_its_answers_have_no_ignored_packets_between_them(room: Room) -> None:
    connection = await room.connect()
    received: list[int] = []
    log = connection.log_received_packet

    def note(pkttype: int, *rest: object) -> None:
        received.append(pkttype)
        log(pkttype, *rest)

    connection.log_received_packet = note
    sftp = await connection.start_sftp_client()
    async with sftp.open(GOLD, "wb") as file:
        await file.write(LIST)
    assert (await room.landed.one()).path.read_bytes() == LIST
    assert MSG_IGNORE not in received
    [served] = room.server.connections
    assert isinstance(served.ssh._inpbuf, Arrived)
