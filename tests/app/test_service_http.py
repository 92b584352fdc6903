"""`serve` and its API: the port, the switch, and the order in which it stops."""

import asyncio
import socket

import httpx
import pytest
from structlog.typing import EventDict

from ctsftp.admin.administration import open_service
from ctsftp.app.service import Service
from ctsftp.errors import SettingsError
from ctsftp.settings import Settings
from ctsftp.sftp.server import SftpServer
from ctsftp.web.server import WebServer
from ctsftp.web.settings import HttpSettings

from .test_service import is_free


def with_http(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update={"http": HttpSettings.model_validate({"port": 0, **values})})


async def test_a_port_of_the_api_in_use_refuses_the_start_and_lets_go_of_everything(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Port {port} on 127.0.0.1.*CTSFTP_HTTP__PORT") as refusal:
            async with open_service(with_http(settings, port=port)):
                pass
    assert "\n" not in str(refusal.value)
    assert is_free(settings)


async def test_a_host_that_is_none_refuses_the_start(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"Cannot listen on port 0 of 192\.0\.2\.1.*set CTSFTP_HTTP__HOST"):
        async with open_service(with_http(settings, host="192.0.2.1")):
            pass
    assert is_free(settings)


async def test_the_start_tells_where_the_api_is_and_nothing_where_it_is_switched_off(
    settings: Settings, events: list[EventDict]
) -> None:
    async with open_service(settings) as service:
        assert service.web.port == 0
    assert "serving http" not in [event["event"] for event in events]
    async with open_service(with_http(settings)) as service:
        assert service.web.port > 0
    [serving] = [event for event in events if event["event"] == "serving http"]
    assert (serving["host"], serving["port"]) == ("127.0.0.1", service.web.port)


async def test_the_api_listens_on_ipv6_as_well(settings: Settings) -> None:
    ours = with_http(settings, host="::1")
    async with open_service(ours) as service, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://[::1]:{service.web.port}/healthz")).text == "ok\n"


async def test_the_api_answers_until_the_uploads_have_drained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, answered = SftpServer.stop, []

    async def watched(server: SftpServer) -> None:
        await stop(server)
        async with httpx.AsyncClient(trust_env=False) as client:
            answered.append((await client.get(f"http://127.0.0.1:{port}/healthz")).text)

    monkeypatch.setattr(SftpServer, "stop", watched)
    async with open_service(with_http(settings)) as service:
        port = service.web.port
    assert answered == ["ok\n"]


async def test_an_answer_that_takes_too_long_is_broken_off_when_the_server_stops(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def for_ever(_service: Service) -> list[str]:
        begun.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(Service, "unready", for_ever)
    ours = with_http(settings, drain_timeout_s=0)
    async with open_service(ours) as service, httpx.AsyncClient(trust_env=False) as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{service.web.port}/readyz"))
        await begun.wait()
        await service.web.stop()
        await service.web.stop()
        with pytest.raises(httpx.HTTPError):
            (await asking).raise_for_status()
    assert is_free(settings)


async def test_a_server_is_started_once_more_after_it_was_stopped(settings: Settings) -> None:
    for _ in range(2):
        async with open_service(with_http(settings)) as service:
            assert isinstance(service.web, WebServer)
