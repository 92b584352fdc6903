"""The watch: what nothing else tells of, once until it is over; and what was cut off."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import asyncssh
import pytest
import sqlalchemy as sa
from structlog.typing import EventDict

from ctsftp.app.watch import CUT_OFFS_EVERY_S, CUT_OFFS_TOLD, MAX_NOTED, Watch
from ctsftp.clients.folder import Clients
from ctsftp.clients.keys import read_public_key
from ctsftp.contract.events import EventKind
from ctsftp.contract.ids import next_tick
from ctsftp.contract.ids import upload_id as id_of
from ctsftp.contract.states import State
from ctsftp.errors import StoreError
from ctsftp.model.records import Hook, NewUpload
from ctsftp.notify.settings import NotifySettings
from ctsftp.settings import Settings
from ctsftp.sftp.landing import CutOff
from ctsftp.spool.paths import HomePath
from ctsftp.spool.room import Floor, Room
from ctsftp.store import Store

from .bench import PATIENCE_S

GIB = 1 << 30
LIST = "VIP_20260310_0900.csv"
SECRET = "whsec_AAAA"  # noqa: S105  a test's


def room(spare_bytes: int) -> Room:
    found = os.statvfs_result((1, 1, 1 << 50, spare_bytes, spare_bytes, 0, 0, 0, 0, 255))
    return Room.of(found, Floor(percent=0, bytes=0, files=0))


class Scene:
    """A watch whose clock, disk and clients are the test's."""

    def __init__(self, settings: Settings, store: Store, hook: Hook) -> None:
        self.now = datetime(2026, 3, 10, 12, tzinfo=UTC)
        self.free = 5 * GIB
        self.store = store
        self.clients = Clients(settings.keys_dir)
        self._hook = hook
        self._settings = settings.notify
        self.watch = self.new_watch()

    def new_watch(self, **settings: float) -> Watch:
        return Watch(
            NotifySettings(**{**self._settings.model_dump(), **settings}),
            store=self.store,
            clients=self.clients,
            room=lambda: room(self.free),
            now=lambda: self.now,
        )

    async def look(self, **later: float) -> None:
        self.now += timedelta(**later)
        await self.watch.look()

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        due = await self.store.outbox.due(self._hook.id, self.now, limit=100)
        return [(one.event.kind.value, one.event.data) for one in due]

    async def kinds(self) -> list[str]:
        return [kind for kind, _ in await self.told()]

    def add_key(self, client: str, days: int | None) -> str:
        text = asyncssh.generate_private_key("ssh-ed25519", comment=f"{client}'s").export_public_key()
        key = read_public_key(text)
        expires = None if days is None else self.now + timedelta(days=days)
        if client not in self.clients.names():
            self.clients.add(client)
        self.clients.add_key(client, key, expires=expires)
        return key.fingerprint


@pytest.fixture
async def scene(settings: Settings) -> AsyncIterator[Scene]:
    start = datetime(2026, 3, 10, 12, tzinfo=UTC)
    store = await Store.open(settings.database, clock=lambda: made.now if made else start, migrate=True)
    made: Scene | None = None
    hook = await store.outbox.add_hook("https://x", shown="x", client=None, kinds=(), secret=SECRET)
    made = Scene(settings, store, hook)
    yield made
    await store.close()


async def ignore(scene: Scene, name: str, directory: str = "/", *, segment: str | None = None) -> str:
    """Enter an upload that came now; with a segment it is a list."""
    upload_id = id_of(next_tick(0, int(scene.now.timestamp()) * 10**9), 0)
    new = NewUpload(
        id=upload_id,
        client="acme",
        filename=name,
        segment_title=segment,
        segment_key=segment,
        stamp=segment and "20260310_0900",
        size=1,
        received_at=scene.now,
        directory=directory,
    )
    await scene.store.ledger.receive(new)
    if segment is None:
        await scene.store.ledger.finish(upload_id, State.IGNORED)
    return upload_id


@pytest.mark.parametrize(
    ("name", "directory"),
    [(f"tmp.{LIST}", "/"), (LIST, "/tmp"), (f"{LIST}.filepart", "/"), (f"new-{LIST}", "/"), (LIST, "/staging")],
)
async def test_a_list_that_keeps_its_temporary_name_is_told_once(scene: Scene, name: str, directory: str) -> None:
    scene.clients.add("acme")
    (scene.clients.folder / "acme" / "client.toml").write_text('temporary_names = ["new-", "staging"]\n')
    upload_id = await ignore(scene, name, directory)
    await scene.look(minutes=59)
    assert await scene.kinds() == []
    for minutes in (2, 30, 600):
        await scene.look(minutes=minutes)
        [(kind, data)] = await scene.told()
        assert (kind, data["id"], data["filename"], data["directory"]) == (
            "upload.not_renamed",
            upload_id,
            name,
            directory,
        )


async def test_one_that_was_renamed_or_is_no_list_is_not_told(scene: Scene) -> None:
    await ignore(scene, f"tmp.{LIST}")
    await scene.look(minutes=5)
    await ignore(scene, "tmp.notes.txt")
    await scene.look(minutes=5)
    await ignore(scene, "VIP_20260310_0900.ready")
    await scene.look(minutes=5)
    await ignore(scene, LIST, segment="vip")
    await scene.look(hours=3)
    assert await scene.kinds() == []


async def test_a_key_that_is_about_to_expire_is_told_once(scene: Scene) -> None:
    scene.watch = scene.new_watch(keep_events_days=90, key_expiry_warning_days=14)
    scene.add_key("acme", None)
    scene.add_key("zeta", 60)
    fingerprint = scene.add_key("acme", 20)
    await scene.look()
    assert await scene.told() == []
    for _ in range(4):
        await scene.look(days=5)
    [(kind, data)] = await scene.told()
    assert kind == "key.expiring"
    assert data == {"fingerprint": fingerprint, "comment": "acme's", "expires_at": "2026-03-30T12:00:00.000Z"}
    await scene.look(days=27)
    assert [data["expires_at"] for _, data in await scene.told()] == [
        "2026-03-30T12:00:00.000Z",
        "2026-05-09T12:00:00.000Z",
    ]


async def test_a_look_that_fails_in_an_unknown_way_ends_neither_the_others_nor_the_server(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, events: list[EventDict]
) -> None:
    def fails(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(scene.watch, "_expiring", fails)
    looked: list[object] = []
    monkeypatch.setattr(scene.store.outbox, "prune", AsyncMock(side_effect=looked.append))
    await scene.look()
    assert len(looked) == 1
    [event] = [event for event in events if event["event"] == "the watch could not look"]
    assert (event["at"], event["log_level"]) == ("_look_at_keys", "error")


async def test_a_key_that_got_a_new_time_is_told_again_and_a_disabled_client_is_not(scene: Scene) -> None:
    fingerprint = scene.add_key("acme", 5)
    scene.add_key("zeta", 5)
    scene.clients.disable("zeta")
    await scene.look()
    scene.clients.revoke("acme", fingerprint)
    scene.add_key("acme", 9)
    await scene.look()
    assert await scene.kinds() == ["key.expiring", "key.expiring"]


async def test_a_disk_that_fills_up_is_told_once_until_there_is_clearly_more_room(scene: Scene) -> None:
    for free in (5 * GIB, GIB - 1, GIB // 2, GIB + 1, GIB - 1, 2 * GIB, GIB - 2):
        scene.free = free
        await scene.look(minutes=5)
    assert [data["spare_bytes"] for _, data in await scene.told()] == [GIB - 1, GIB - 2]


async def test_of_several_nodes_each_tells_of_its_own_disk_once(scene: Scene) -> None:
    for _ in range(3):
        for node, free in (("one", 7), ("two", 5 * GIB), ("three", 8)):
            scene.store.node, scene.free = node, free
            scene.watch = scene.new_watch()
            await scene.look()
    assert [data["spare_bytes"] for _, data in await scene.told()] == [7, 8]


async def test_after_a_restart_nothing_is_told_again(scene: Scene) -> None:
    scene.add_key("acme", 5)
    scene.free = 7
    await scene.look()
    scene.watch = scene.new_watch()
    await scene.look()
    assert await scene.kinds() == ["key.expiring", "disk.low"]


async def test_what_cannot_be_looked_at_is_logged_and_the_rest_is_looked_at(
    scene: Scene, events: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> list[str]:
        raise OSError("the keys are away")

    scene.free = 7
    monkeypatch.setattr(scene.clients, "names", unreadable)
    await scene.look()
    assert await scene.kinds() == ["disk.low"]
    [warning] = [event for event in events if event["log_level"] == "warning"]
    assert (warning["at"], warning["error"]) == ("_look_at_keys", "the keys are away")


async def test_events_are_pruned_after_their_days(scene: Scene) -> None:
    scene.free = 7
    await scene.look()
    await scene.look(days=30)
    assert await scene.kinds() == ["disk.low"]
    await scene.look(days=1)
    assert await scene.kinds() == []


def cut_off(name: str, kept_bytes: int = 7) -> CutOff:
    return CutOff("acme", HomePath(("in", name)), kept_bytes)


async def test_an_upload_that_was_cut_off_is_told_with_its_segment(scene: Scene) -> None:
    scene.watch.note_cut_off(cut_off("VIP_20260310_0900.csv"))
    scene.watch.note_cut_off(cut_off("notes.txt"))
    await scene.watch.flush()
    [first, second] = [one.event for one in await scene.store.outbox.due(1, scene.now, limit=9)]
    assert (first.kind, first.client, first.segment) == (EventKind.UPLOAD_CUT_OFF, "acme", "VIP")
    assert first.data == {
        "path": "/in/VIP_20260310_0900.csv",
        "filename": "VIP_20260310_0900.csv",
        "kept_bytes": 7,
    }
    assert (second.segment, second.data["filename"]) == (None, "notes.txt")


async def test_a_client_that_breaks_off_again_and_again_fills_nothing(scene: Scene) -> None:
    for number in range(MAX_NOTED):
        scene.watch.note_cut_off(cut_off("VIP_20260310_0900.csv", number))
    await scene.watch.flush()
    assert [data["kept_bytes"] for _, data in await scene.told()] == [MAX_NOTED - 1]


async def test_of_a_client_s_cut_off_uploads_in_a_minute_the_first_are_told_one_by_one_and_the_others_as_one(
    scene: Scene,
) -> None:
    for number in range(1000):
        scene.watch.note_cut_off(cut_off(f"{number}.txt"))
        if number % 100 == 0:
            await scene.watch.flush()
    other = CutOff("zeta", HomePath(("z.txt",)), 1)
    scene.watch.note_cut_off(other)
    await scene.watch.flush()
    names = [data["filename"] for _, data in await scene.told()]
    assert len(names) == CUT_OFFS_TOLD + 1
    assert names[-1] == "z.txt", "each client has its own"
    scene.now += timedelta(seconds=CUT_OFFS_EVERY_S)
    await scene.watch.flush()
    [last] = [data for _, data in await scene.told() if "others" in data]
    assert (last["filename"], last["others"]) == ("999.txt", 1000 - CUT_OFFS_TOLD - 1)
    scene.watch.note_cut_off(cut_off("next.txt"))
    await scene.watch.flush()
    assert [data["filename"] for _, data in await scene.told()][-1] == "next.txt"
    for number in range(CUT_OFFS_TOLD + 1):
        scene.watch.note_cut_off(cut_off(f"last {number}.txt"))
    await scene.watch.flush(last=True)
    assert len([data for _, data in await scene.told()]) == CUT_OFFS_TOLD + 3 + CUT_OFFS_TOLD


async def test_of_too_many_clients_at_once_only_some_are_remembered(scene: Scene) -> None:
    for number in range(MAX_NOTED + 5):
        scene.watch.note_cut_off(CutOff(f"client{number}", HomePath(("a.txt",)), 1))
    assert len(scene.watch._noted) == MAX_NOTED


async def test_what_cannot_be_written_down_is_logged_and_holds_up_nothing(
    scene: Scene, events: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object, **__: object) -> None:
        raise StoreError("locked")

    scene.watch.note_cut_off(cut_off("VIP_20260310_0900.csv"))
    with monkeypatch.context() as patched:
        patched.setattr(scene.store.outbox, "tell", locked)
        await scene.watch.flush()
    await scene.watch.flush()
    assert await scene.told() == []
    assert [event["event"] for event in events] == ["events not written down"]


async def test_the_watch_looks_at_its_start_and_writes_down_at_once_what_it_hears(scene: Scene) -> None:
    scene.free = 7
    task = asyncio.create_task(scene.watch.run())
    async with asyncio.timeout(PATIENCE_S):
        await scene.store.outbox.news.wait()
        scene.store.outbox.news.clear()
        scene.watch.note_cut_off(cut_off("VIP_20260310_0900.csv"))
        await scene.store.outbox.news.wait()
    assert await scene.kinds() == ["disk.low", "upload.cut_off"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_watch_looks_again_when_it_is_time(scene: Scene) -> None:
    watch = scene.new_watch(watch_interval_s=0.001)
    task = asyncio.create_task(watch.run())
    scene.free = 7
    async with asyncio.timeout(PATIENCE_S):
        await scene.store.outbox.news.wait()
        scene.free = 5 * GIB
        standing = sa.text("SELECT 1 FROM standing")
        while await scene.store.outbox._database.read(lambda conn: conn.execute(standing).all()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
