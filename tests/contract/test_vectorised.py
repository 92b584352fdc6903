"""The vectorised reader finds in any block what the reference finds, and reads plain lines by itself."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctsftp.contract import vectorised
from ctsftp.contract.records import read_rows
from ctsftp.contract.rows import Layout, Rows
from ctsftp.contract.vectorised import read_rows_at_once

from .blocks import Reader

LAYOUTS = [
    Layout(columns=columns, id_column=id_column, enclosed=enclosed, titles=("ctuserid",) * columns)
    for columns in (1, 2, 3, 5)
    for id_column in range(columns)
    for enclosed in (False, True)
]
IDS = st.one_of(
    st.integers(0, 2**64).map(lambda value: b"%d" % value),
    st.text("0123456789", max_size=20).map(str.encode),
)
SPOILED_IDS = st.sampled_from(
    [b"", b" 42", b"42\t", b'"42"', b"-5", b"+5", b"1.0", b"1E5", b"NULL", b"1_0", b"\xd9\xa3", b"\xb2", b"/", b":"]
)
QUOTED = st.sampled_from(
    [
        *(b'"x"', b'"', b'""', b'"open', b'close"', b'5" x', b'"Jim" x', b'a "b" c', b'"a ""b"""', b'"42"', b'"42'),
        *(b' "x"', b'"x" ', b'x "y"', b'"x\r', b'"a', b'b"', b'"""', b"\x0b", b"CTUserID"),
        *(
            b'"a, b"',
            b'"a"",""b"',
            b'"a",',
            b"x\x1a7",
            b"x\xef\xbb\xbf7",
            b"x\xe2\x80\xa87",
            b'"x\xc2\x857"',
            b"\xe2\x80\x99",
        ),
    ]
)
CELLS = st.one_of(IDS, SPOILED_IDS, QUOTED, st.binary(max_size=6).map(lambda cell: cell.replace(b"\n", b"")))
LINE_ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r\r\n"])
NOT_QUITE_LINES = st.lists(CELLS, max_size=7).map(b",".join)


@st.composite
def blocks(draw: st.DrawFn, layout: Layout) -> bytes:
    """Draw the lines of an export, most of them right; then spoil a few bytes anywhere."""
    right = st.builds(
        lambda cells, value: b",".join([*cells[: layout.id_column], value, *cells[layout.id_column :]]),
        st.lists(CELLS, min_size=layout.columns - 1, max_size=layout.columns - 1),
        IDS,
    )
    lines = draw(st.lists(st.tuples(st.one_of(right, right, NOT_QUITE_LINES), LINE_ENDS), max_size=12))
    block = bytearray(b"".join(line + end for line, end in lines))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(b'\n\r,"0 9x\xff')), max_size=4)):
        if at < len(block) - 1:
            block[at] = byte
    return bytes(block)


def shown(layout: Layout, block: bytes, read: Reader, **limits: Any) -> dict[str, Any]:
    """Read a block, and tell all that was found."""
    final = limits.pop("final", True)
    found = Rows(line=7, **limits)
    ids, rest = read(layout, block, found, final=final)
    assert (ids.dtype, ids.ndim, ids.flags.c_contiguous, ids.flags.writeable) == (np.dtype("int64"), 1, True, True)
    assert found.rows == len(ids) + found.rejected
    return {"ids": ids.tolist(), "rest": rest, **asdict(found)}


@given(
    st.sampled_from(LAYOUTS).flatmap(lambda layout: st.tuples(st.just(layout), blocks(layout))),
    st.integers(0, 5),
)
@example((Layout(columns=1, id_column=0), b""), 1)
@example((Layout(columns=1, id_column=0), b"\n"), 1)
@example((Layout(columns=3, id_column=2), b"1\n"), 1)
@example((Layout(columns=3, id_column=2), b"1,2,3\n4\n5,6,7\n"), 1)
@example((Layout(columns=1, id_column=0), b"999999999999999999\n1000000000000000000\n0000000000000000001\n"), 1)
@example((Layout(columns=2, id_column=0), b",x\n0,x\n007,x\n"), 1)
def test_it_agrees_with_the_reference_on_every_block(drawn: tuple[Layout, bytes], keep: int) -> None:
    layout, block = drawn
    for limits in ({"keep": keep}, {"lost": True}, {"final": False}, {"max_rows": 1 + keep}):
        assert shown(layout, block, read_rows_at_once, **limits) == shown(layout, block, read_rows, **limits)


@given(st.data())
def test_it_agrees_on_blocks_that_are_long(data: st.DataObject) -> None:
    """The same with thousands of lines, of which some are spoiled: what is wrong at one place moves no other."""
    layout = data.draw(st.sampled_from(LAYOUTS))
    lines = [b",".join(b"%d" % (number * 7**column) for column in range(layout.columns)) for number in range(1, 2_000)]
    spoiled = st.tuples(st.integers(0, len(lines) - 1), NOT_QUITE_LINES)
    for at, line in data.draw(st.lists(spoiled, max_size=8)):
        lines[at] = line
    block = b"".join(line + b"\n" for line in lines)
    assert shown(layout, block, read_rows_at_once) == shown(layout, block, read_rows)


def test_lines_that_are_beyond_doubt_never_reach_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    read_record = vectorised.read_record

    def note(layout: Layout, lines: Sequence[bytes], at: int, *rest: Any, **more: Any) -> tuple[int, int]:
        judged.append(lines[at])
        return read_record(layout, lines, at, *rest, **more)

    monkeypatch.setattr(vectorised, "read_record", note)
    monkeypatch.delattr(vectorised, "read_rows")
    block = b'x,1\r\nx,999999999999999999\n\ny, 2\n,003\nx,y,4\nx\n\xff,5\n5" x,6\n"y",7\n"Jim" x,"8"\n"a, b",9\n'
    ids, rest = read_rows_at_once(Layout(columns=2, id_column=1), block, Rows())
    assert (ids.tolist(), rest) == ([1, 999999999999999999, 2, 3, 5, 6, 7, 8], b"")
    assert judged == [b"", b"y, 2", b"x,y,4", b"x", b'"a, b",9']


def test_enclosed_lines_are_read_at_once_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    monkeypatch.setattr(vectorised, "read_record", lambda *_, **__: judged.append(1) or (0, 0))
    block = b'"x","1"\n"a ""b""",2\nx,"3"\n"a, ""b"", c","4"\n"",5\n'
    ids, _ = read_rows_at_once(Layout(columns=2, id_column=1, enclosed=True), block, Rows())
    assert (ids.tolist(), judged) == ([1, 2, 3, 4, 5], [])


def test_a_block_longer_than_a_record_may_be_is_read_alike() -> None:
    layout = Layout(columns=2, id_column=0)
    block = b'1,"open\n' + b"2,x\n" * 300_000 + b'3,"x" y\n'
    assert shown(layout, block, read_rows_at_once) == shown(layout, block, read_rows)
