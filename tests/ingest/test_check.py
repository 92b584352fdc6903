"""What `check` says of a file before anybody sends it: the same as the loader would."""

from datetime import date
from pathlib import Path

import pytest

from ctsftp.clients.config import ClientConfig
from ctsftp.ingest.check import Preview, check, check_content
from ctsftp.ingest.inspection import SHORT_BYTES
from ctsftp.ingest.settings import IngestSettings

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"
NEXT = "VIP_20260310_0901.csv"


async def preview(path: Path, bench: Bench | None = None, *, client: str | None = "acme") -> Preview:
    return await check(
        path,
        client=client,
        config=ClientConfig(),
        settings=IngestSettings(),
        today=date(2026, 3, 10),
        store=bench.store if bench else None,
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (NEXT, rows(range(2, 120))),
        (NEXT, rows([1, 1, "x"])),
        (NEXT, rows([])),
        (NEXT, rows(range(1, 20))),
        (NEXT, "EMAIL\na@b.example\n"),
        (NEXT, "CTUserID\n1\n2"),
        (NAME, rows(range(1, 101))),
        ("VIP_20260309_0900.csv", rows([1])),
        ("VIP_20270101_0000.csv", rows(range(1, 101))),
        ("VIP.csv", rows([1])),
        ("Gold_20260310_0900.csv", rows([1])),
    ],
)
async def test_check_says_what_the_loader_then_does(bench: Bench, tmp_path: Path, name: str, content: str) -> None:
    await bench.load(NAME, rows(range(1, 101)))
    path = tmp_path / name
    path.write_text(content)
    said = (await preview(path, bench)).as_json()
    row = (await bench.load(name, content)).as_json()
    for field in said.keys() & row.keys():
        # Of a duplicate, the ledger keeps how it was; what is so now is told.
        expected = row[field] if (field, row["state"]) != ("reason", "duplicate") else said[field]
        assert said[field] == expected, field


async def test_a_file_of_another_kind_would_be_ignored(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "ready.ok"
    path.write_text("")
    said = await preview(path, bench)
    assert said.verdict.state == (await bench.load("ready.ok", "")).state == "ignored"
    assert said.verdict.reason


async def test_check_tells_who_would_come_and_who_would_go(bench: Bench, tmp_path: Path) -> None:
    await bench.load(NAME, rows(range(1, 101)))
    path = tmp_path / NEXT
    path.write_text(rows(range(11, 111)))
    said = await preview(path, bench)
    assert (said.entered, said.left) == (10, 10)
    segment = await bench.store.segments.segment("acme", "vip")
    assert segment.number == 1, "nothing was taken"


async def test_all_members_of_a_new_segment_would_come(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text(rows([1, 2]))
    said = await preview(path, bench)
    assert (said.entered, said.left) == (2, 0)


async def test_without_a_client_only_the_file_is_judged(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text(rows([1, 2]))
    said = (await preview(path, client=None)).as_json()
    assert (said["state"], said["members"], said["entered"], said["left"]) == ("loaded", 2, None, None)


async def test_the_answer_names_the_setting_and_the_rows(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text(rows(["x", 1]))
    said = (await preview(path)).as_json()
    assert (said["state"], said["code"]) == ("rejected", "too_many_rejected")
    assert said["setting"].startswith("Select Object")
    [row] = said["rejected_rows"]
    assert (row["line"], row["value"]) == (2, "x")


@pytest.mark.parametrize(
    ("content", "state"),
    [(rows([1]), "loaded"), ("CTUserID;A\n", "rejected"), (rows([*range(1001, 1031), 30]), "held")],
)
async def test_content_without_a_name_is_judged_by_itself(tmp_path: Path, content: str, state: str) -> None:
    path = tmp_path / "anything"
    path.write_text(content)
    said = (await check_content(path, config=ClientConfig(), settings=IngestSettings())).as_json()
    assert (said["filename"], said["segment"], said["state"]) == ("-", None, state)


async def test_a_name_that_is_no_utf8_has_json_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "\udcff_20260310_0900.csv"
    path.write_text(rows([1]))
    said = (await preview(path)).as_json()
    assert (said["filename"], said["code"]) == ("?_20260310_0900.csv", "name")


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        (NAME, rows([1]), False),
        (NAME, rows(["x"]), True),
        (NAME, rows(["x"] * (SHORT_BYTES // 2)), False),
        (NAME, "EMAIL\n", True),
        (NAME, "", True),
        (NAME, "CTUserID", False),
        (NAME, "CTUserID," + "x" * 70_000 + "\n", False),
        ("VIP.csv", rows([1]), True),
        ("ready.ok", "", False),
    ],
)
async def test_what_is_refused_at_close_is_what_the_loader_rejects(
    bench: Bench, name: str, content: str, *, refused: bool
) -> None:
    upload = bench.put(name, content)
    fault = bench.inspect(upload)
    assert (fault is not None) is refused
    if fault:
        await bench.loader.load(upload)
        row = await bench.row(upload)
        assert (row.state, row.code, row.reason) == ("rejected", fault.code, fault.reason)
    bench.set_config(refuse_at_close=False)
    assert bench.inspect(upload) is None
