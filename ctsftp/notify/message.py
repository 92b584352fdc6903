"""Messages to people, by whatever apprise can reach: mail, Slack, Teams and a hundred others.

Slack and its like give out web addresses, which take messages of a form of their own, and never a signed webhook: those
that apprise knows are for messages too.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ctsftp.contract.codes import harmless
from ctsftp.contract.events import Words
from ctsftp.errors import RefusedError, UsageError
from ctsftp.notify.addresses import refusal
from ctsftp.notify.guard import anywhere, outside_only
from ctsftp.notify.webhook import is_web

if TYPE_CHECKING:
    import apprise

SHOWN_ERROR = 200
SECRET_CHARACTERS = 4
# These post to any address, unsigned: that is what a webhook is for, which is signed and checked.
NOT_FOR_PEOPLE = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "apprise", "apprises"})
# Web addresses that take messages alone: what stands for each service is how its addresses must look.
CHATS = {
    "hooks.slack.com": "https://hooks.slack.com/services/T.../B.../...",
    "discord.com": "https://discord.com/api/webhooks/ID/TOKEN",
    "discordapp.com": "https://discord.com/api/webhooks/ID/TOKEN",
    "chat.googleapis.com": "https://chat.googleapis.com/v1/spaces/SPACE/messages?key=...&token=...",
}
# Microsoft has switched these off: a channel of Teams now has a workflow's address.
TEAMS_CONNECTORS = ("webhook.office.com", "outlook.office.com", "outlook.office365.com")
TEAMS_WORKFLOW = "https://....logic.azure.com/workflows/.../triggers/manual/paths/invoke?...&sig=..."
# Discord's test clients and older versions of its API give out addresses that lead to the same place.
_DISCORD = re.compile(
    r"^(https?://)(?:(?:ptb|canary)\.)?(discord(?:app)?\.com/api/)(?:v\d+/)?(webhooks/)", re.IGNORECASE
)


class Messages:
    """Sends messages, in a thread of their own: a mail server that is slow keeps nobody's file waiting.

    Whatever apprise does, it does there, and only for whoever has such an address: to load its senders takes a
    second. One thread, so that what it says of one message is never taken for what it says of another.
    """

    def __init__(self, *, allow_internal: bool) -> None:
        self._allow_internal = allow_internal
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="messages")
        # What it says may repeat an address; here it becomes the error of a delivery, without what is secret.
        logging.getLogger("apprise").propagate = False

    async def send(self, address: str, words: Sequence[Words]) -> str | None:
        """Send one message that tells of all `words`; None if it was sent, else what went wrong, in a few words."""
        first = words[0]
        title = first.title if len(words) == 1 else f"{len(words)} things happened; first: {first.title}"
        text = first.text if len(words) == 1 else "\n\n".join(f"{one.title}\n{one.text}" for one in words)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, address, title, text)

    async def check(self, address: str) -> str | None:
        """Give an address without its secrets, to be shown; None for a web address that takes anything else.

        Refused is an address that nobody knows, and one that leads inside as far as can be seen now.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, address)

    def _send(self, address: str, title: str, text: str) -> str | None:
        import apprise  # noqa: PLC0415

        sender = _sender(address)
        if sender is None:
            return "apprise no longer knows this address"
        target = apprise.Apprise()
        target.add(sender)
        said = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
        with anywhere() if self._allow_internal else outside_only() as watch:
            try:
                with said as captured:
                    if target.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT):
                        return None
                    error = captured.getvalue() or "apprise could not send it"
            except Exception as exc:  # noqa: BLE001  a hundred senders, each with libraries of its own
                error = repr(exc)
        return refusal(watch.refused[0]) if watch.refused else _without_secrets(error, address)

    def _check(self, address: str) -> str | None:
        sender = _sender(address)
        if sender is None or address.partition("://")[0].lower() in NOT_FOR_PEOPLE:
            _refuse_unknown(address)
            return None
        if not self._allow_internal:
            _refuse_inside(sender)
        return str(sender.url(privacy=True)).partition("?")[0]  # type: ignore[no-untyped-call]


def _sender(address: str) -> "apprise.NotifyBase | None":
    """Find the sender that an address is for; None if there is none."""
    import apprise  # noqa: PLC0415

    return apprise.Apprise.instantiate(_DISCORD.sub(r"\1\2\3", address))


def _refuse_unknown(address: str) -> None:
    """Say what is wrong with an address that is none for messages, unless it may be a webhook's."""
    if not is_web(address):
        raise UsageError(
            "That is neither a web address (https://...) nor one for messages (mailto://, slack://, discord://, ...):"
            " see https://github.com/caronc/apprise for how each is written."
        )
    try:
        host = (urlsplit(address).hostname or "").lower()
    except ValueError:
        return
    for known, example in CHATS.items():
        if host == known or host.endswith(f".{known}"):
            raise UsageError(f"{known} takes messages alone, and at addresses such as {example}: copy the whole of it.")
    if host.endswith(TEAMS_CONNECTORS):
        raise UsageError(
            f"Microsoft has switched off the connectors of Teams ({host}): in the channel, choose Workflows, "
            f'"Send webhook alerts to a channel", and add the address that you get there: {TEAMS_WORKFLOW}'
        )


def _refuse_inside(sender: "apprise.NotifyBase") -> None:
    """Have a sender try to send, keep it from every connection, and see whether one would have gone inside."""
    import apprise  # noqa: PLC0415

    sender.request_rate_per_sec = 0  # it waits between two of its receivers
    with outside_only(dry=True) as watch, suppress(Exception), apprise.LogCapture():  # type: ignore[no-untyped-call]
        sender.notify(body="-", title="-")
    if watch.refused:
        raise RefusedError(refusal(watch.refused[0]))


def _without_secrets(text: str, address: str) -> str:
    """Blot out whatever an error repeats of the address: tokens and passwords stand anywhere in it."""
    for part in sorted(re.split(r"[^\w.~-]+", unquote(address)), key=len, reverse=True):
        if len(part) >= SECRET_CHARACTERS:
            text = text.replace(part, "…")
    return harmless(" ".join(text.split()), limit=SHOWN_ERROR)
