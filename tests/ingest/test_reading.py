"""Reading a file: every row accounted for, memory for every id and little more, and an end when it must."""

import asyncio
import hashlib
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code
from ctsftp.contract.reader import CsvReader
from ctsftp.contract.titles import ID_TITLES
from ctsftp.contract.verdict import Signs
from ctsftp.ingest.reading import BLOCK_BYTES, IDS_AT_ONCE, Reading, id_titles, read_file, read_in_thread
from ctsftp.lists import parts

from .bench import rows


def read(path: Path, content: bytes | str, *, max_rows: int = 10**9) -> Reading:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_file(path, id_titles=ID_TITLES, max_rows=max_rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "VIP_20260310_0900.csv"


def test_every_row_is_a_member_a_duplicate_or_rejected(path: Path) -> None:
    ids = [5, 3, *range(10, 30), 5, 5, "x", "", 9223372036854775807, 0]
    content = "CTUserID,CITY\n\n" + "".join(f"{one},Basel\n" for one in ids)
    found = read(path, content)
    assert found.fault is None
    assert found.ids.tolist() == [3, 5, *range(10, 30), 9223372036854775807]
    assert (found.rows, found.members, found.duplicates, found.rejected) == (28, 23, 2, 3)
    assert found.rows == found.members + found.duplicates + found.rejected
    assert [row.value for row in found.rejected_rows] == ["x", "", "0"]
    assert found.sha256 == hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("ids", [4, 5])
def test_ids_that_lie_in_too_many_places_are_no_members(path: Path, monkeypatch: pytest.MonkeyPatch, ids: int) -> None:
    monkeypatch.setattr(parts, "MAX_LIST_CONTAINERS", 4)
    found = read(path, rows([one << 16 for one in range(1, ids + 1)]))
    if ids == 4:
        assert found.fault is None
    else:
        assert found.fault is not None
        assert found.fault.code is Code.SCATTERED
        assert found.fault.reason.startswith("Its 5 ids are scattered from 65536 to 327680: they are not CTUserIDs.")
        assert "Select Object: " in found.fault.reason


def test_one_id_repeated_a_hundred_thousand_times_is_one_member(path: Path) -> None:
    found = read(path, rows([42] * 100_000))
    assert (found.ids.tolist(), found.duplicates) == ([42], 99_999)


def test_repeated_ids_are_found_wherever_they_stand(path: Path) -> None:
    """Also where the ids are compared in several pieces."""
    once = np.arange(1, 2 * IDS_AT_ONCE + 10)
    repeated = once[[0, IDS_AT_ONCE - 2, IDS_AT_ONCE - 1, IDS_AT_ONCE, -1]]
    ids = np.concatenate([once, repeated, repeated])
    np.random.default_rng(20261123).shuffle(ids)
    found = read(path, rows(ids.tolist()))
    assert np.array_equal(found.ids, once)
    assert found.duplicates == 10


def test_the_last_line_may_lack_its_line_break(path: Path) -> None:
    found = read(path, rows([1, 2]).rstrip())
    assert found.ids.tolist() == [1, 2]
    assert [notice.code for notice in found.notices] == [Code.NO_LAST_NEWLINE]


def test_the_digest_is_of_the_whole_file_even_if_its_head_refuses_it(path: Path) -> None:
    content = b"EMAIL\n" + b"x" * (2 * BLOCK_BYTES)
    found = read(path, content)
    assert found.fault
    assert found.fault.code is Code.NO_ID_COLUMN
    assert (found.members, found.sha256) == (0, hashlib.sha256(content).hexdigest())


def test_a_file_that_is_refused_in_its_middle_has_its_rows_accounted_for(path: Path) -> None:
    found = read(path, rows([7, 7, "x", *range(100)]), max_rows=50)
    assert found.fault
    assert found.fault.code is Code.TOO_LARGE
    assert found.rows == 50 == found.members + found.duplicates + found.rejected


@pytest.mark.parametrize(
    "content",
    [
        "CTUserID\n" + "1\n" * 50_000,
        "CTUserID\n" + "1\n" * 50_000 + "1",
        "\N{BYTE ORDER MARK}CTUserID\n" + "1\n" * 50_000,
        '"CTUserID"\n' + "1\n" * 50_000,
        "CTUserID,B,C\n" + "1,,\n" * 40_000 + "1,,",
        "CTUserID,B\n" + "1,\n" * 40_000 + "1,,,,,\n" * 1000,
        "CTUserID\n" + "\n1\n" * 40_000,
    ],
    ids=["densest", "no last line break", "marked", "enclosed title", "columns", "longer rows", "blank lines"],
)
def test_the_ids_of_the_densest_files_fit_into_what_is_set_aside_for_them(path: Path, content: str) -> None:
    path.write_bytes(content.encode())
    reader = CsvReader()
    ids = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES // 64):
            ids += len(reader.feed(block))
            assert ids <= reader.max_ids(path.stat().st_size)
    ids += len(reader.finish())
    assert 40_000 <= ids <= reader.max_ids(path.stat().st_size)


def test_a_file_that_holds_more_ids_than_its_size_said_is_read_as_well(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is still being written while an admin has it checked."""
    monkeypatch.setattr(CsvReader, "max_ids", lambda *_: 10)
    assert read(path, rows(range(1, 100_001))).ids.tolist() == list(range(1, 100_001))


def test_a_pipe_which_has_no_size_is_read_as_well(path: Path) -> None:
    content = rows(range(1, 20_001)).encode()
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    found = read_file(path, id_titles=ID_TITLES, max_rows=10**9)
    writer.join()
    assert np.array_equal(found.ids, np.arange(1, 20_001))


def test_a_file_is_never_held_in_memory_as_a_whole(path: Path) -> None:
    count, ignored = 10_000, "x" * 2_000
    path.write_text("CTUserID,NOTE\n" + "".join(f"{10**9 + one},{ignored}\n" for one in range(count)))
    tracemalloc.start()
    found = read_file(path, id_titles=ID_TITLES, max_rows=count)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.members == count
    assert peak_bytes < path.stat().st_size / 3


def test_reading_stops_at_the_next_block_when_it_is_told_to(path: Path) -> None:
    path.write_bytes(rows(range(10**6, 10**6 + 200_000)).encode())
    asked = []

    def go_on() -> bool:
        asked.append(True)
        return len(asked) < 2

    with pytest.raises(InterruptedError, match="was stopped"):
        read_file(path, id_titles=ID_TITLES, max_rows=10**9, go_on=go_on)
    assert len(asked) == 2


async def test_a_reading_that_is_cancelled_lets_go_of_its_file(path: Path) -> None:
    os.mkfifo(path)
    reading = asyncio.create_task(read_in_thread(path, id_titles=ID_TITLES, max_rows=10**9))
    pipe = await asyncio.to_thread(os.open, path, os.O_WRONLY)  # returns when the reader is there
    os.write(pipe, b"CTUserID\n")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    def write_on() -> None:
        while True:
            os.write(pipe, b"1\n")

    with pytest.raises(BrokenPipeError):
        await asyncio.to_thread(write_on)
    os.close(pipe)


def test_a_disk_that_fails_is_told_as_it_is(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(path, id_titles=ID_TITLES, max_rows=1)


def test_a_client_may_have_other_titles_for_its_id_column_than_id() -> None:
    assert id_titles(ClientConfig()) == ("CTUserID", "id")
    assert id_titles(ClientConfig(id_columns=("Member", "id"))) == ("CTUserID", "Member", "id")
    assert id_titles(ClientConfig(id_columns=())) == ("CTUserID",)


def test_what_only_the_segment_s_history_can_judge_is_told(path: Path) -> None:
    found = read(path, rows(range(1001, 1031)) + "30")
    assert found.signs.id_title == "CTUserID"
    assert found.signs.last_row == "30"
    assert "30, is the number of rows" in found.signs.footer
    assert read(path, "ID,x\n" + "1,y\n").signs.id_title == "id"
    assert read(path, "x\n1\n").signs == Signs(id_title="")


def test_a_footer_is_no_member_and_its_row_is_accounted_for(path: Path) -> None:
    found = read(path, rows(range(1001, 1031)) + "\n30\n")
    assert found.ids.tolist() == list(range(1001, 1031))
    assert (found.rows, found.rejected) == (31, 1)
    assert found.rows == found.members + found.duplicates + found.rejected
