"""Lists in folders, files with temporary names, and the companions of lists: loaded, refused or ignored."""

import pytest
import sqlalchemy as sa

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.ingest.replay import replay
from ctsftp.ingest.settings import IngestSettings
from ctsftp.spool.paths import read_path
from ctsftp.spool.stored import StoredUpload
from ctsftp.store import Upload
from ctsftp.store.tables import uploads

from .bench import Bench, rows

NAME = "VIP_20260310_0900.csv"
NEXT = "VIP_20260310_0901.csv"
LAST = "VIP_20260310_0902.csv"


async def load(bench: Bench, path: str, content: str = "CTUserID\n1\n") -> Upload:
    upload = bench.put(path, content)
    await bench.loader.load(upload)
    return await bench.row(upload)


async def forget_folders(bench: Bench) -> None:
    """Make the ledger as one of a version that noted no folders."""
    await bench.store.ledger._database.write(lambda conn: conn.execute(sa.update(uploads).values(directory=None)))


async def members(bench: Bench) -> int:
    return (await bench.store.segments.segment("acme", "vip")).members


async def test_a_list_in_a_folder_is_refused_and_leaves_the_segment_as_it_was(bench: Bench) -> None:
    await load(bench, NAME, rows([1, 2, 3, 4, 5]))
    row = await load(bench, f"/test/{NEXT}")
    assert (row.state, row.code, row.directory) == (State.REJECTED, Code.DIRECTORY, "/test")
    assert "set Directory: /." in (row.reason or "")
    assert (row.segment_title, row.stamp) == ("VIP", "20260310_0901")
    assert await members(bench) == 5


async def test_the_folder_is_in_the_uploads_record(bench: Bench) -> None:
    bench.naming = ClientConfig(directories=("/in/lists",))
    row = await load(bench, f"/in/lists/{NAME}")
    assert (row.state, row.warnings, row.as_json()["directory"]) == (State.LOADED, [], "/in/lists")
    assert (await load(bench, NEXT)).as_json()["directory"] == "/"


async def test_a_folder_from_which_the_segment_had_a_list_before_is_taken_with_a_warning(bench: Bench) -> None:
    bench.naming = ClientConfig(directories=("/in",))
    await load(bench, f"/in/{NAME}")
    bench.naming = ClientConfig()
    row = await load(bench, f"/in/{NEXT}")
    assert (row.state, [one["code"] for one in row.warnings]) == (State.LOADED, ["directory"])
    assert "set Directory: /." in row.warnings[0]["text"]
    assert (await load(bench, "/in/Gold_20260310_0900.csv")).code == Code.DIRECTORY, "another segment's"
    bench.naming = ClientConfig(directories=())
    assert (await load(bench, f"/in/{LAST}")).code == Code.DIRECTORY, "client.toml names the folders now: none"


async def test_an_upgrade_breaks_no_sender_and_a_trial_list_is_refused_once_the_folder_is_known(bench: Bench) -> None:
    await load(bench, NAME)
    await forget_folders(bench)
    for folder, name in (("2026-03", NEXT), ("2026-04", LAST)):
        row = await load(bench, f"/{folder}/{name}")
        assert (row.state, row.warnings[0]["code"]) == (State.LOADED, "directory")
    await load(bench, "VIP_20260310_0903.csv")
    assert (await load(bench, "/test/VIP_20260310_0904.csv")).code == Code.DIRECTORY
    assert (await load(bench, "/2026-04/VIP_20260310_0905.csv")).state == State.LOADED


async def test_a_list_whose_folder_is_named_later_is_loaded_when_it_is_tried_again(bench: Bench) -> None:
    upload = bench.put(f"/in/{NAME}", rows([1]))
    await bench.loader.load(upload)
    bench.naming = ClientConfig(directories=("/in",))
    await bench.store.ledger.retry(upload.id)
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state == State.LOADED


async def test_a_list_that_an_admin_approves_is_applied_wherever_it_stands(bench: Bench) -> None:
    bench.naming = ClientConfig(directories=("/in",))
    await load(bench, NAME)
    upload = bench.put(f"/in/{NEXT}", rows([]))
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state == State.HELD
    bench.naming = ClientConfig(directories=())
    await bench.store.ledger.approve(upload.id)
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state == State.LOADED


async def test_settings_that_cannot_be_read_make_a_list_wait_in_whatever_folder(bench: Bench) -> None:
    upload = bench.put(f"/in/{NAME}", rows([1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.loader, "_name_of", _unreadable)
        await bench.loader.load(upload)
    assert ((await bench.row(upload)).state, (await bench.row(upload)).code) == (State.FAILED, Code.DISK)
    bench.naming = ClientConfig(directories=("/in",))
    await bench.loader.load(upload)
    assert (await bench.row(upload)).state == State.LOADED


def _unreadable(upload: StoredUpload) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("path", [f"tmp.{NAME}", f"InProgress-{NAME}", f"~{NAME}", f"/tmp/{NAME}", f"/in/.TEMP/{NAME}"])
async def test_a_temporary_file_is_kept_and_ignored_until_it_is_renamed(bench: Bench, path: str) -> None:
    row = await load(bench, path)
    assert (row.state, row.segment_title) == (State.IGNORED, None)
    renamed = bench.spool.publish_again("acme", read_path(path.encode()), read_path(NAME.encode()))
    await bench.loader.load(renamed)
    row = await bench.row(renamed)
    assert (row.state, row.directory) == (State.LOADED, "/")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("VIP_20260310_0900.txt", ""),
        ("VIP_20260310_0900", ""),
        ("VIP_20260310_0900.txt", "30\n"),
        ("VIP_20260310_0900_count.csv", "rows: 30\n"),
    ],
)
async def test_a_companion_that_is_empty_or_holds_one_number_is_ignored(bench: Bench, name: str, content: str) -> None:
    assert (await load(bench, name, content)).state == State.IGNORED


async def test_beside_its_list_a_companion_may_hold_anything_small(bench: Bench) -> None:
    text = "30 rows of 31, 2026-03-10\n"
    assert (await load(bench, "VIP_20260310_0900.txt", text)).code == Code.NAME
    await load(bench, NAME)
    for name in ("VIP_20260310_0900.txt", "VIP_20260310_0900", "VIP_20260310_0900_count.csv"):
        assert (await load(bench, name, text)).state == State.IGNORED
    assert (await load(bench, "VIP_20260310_0900.txt", text + " " * 4096)).code == Code.NAME
    assert (await load(bench, "VIP_20260310_0905.txt", text)).code == Code.NAME, "of another list"
    assert (await load(bench, "VIP_20260310_0900.txt", text)).state == State.IGNORED


async def test_a_list_of_more_than_an_hour_ago_has_no_companion(bench: Bench) -> None:
    await load(bench, NAME)
    bench.clock.advance(minutes=59)
    assert (await load(bench, "VIP_20260310_0900.txt", "1, 2\n")).state == State.IGNORED
    bench.clock.advance(minutes=2)
    assert (await load(bench, "VIP_20260310_0900.txt", "1, 2\n")).code == Code.NAME


async def test_a_windows_path_is_refused_as_one(bench: Bench) -> None:
    row = await load(bench, f"\\upload\\{NAME}")
    assert (row.state, row.code) == (State.REJECTED, Code.NAME)
    assert "is a Windows path" in (row.reason or "")


async def test_kept_files_are_judged_again_by_the_same_rule(bench: Bench) -> None:
    bench.naming = ClientConfig(directories=("/in",))
    for path in (NAME, f"/in/{NEXT}", f"/in/{LAST}", "VIP_20260310_0902.txt"):
        await load(bench, path, "" if path.endswith("txt") else rows([1]))

    async def different(config: ClientConfig) -> list[str]:
        found = await replay(bench.store, bench.spool, config_of=lambda _: config, settings=IngestSettings())
        return [one["filename"] for one in found.different]

    assert await different(bench.naming) == []
    assert await different(ClientConfig(directories=())) == [NEXT, LAST]
    assert await different(ClientConfig()) == [NEXT], "whose list is the first from there"
