"""Messages to people, through the real apprise to a real receiver."""

import logging
import threading
from collections.abc import Iterator

import apprise
import pytest

from ctsftp.contract.events import Words
from ctsftp.errors import UsageError
from ctsftp.notify.message import Messages

from .receiver import receiving

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
    assert await messages.send("nothing://that.apprise.knows", [BROKEN]) == "Unparseable URL …://t...s"


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
    assert shown.startswith("mailtos://user:****@example.com/")
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in await messages.check(
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#x"
    )
