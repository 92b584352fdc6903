"""Messages to people, by whatever apprise can reach: mail, Slack, Teams and a hundred others."""

import asyncio
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from ctsftp.contract.codes import harmless
from ctsftp.contract.events import Words
from ctsftp.errors import UsageError

SHOWN_ERROR = 200
SECRET_CHARACTERS = 4
# These post to any address, unsigned: that is what a webhook is for, which is signed and checked.
NOT_FOR_PEOPLE = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "apprise", "apprises"})


class Messages:
    """Sends messages, in a thread of their own: a mail server that is slow keeps nobody's file waiting.

    Whatever apprise does, it does there, and only for whoever has such an address: to load its senders takes a
    second. One thread, so that what it says of one message is never taken for what it says of another.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="messages")
        # What it says may repeat an address; here it becomes the error of a delivery, without what is secret.
        logging.getLogger("apprise").propagate = False

    async def send(self, address: str, words: Sequence[Words]) -> str | None:
        """Send one message that tells of all `words`; None if it was sent, else what went wrong, in a few words."""
        first = words[0]
        title = first.title if len(words) == 1 else f"{len(words)} things happened; first: {first.title}"
        text = first.text if len(words) == 1 else "\n\n".join(f"{one.title}\n{one.text}" for one in words)
        return await asyncio.get_running_loop().run_in_executor(self._threads, _send, address, title, text)

    async def check(self, address: str) -> str:
        """Refuse an address that apprise does not know, and give it without its secrets, to be shown."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _check, address)


def _send(address: str, title: str, text: str) -> str | None:
    import apprise  # noqa: PLC0415

    capture = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
    try:
        with capture as said:
            target = apprise.Apprise()
            if target.add(address) and target.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT):
                return None
            return _without_secrets(said.getvalue() or "apprise could not send it", address)
    except Exception as exc:  # noqa: BLE001  a hundred senders, each with libraries of its own
        return _without_secrets(repr(exc), address)


def _without_secrets(text: str, address: str) -> str:
    """Blot out whatever an error repeats of the address: tokens and passwords stand anywhere in it."""
    for part in sorted(re.split(r"[^\w.~-]+", unquote(address)), key=len, reverse=True):
        if len(part) >= SECRET_CHARACTERS:
            text = text.replace(part, "…")
    return harmless(" ".join(text.split()), limit=SHOWN_ERROR)


def _check(address: str) -> str:
    import apprise  # noqa: PLC0415

    target = apprise.Apprise.instantiate(address)
    if target is None or address.partition("://")[0].lower() in NOT_FOR_PEOPLE:
        raise UsageError(
            "That is neither a web address (https://...) nor one for messages (mailto://, slack://, msteams://, ...):"
            " see https://github.com/caronc/apprise for how each is written."
        )
    return str(target.url(privacy=True)).partition("?")[0]  # type: ignore[no-untyped-call]
