"""Hooks on the command line: added, listed without secrets, tested, removed; and what is expected of a segment."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from ctsftp.admin.administration import open_service
from ctsftp.errors import StoreError
from ctsftp.model.records import Hook
from ctsftp.notify.notifier import Notifier
from ctsftp.settings import read_settings
from tests.app.bench import rows
from tests.notify.receiver import receiving

from .shell import Shell

LATER = datetime(9999, 1, 1, tzinfo=UTC)
VIP = "VIP_Members_20260310_0900.csv"
BROKEN = "VIP_Members_20260310_0901.csv"


@pytest.fixture
def inside(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose webhooks may go to this machine."""
    monkeypatch.setenv("CTSFTP_NOTIFY__ALLOW_INTERNAL", "true")
    monkeypatch.setenv("CTSFTP_SFTP__PORT", "0")
    return shell


async def serve_until(shell: Shell, state: str, count: int) -> None:
    """Serve until so many deliveries are in a state."""
    async with open_service(read_settings()) as service, asyncio.timeout(20):
        while True:
            found = [row["state"] for row in await service.engine.store.outbox.deliveries()]
            if found.count(state) >= count:
                return
            await asyncio.sleep(0)


def test_a_webhook_is_added_tested_told_and_removed(inside: Shell) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/hooks/secret-token"
        hook = inside.json("hook", "add", url)
        assert (hook["delivered"], hook["error"]) == (True, None)
        inside.run("hook", "test", "1")
        inside.load(VIP, rows([1]))
        inside.load(BROKEN, "no header\n")
        asyncio.run(serve_until(inside, "delivered", 2))
    webhook = Webhook(hook["secret"])
    got = [webhook.verify(request.body, request.headers) for request in receiver.requests]
    assert [one["type"] for one in got] == ["hook.test", "hook.test", "upload.loaded", "upload.rejected"]
    newest, oldest = inside.json("upload", "list")
    assert got[2]["data"] == {**oldest, "upload_id": oldest["id"], "entered": 1, "left": 0}
    assert got[3]["data"]["code"] == newest["code"]
    listed = inside.json("hook", "list")
    assert [(row["id"], row["kind"], row["client"], row["events"]) for row in listed] == [(1, "webhook", None, None)]
    assert (listed[0]["pending"], listed[0]["dead"]) == (0, 0)
    for done in (inside.run("hook", "list"), inside.run("hook", "list", "--json"), inside.run("hook", "deliveries")):
        assert "secret-token" not in done.out
        assert hook["secret"] not in done.out
    assert [row["state"] for row in inside.json("hook", "deliveries")] == ["delivered", "delivered"]
    assert inside.json("hook", "deliveries", "--state", "dead") == []
    assert inside.run("hook", "deliveries", "--state", "pending").out == "No deliveries.\n"
    assert "There is no hook 9" in inside.refused("hook", "deliveries", "--hook", "9", code=1)
    assert inside.json("hook", "remove", "1")["id"] == 1
    assert inside.run("hook", "list").out == "No hooks yet, so nobody is notified: ctsftp hook add URL\n"


def test_the_secret_is_shown_once_and_the_address_may_come_by_standard_input(inside: Shell) -> None:
    done = inside.run("hook", "add", "-", "--event", "upload.loaded", "--no-test", stdin=b"http://127.0.0.1:9/x\n")
    assert "whsec_" in done.out
    assert "shown this once" in done.err
    assert "upload.loaded" in inside.run("hook", "list").out


def test_a_hook_is_tested_when_it_is_added_and_what_came_back_is_said(inside: Shell) -> None:
    with receiving(lambda number: 204 if number == 1 else 401) as receiver:
        url = f"http://127.0.0.1:{receiver.port}/"
        assert inside.run("hook", "add", url).err.splitlines()[1:] == [f"{url[:-1]} took the test."]
        assert inside.run("hook", "add", url).err.splitlines()[1:] == [
            f"{url[:-1]} did not take the test: the receiver answered with 401.",
            "The hook is there; once it knows the secret: ctsftp hook test 2",
        ]
        row = inside.json("hook", "add", url)
        assert (row["delivered"], row["error"]) == (False, "the receiver answered with 401")
        asked = len(receiver.requests)
        assert inside.run("hook", "add", url, "--no-test").err.splitlines()[1:] == [
            "The hook is there; to try it: ctsftp hook test 4"
        ]
        row = inside.json("hook", "add", url, "--no-test")
        assert (row["delivered"], row["error"]) == (None, None)
        assert len(receiver.requests) == asked == 3
    assert len(inside.json("hook", "list")) == 5


def test_the_secret_is_shown_whatever_becomes_of_the_test(inside: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_notifier: Notifier, _hook: Hook) -> None:
        raise StoreError("The database is locked.")

    monkeypatch.setattr(Notifier, "test", fail)
    done = inside.run("hook", "add", "http://127.0.0.1:9/")
    assert "whsec_" in done.out
    assert "did not take the test: The database is locked." in done.err
    row = inside.json("hook", "add", "http://127.0.0.1:9/")
    assert row["secret"].startswith("whsec_")
    assert (row["delivered"], row["error"]) == (False, "The database is locked.")


def test_the_web_address_of_a_chat_becomes_a_message_and_its_tokens_are_not_shown(inside: Shell) -> None:
    row = inside.json(
        "hook", "add", "https://chat.googleapis.com/v1/spaces/AAAA1/messages?key=K3y&token=T0k", "--no-test"
    )
    assert (row["kind"], row["secret"]) == ("message", None)
    assert row["address"].startswith("gchat://")
    assert "T0k" not in json.dumps(inside.json("hook", "list"))


def test_a_test_that_is_not_taken_is_a_no(inside: Shell) -> None:
    with receiving(lambda _: 404) as receiver:
        inside.run("hook", "add", f"http://127.0.0.1:{receiver.port}/")
        done = inside.run("hook", "test", "1", code=1)
        assert done.err.endswith("did not take the test: the receiver answered with 404.\n")
        assert json.loads(inside.run("hook", "test", "1", "--json", code=1).out)["delivered"] is False
    assert "no hook 7" in inside.refused("hook", "test", "7", code=1)


def test_the_dead_are_listed_and_revived(inside: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTSFTP_NOTIFY__MAX_ATTEMPTS", "1")
    with receiving(lambda number: 500 if number == 1 else 200) as receiver:
        inside.run("hook", "add", f"http://127.0.0.1:{receiver.port}/", "--no-test")
        inside.load(VIP, rows([1]))
        asyncio.run(serve_until(inside, "dead", 1))
        assert "answered with 500" in inside.run("hook", "deliveries", "--state", "dead").out
        assert inside.json("hook", "list")[0]["dead"] == 1
        done = inside.run("hook", "deliveries", "--retry", "1", "--json")
        assert done.err == "Hook 1 gets again 1 event that it did not take before.\n"
        assert json.loads(done.out)[0]["state"] == "pending"
        [row] = inside.json("hook", "list")
        assert (row["pending"], row["dead"]) == (1, 0)
        asyncio.run(serve_until(inside, "delivered", 1))
    assert "no hook 9" in inside.refused("hook", "deliveries", "--retry", "9", code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("http://127.0.0.1/",), 1, "CTSFTP_NOTIFY__ALLOW_INTERNAL=true"),
        (("http://[::ffff:127.0.0.1]/",), 1, "CTSFTP_NOTIFY__ALLOW_INTERNAL=true"),
        (("http://localhost:8022/",), 1, "CTSFTP_NOTIFY__ALLOW_INTERNAL=true"),
        (("gotify://127.0.0.1/token", "--no-test"), 1, "CTSFTP_NOTIFY__ALLOW_INTERNAL=true"),
        (("mailto://a:b@localhost?to=a@example.com", "--no-test"), 1, "CTSFTP_NOTIFY__ALLOW_INTERNAL=true"),
        (("https://hooks.slack.com/", "--no-test"), 2, "copy the whole of it"),
        (("nothing://x",), 2, "neither a web address"),
        (("https://",), 2, "https://HOST/PATH"),
        (("https://192.0.2.1/", "--client", "nobody"), 1, "no client 'nobody'"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_in_one_line(
    shell: Shell, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in shell.refused("hook", "add", *arguments, code=code)
    assert shell.json("hook", "list") == []


def test_an_event_that_is_none_is_a_wrong_usage(shell: Shell) -> None:
    assert "upload.loaded" in shell.run("hook", "add", "https://x", "--event", "nothing", code=2).err


def test_a_segment_is_expected_and_shown_as_fresh_or_overdue(shell: Shell) -> None:
    shell.load(VIP, rows([1]))
    assert "fresh" not in shell.run("segment", "list").out
    done = shell.run("segment", "expect", "vip_members", "--every", "1d", "--grace", "3h")
    assert 'The segment "VIP Members" of acme is expected every 1d. It is overdue after ' in done.err
    row = shell.json("segment", "show", "vip_members")
    assert (row["expect_every_s"], row["expect_grace_s"]) == (86_400, 10_800)
    assert row["overdue_at"] > row["heard_at"]
    assert "fresh" in shell.run("segment", "list").lines[1]
    assert "fresh" in shell.run("segment", "show", "vip_members").out
    row = shell.json("segment", "expect", "vip_members", "--never")
    assert (row["expect_every_s"], row["overdue_at"]) == (None, None)
    assert "is not expected." in shell.run("segment", "expect", "vip_members", "--never").err
    assert "fresh" not in shell.run("segment", "show", "vip_members").out


def test_a_segment_whose_time_is_up_is_shown_as_overdue_where_no_server_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.load(VIP, rows([1]))
    shell.run("segment", "expect", "vip_members", "--every", "1m", "--grace", "1m")
    monkeypatch.setattr("ctsftp.app.clock.utc_now", lambda: LATER)
    assert "overdue" in shell.run("segment", "list").lines[1]


@pytest.mark.parametrize(
    "arguments", [(), ("--every", "1d", "--never"), ("--every", "daily"), ("--every", "1d", "--grace", "-1h")]
)
def test_an_expectation_that_makes_no_sense_is_a_wrong_usage(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell.load(VIP, rows([1]))
    shell.run("segment", "expect", "vip_members", *arguments, code=2)
    assert shell.json("segment", "show", "vip_members")["expect_every_s"] is None
