"""When each token was last used, written down once in a while: a look-up never waits for a write."""

import asyncio

import structlog

from ctsftp.errors import CtsftpError
from ctsftp.model.records import Clock, Token
from ctsftp.model.writing import iso
from ctsftp.store.tokens import Tokens

WRITTEN_EVERY_S = 30.0

log = structlog.get_logger()


class TokenUsage:
    """What was not written down yet: at most one moment a token."""

    def __init__(self, tokens: Tokens, now: Clock) -> None:
        self._tokens = tokens
        self._now = now
        self._latest: dict[int, str] = {}
        self._some = asyncio.Event()

    def note(self, token: Token) -> None:
        """Remember that a token was used just now."""
        self._latest[token.id] = iso(self._now())
        self._some.set()

    async def run(self) -> None:
        """Write down what is noted, until cancelled."""
        while True:
            await self._some.wait()
            await self.flush()
            await asyncio.sleep(WRITTEN_EVERY_S)

    async def flush(self) -> None:
        """Write down what is noted now."""
        self._some.clear()
        latest, self._latest = self._latest, {}
        if not latest:
            return
        written = False
        try:
            await self._tokens.note_used(latest)
            written = True
        except CtsftpError as exc:
            log.warning("the use of tokens is not written down", error=str(exc))
        finally:  # also where it was stopped while it waited for its turn
            if not written:
                self._latest = latest | self._latest
