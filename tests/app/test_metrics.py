"""The numbers: true after real uploads and logins, bounded in their labels, and all that deploy/ names are there."""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from structlog.typing import EventDict

from ctsftp.admin.administration import open_service
from ctsftp.app.service import Service
from ctsftp.clients.folder import Clients
from ctsftp.clients.keys import read_public_key
from ctsftp.contract.codes import PAGES
from ctsftp.contract.states import State
from ctsftp.errors import StoreError
from ctsftp.lists import Ids
from ctsftp.settings import MetricsSettings, Settings
from ctsftp.spool.disk import LocalDisk
from ctsftp.store.numbers import Numbers
from ctsftp.web.settings import HttpSettings

from .bench import NAME, NEXT, PATIENCE_S, put, rows

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
KEY = asyncssh.generate_private_key("ssh-ed25519")
STRANGER = asyncssh.generate_private_key("ssh-ed25519")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    Clients(settings.keys_dir).add("acme", [read_public_key(KEY.export_public_key())])
    async with open_service(settings.model_copy(update={"http": HttpSettings(port=0)})) as service:
        yield service


async def scrape(service: Service) -> Samples:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.web.port}", trust_env=False) as prometheus:
        text = (await prometheus.get("/metrics")).raise_for_status().text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def load(service: Service, name: str, content: str) -> None:
    upload = put(service.engine.spool, name, content)
    service.engine.landed(upload)
    await service.engine.queue.wait_for([upload.id])


def connect(service: Service, key: asyncssh.SSHKey) -> Any:
    options: dict[str, Any] = {"username": "acme", "known_hosts": None, "config": None, "agent_path": None}
    return asyncssh.connect("127.0.0.1", service.server.port, client_keys=[key], **options)


async def test_uploads_are_counted_by_state_and_code_and_their_rows_and_bytes(service: Service) -> None:
    content = rows([*range(1, 101), 1, "x"])
    await load(service, NAME, content)
    await load(service, NEXT, "CTUserID;a\n")
    found = await scrape(service)
    assert value(found, "ctsftp_uploads", state="loaded", code="") == 1
    assert value(found, "ctsftp_uploads", state="rejected", code="delimiter") == 1
    assert value(found, "ctsftp_verdicts_total", state="loaded", code="") == 1
    assert value(found, "ctsftp_verdicts_total", state="rejected", code="delimiter") == 1
    assert value(found, "ctsftp_verdicts_total", state="rejected", code="packed") == 0
    assert value(found, "ctsftp_received_uploads_total") == 2
    assert value(found, "ctsftp_received_bytes_total") == len(content) + len("CTUserID;a\n")
    counts = {kind: value(found, "ctsftp_rows_total", kind=kind) for kind in ("member", "duplicate", "rejected")}
    assert counts == {"member": 100, "duplicate": 1, "rejected": 1}
    assert value(found, "ctsftp_close_to_ready_seconds_count") == 1
    assert value(found, "ctsftp_load_seconds_count") == 2
    assert value(found, "ctsftp_queue_uploads") == 0
    assert value(found, "ctsftp_spool_bytes") >= len(content)
    assert value(found, "ctsftp_disk_free_bytes") <= value(found, "ctsftp_disk_bytes")
    assert value(found, "ctsftp_ledger_up") == 1


async def test_a_load_that_failed_first_counts_among_the_slow_ones(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, faults = service.engine.store.snapshots.write, [StoreError("locked")]

    async def fails_once(upload_id: str, ids: Ids) -> int:
        if faults:
            raise faults.pop()
        return await write(upload_id, ids)

    monkeypatch.setattr(service.engine.store.snapshots, "write", fails_once)
    await load(service, NAME, rows([1]))
    async with asyncio.timeout(PATIENCE_S):
        while value(found := await scrape(service), "ctsftp_verdicts_total", state="loaded", code="") == 0:
            pass
    assert value(found, "ctsftp_verdicts_total", state="failed", code="database") == 1
    assert value(found, "ctsftp_close_to_ready_seconds_count") == 1


async def test_a_segment_tells_its_age_and_its_members(service: Service) -> None:
    await load(service, NAME, rows(range(1, 11)))
    found = await scrape(service)
    assert value(found, "ctsftp_segment_members", client="acme", segment="VIP") == 10
    assert 0 <= value(found, "ctsftp_segment_age_seconds", client="acme", segment="VIP") < PATIENCE_S
    assert value(found, "ctsftp_segments") == 1
    await service.engine.store.segments.retire("acme", "vip")
    found = await scrape(service)
    assert value(found, "ctsftp_segments") == 0
    assert not [name for name, _ in found if name.startswith("ctsftp_segment_")]


async def test_logins_and_refusals_and_who_is_there_are_counted(service: Service) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(service, STRANGER)
    async with connect(service, KEY) as connection, connection.start_sftp_client() as sftp, sftp.open("ready", "wb"):
        found = await scrape(service)
    assert value(found, "ctsftp_logins_total") == 1
    assert value(found, "ctsftp_login_refusals_total", cause="unknown_key") == 1
    assert value(found, "ctsftp_login_refusals_total", cause="expired") == 0
    now = [value(found, f"ctsftp_{name}") for name in ("connections", "sessions", "open_uploads")]
    assert now == [1, 1, 1]


async def test_a_stall_is_told_once_as_the_worst(service: Service) -> None:
    await asyncio.sleep(0)  # the task that measures has begun
    async with asyncio.timeout(PATIENCE_S):
        while value(await scrape(service), "ctsftp_event_loop_stall_seconds_count") == 0:
            pass
        time.sleep(0.3)  # noqa: ASYNC251  the stall
        while (found := value(await scrape(service), "ctsftp_event_loop_stall_max_seconds")) < 0.2:
            pass
    assert found >= 0.2
    assert value(await scrape(service), "ctsftp_event_loop_stall_seconds_sum") >= 0.2


async def test_segments_with_numbers_of_their_own_have_a_limit(settings: Settings) -> None:
    few = settings.model_copy(update={"metrics": MetricsSettings(segments_shown=2), "http": HttpSettings(port=0)})
    async with open_service(few) as service:
        for number in range(4):
            await load(service, f"S{number}_20260310_0900.csv", rows([1]))
        found = await scrape(service)
    shown = {dict(labels)["segment"] for name, labels in found if name == "ctsftp_segment_members"}
    assert shown == {"S0", "S1"}
    assert value(found, "ctsftp_segments") == 4


async def test_a_database_that_does_not_answer_is_told_and_the_rest_is_there(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_numbers: Numbers, **_: Any) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(Numbers, "read", fail)
    monkeypatch.setattr(Numbers, "answers", fail)
    found = await scrape(service)
    assert value(found, "ctsftp_ledger_up") == 0
    assert value(found, "ctsftp_disk_bytes") > 0
    assert await service.unready() == ["The database does not answer."]


async def test_a_database_that_hangs_is_told_in_time_and_asked_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, goes_on = [], asyncio.Event()

    async def hangs(numbers: Numbers) -> None:
        asked.append(numbers)
        await goes_on.wait()

    monkeypatch.setattr("ctsftp.app.service.READY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(Numbers, "answers", hangs)
    async with open_service(settings) as service:
        for _ in range(2):
            assert await service.unready() == ["The database did not answer within 0.05 s."]
        goes_on.set()
        assert await service.unready() == []
        assert len(asked) == 1
        assert await service.unready() == []
        assert len(asked) == 2


async def test_a_server_is_ready_until_it_stops_or_has_no_room(settings: Settings) -> None:
    async with open_service(settings) as service:
        assert await service.unready() == []
        sftp = settings.sftp.model_copy(update={"max_file_size_bytes": 1 << 60})
        service.engine.settings = settings.model_copy(update={"sftp": sftp})
        assert [reason for reason in await service.unready() if "no room" in reason]
        service.engine.settings = settings
        await service.server.stop()
        assert await service.unready() == ["The server is stopping."]


@pytest.mark.parametrize(
    ("free", "free_files", "reason"),
    [(100, 400, "uploads are refused"), (101, 300, "uploads are refused"), (101, 301, "largest file"), (900, 900, "")],
)
async def test_a_server_is_unready_while_uploads_are_refused_and_metrics_say_how_much_room_they_have(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free: int, free_files: int, reason: str
) -> None:
    found = os.statvfs_result((1 << 20, 1 << 20, 1000, free, free, 3000, free_files, free_files, 0, 255))
    sftp = settings.sftp.model_copy(update={"max_file_size_bytes": 700 << 20})
    http = HttpSettings(port=0)
    async with open_service(settings.model_copy(update={"sftp": sftp, "http": http})) as service:
        monkeypatch.setattr(LocalDisk, "room", lambda *_: found)
        reasons = await service.unready()
        assert [reason in one for one in reasons] == [True] * bool(reason)
        scraped = await scrape(service)
        assert value(scraped, "ctsftp_disk_spare_bytes") == (free - 100) << 20
        assert value(scraped, "ctsftp_disk_spare_files") == free_files - 300


async def test_a_reload_changes_the_room_of_all(settings: Settings) -> None:
    async with open_service(settings) as service:
        sftp = settings.sftp.model_copy(update={"free_floor_percent": 99.9999, "free_floor_bytes": 1 << 60})
        await service.reload(lambda: settings.model_copy(update={"sftp": sftp}))
        assert service.engine.room().refusal()
        assert await service.unready() == ["The disk has no room: uploads are refused."]


async def test_a_session_in_a_data_folder_that_is_gone_is_told_in_a_line(
    service: Service, events: list[EventDict]
) -> None:
    place = service.engine.settings.data_dir
    gone = place.rename(place.with_name("gone"))
    async with connect(service, KEY) as connection:
        with pytest.raises(asyncssh.SFTPError):
            await connection.start_sftp_client()
    gone.rename(place)
    [failed] = [event for event in events if event["event"] == "session failed"]
    assert failed["error"].startswith("The folders of acme could not be made")
    assert "exc_info" not in failed


def named(text: str) -> set[str]:
    return set(re.findall(r"\b(?:ctsftp|process)_[a-z_]+", text))


async def test_every_metric_that_the_dashboard_and_the_alerts_name_is_there(service: Service) -> None:
    await load(service, NAME, rows([1]))
    there = {name for name, _ in await scrape(service)}
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    queries += [rule["expr"] for rule in rules]
    assert len(queries) > 20
    for query in queries:
        assert named(query) <= there, query
    assert named((DEPLOY / "alerts.yml").read_text()) - {"ctsftp_load_seconds"} <= there
    assert all({"summary", "description"} == rule["annotations"].keys() for rule in rules)


def test_the_states_and_codes_that_the_alerts_name_are_there() -> None:
    text = (DEPLOY / "alerts.yml").read_text() + (DEPLOY / "grafana.json").read_text()
    states = re.findall(r'state=~?\\?"([a-z|]+)', text)
    assert states
    for state in "|".join(states).split("|"):
        assert state in set(State)


def test_every_code_that_ends_an_upload_has_a_state_of_its_name() -> None:
    assert {page.kind for page in PAGES.values()} - {"warning"} <= set(State)
