"""Messages to people, through the real apprise to a real receiver."""

import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import apprise
import pytest

from ctsftp.contract.events import Words
from ctsftp.errors import RefusedError, UsageError
from ctsftp.notify.message import Messages

from .receiver import receiving
from .test_webhooks import tls_for

UNKNOWN = "apprise no longer knows this address"
BROKEN, BACK = Words("It broke", "Look at it."), Words("It is back", "Nothing to do.")


async def test_one_event_is_one_message_with_its_words(messages: Messages) -> None:
    with receiving(lambda _: 200) as receiver:
        assert await messages.send(f"json://127.0.0.1:{receiver.port}/", [BROKEN]) is None
    [request] = receiver.requests
    assert (request.json["title"], request.json["message"]) == (BROKEN.title, BROKEN.text)


async def test_several_events_are_one_message_that_tells_of_all(messages: Messages) -> None:
    with receiving(lambda _: 200) as receiver:
        assert await messages.send(f"json://127.0.0.1:{receiver.port}/", [BROKEN, BACK]) is None
    [request] = receiver.requests
    assert request.json["title"] == "2 things happened; first: It broke"
    for words in (BROKEN, BACK):
        assert f"{words.title}\n{words.text}" in request.json["message"]


class Log(logging.Handler):
    """What arrives at the root of all loggers, from where it would be printed."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def printed() -> Iterator[Log]:
    log = Log()
    logging.getLogger().addHandler(log)
    yield log
    logging.getLogger().removeHandler(log)


async def test_a_failure_is_told_in_words_without_what_is_secret(messages: Messages, printed: Log) -> None:
    with receiving(lambda _: 500) as receiver:
        address = f"json://user:hunter22@127.0.0.1:{receiver.port}/tokenABC"
        error = await messages.send(address, [BROKEN])
    assert error
    for secret in ("hunter22", "tokenABC"):
        assert secret not in error
    assert printed.records == []


async def test_whatever_a_sender_raises_is_a_failure_and_ends_nothing(
    messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise RuntimeError("cannot reach hunter22 now")

    monkeypatch.setattr(apprise.Apprise, "notify", fail)
    error = await messages.send("mailtos://user:hunter22@example.com", [BROKEN])
    assert error == "RuntimeError('cannot reach … now')"
    assert await messages.send("nothing://that.apprise.knows", [BROKEN]) == UNKNOWN


async def test_messages_are_sent_in_a_thread_of_their_own(messages: Messages, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def note(*_: object, **__: object) -> bool:
        threads.append(threading.current_thread().name)
        return True

    monkeypatch.setattr(apprise.Apprise, "notify", note)
    assert await messages.send("mailtos://user:hunter22@example.com", [BROKEN]) is None
    assert threads == ["messages_0"]


@pytest.mark.parametrize(
    "address", ["", "x", "nothing://x", "json://127.0.0.1/", "forms://h/", "XML://h/", "file:///etc/passwd", "slack://"]
)
async def test_what_apprise_does_not_know_and_what_is_for_programs_is_refused(messages: Messages, address: str) -> None:
    with pytest.raises(UsageError) as refused:
        await messages.check(address)
    assert "mailto://" in str(refused.value)


async def test_an_address_is_shown_without_its_secrets(messages: Messages) -> None:
    shown = await messages.check("mailtos://user:hunter22@example.com?to=marketing@example.com")
    assert str(shown).startswith("mailtos://user:****@example.com/")
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(
        await messages.check("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#x")
    )


INSIDE = """
gotify://{0}/token ntfy://{0}/topic mmost://{0}/abcdefghijklmnopqrstuvwx kodi://{0} matrix://u:p@{0}/#room emby://u@{0}
workflow://{0}/abc/def signal://{0}/+15551234567 hassio://{0}/token
rocket://u:p@{0}/#room irc://{0}/#room nctalk://u:p@{0}/room synology://{0}/token
"""
PLACES = ["127.0.0.1:{port}", "localhost:{port}", "0x7f000001:{port}", "[::1]:{port}"]


@pytest.mark.parametrize("address", INSIDE.split())
async def test_no_message_goes_inside_and_an_address_there_is_refused(address: str) -> None:
    guarded = Messages(allow_internal=False)
    with receiving() as receiver:
        url = address.format(f"127.0.0.1:{receiver.port}")
        with pytest.raises(RefusedError, match=r"^127\.0\.0\.1 is an internal address, .* are off\. Set CTSFTP_"):
            await guarded.check(url)
        assert "127.0.0.1 is an internal address" in str(await guarded.send(url, [BROKEN]))
    assert receiver.requests == []


@pytest.mark.parametrize("place", PLACES)
async def test_every_spelling_of_an_address_inside_is_seen(place: str) -> None:
    guarded = Messages(allow_internal=False)
    with receiving() as receiver:
        url = f"gotify://{place.format(port=receiver.port)}/token"
        with pytest.raises(RefusedError, match="is an internal address"):
            await guarded.check(url)
        assert "is an internal address" in str(await guarded.send(url, [BROKEN]))
    assert receiver.requests == []


@pytest.mark.parametrize("address", ["mailto://u:p@localhost?to=a@example.com", "rsyslog://localhost"])
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # apprise's own, of a datagram that is refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_neither_mail_nor_a_datagram_goes_inside(address: str) -> None:
    guarded = Messages(allow_internal=False)
    with pytest.raises(RefusedError, match="is an internal address"):
        await guarded.check(address)
    assert "is an internal address" in str(await guarded.send(address, [BROKEN]))


async def test_a_name_that_turns_inside_after_it_was_checked_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding; a name that cannot be looked up may be added, since the name server may be away."""
    guarded = Messages(allow_internal=False)
    with receiving() as receiver:
        url = f"ntfy://rebinding.invalid:{receiver.port}/topic"
        assert await guarded.check(url)
        inside = socket.getaddrinfo("127.0.0.1", receiver.port, type=socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: inside)
        assert "127.0.0.1 is an internal address" in str(await guarded.send(url, [BROKEN]))
    assert receiver.requests == []


async def test_an_address_inside_is_written_to_where_that_is_allowed(messages: Messages) -> None:
    with receiving(lambda _: 200) as receiver:
        assert await messages.check(f"ntfy://127.0.0.1:{receiver.port}/topic")
        assert receiver.requests == []
        assert await messages.send(f"ntfy://127.0.0.1:{receiver.port}/topic", [BROKEN]) is None
    assert len(receiver.requests) == 1


HEX = "0123456789abcdef0123456789abcdef"
CHATS = {
    "slack": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "discord": f"https://discord.com/api/webhooks/123456789012345678/{HEX}{HEX}",
    "discord of old": f"https://discordapp.com/api/v10/webhooks/123456789012345678/{HEX}{HEX}",
    "discord of tomorrow": f"https://canary.discord.com/api/webhooks/123456789012345678/{HEX}{HEX}",
    "gchat": "https://chat.googleapis.com/v1/spaces/AAAA1/messages?key=AIzaSy&token=s3cret",
    "workflow": f"https://prod-1.westeurope.logic.azure.com:443/workflows/{HEX}/triggers/manual/paths/invoke?sig=s3cret",
    "workflow of late": f"https://default1234567890abcdef.12.environment.api.powerplatform.com:443/powerautomate/automations/direct"
    f"/workflows/{HEX}/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers&sv=1.0&sig=s3cret",
}


@pytest.mark.parametrize("name", CHATS)
async def test_the_web_address_of_a_chat_is_for_messages(messages: Messages, name: str) -> None:
    shown = await messages.check(CHATS[name])
    assert shown
    assert shown.startswith(f"{name.split(maxsplit=1)[0]}://")
    for secret in ("TIiajkdnlazkcOXrIdevi7FQ", HEX, "s3cret"):
        assert secret not in shown


@pytest.mark.parametrize("name", ["slack", "discord", "gchat"])
async def test_the_web_address_of_a_chat_gets_what_the_chat_takes(
    messages: Messages, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = urlsplit(CHATS[name]).hostname
    assert host
    server, _ = tls_for(host, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "tls.pem"))
    with receiving(lambda _: 200, tls=server) as receiver:
        here = socket.getaddrinfo("127.0.0.1", receiver.port, type=socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
        error = await messages.send(CHATS[name], [BROKEN])
    [request] = receiver.requests
    assert request.headers["host"] == host
    assert BROKEN.text in request.body.decode()
    assert "webhook-signature" not in request.headers
    # Slack says "ok" to what it takes, and nothing else counts; the receiver does not know that word.
    assert (error is None) is (name != "slack")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://hooks.slack.com/services/T1", "https://hooks.slack.com/services/T.../B.../..."),
        ("https://discord.com/channels/1/2", "https://discord.com/api/webhooks/ID/TOKEN"),
        ("https://chat.googleapis.com/v1/spaces/AAAA1", "takes messages alone"),
        (f"https://acme.webhook.office.com/webhookb2/{HEX}@{HEX}/IncomingWebhook/{HEX}/{HEX}", "choose Workflows"),
    ],
)
async def test_an_address_of_a_chat_that_takes_nothing_is_refused_with_one_that_does(
    messages: Messages, address: str, said: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        await messages.check(address)


@pytest.mark.parametrize("address", ["https://example.com/x", "http://slack.com.example.com/", "https://[::1/"])
async def test_any_other_web_address_is_not_for_messages(messages: Messages, address: str) -> None:
    assert await messages.check(address) is None
