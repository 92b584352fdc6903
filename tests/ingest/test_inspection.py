"""What was read of a short list while its sender waited is not read again by its load."""

import pytest

from ctsftp.clients.config import ClientConfig
from ctsftp.ingest import inspection, loader
from ctsftp.ingest.inspection import Inspected, Inspections
from ctsftp.ingest.reading import Reading

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"
DATABASE_KINDS = ("sqlite",)


@pytest.fixture
def read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names the files that loads read."""
    names: list[str] = []
    real = loader.read_in_thread

    async def read(path: object, **settings: object) -> Reading:
        names.append(getattr(path, "name", ""))
        return await real(path, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "read_in_thread", read)
    return names


async def test_a_list_that_was_read_at_its_close_is_read_once(bench: Bench, read_again: list[str]) -> None:
    upload = bench.put(NAME, rows([1, 2, 2]))
    assert bench.inspect(upload) is None
    assert await bench.loader.is_to_load(upload)
    await bench.loader.load(upload)
    row = await bench.row(upload)
    assert (row.state, row.members, row.duplicates, read_again) == ("loaded", 2, 1, [])
    assert bench.inspections.find(upload.id) is None


async def test_a_list_whose_settings_have_changed_since_its_close_is_read_anew(
    bench: Bench, read_again: list[str]
) -> None:
    upload = bench.put(NAME, "CTUserID,other\n1,7\n")
    assert bench.inspect(upload) is None
    bench.set_config(id_columns=("other",), max_rows=10)
    await bench.loader.load(upload)
    assert read_again == [NAME]


async def test_a_list_that_was_to_load_is_judged_again_when_it_is_published(bench: Bench) -> None:
    upload = bench.put(NAME, rows([1]))
    bench.inspect(upload)
    assert await bench.loader.is_to_load(upload)
    newer = bench.put("VIP_20260310_1000.csv", rows([2]))
    await bench.loader.load(newer)
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state == "superseded"


async def test_a_list_that_nobody_read_at_its_close_is_not_foretold(bench: Bench) -> None:
    assert not await bench.loader.is_to_load(bench.put(NAME, rows([1])))


async def test_of_many_lists_that_wait_the_oldest_are_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = bench.put(NAME, rows([1]))
    bench.inspect(upload)
    read = bench.inspections.find(upload.id)
    assert read is not None
    monkeypatch.setattr(inspection, "KEPT_BYTES", 2 * read.reading.size)
    kept = Inspections()
    for upload_id in ("a", "b", "c"):
        kept.keep(upload_id, Inspected(None, ClientConfig(), read.reading))
    assert [kept.take(one) is None for one in ("a", "b", "c", "c")] == [True, False, False, True]
