"""How the server logs: a line an event on stderr, for people or as JSON. Nothing in a name forges a line.

What libraries log by way of `logging` (asyncssh, asyncio, the web server) is written by the same renderers.
"""

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

from ctsftp.cli.output import plain

HANDLER = "ctsftp"
MAX_VALUE_CHARACTERS = 1_000


def configure_logs(form: str, *, quiet: bool = False) -> None:
    """Send our events and the libraries' warnings to stderr, as `console` or `json` lines.

    Quiet is for commands that do the server's work themselves: they log only what is wrong, and answer in
    their own words.
    """
    stream = cast("TextIO", Unfailing(sys.stderr))
    facts: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _cut,
    ]
    rendering = _json() if form == "json" else _console(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[*facts, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,  # `serve` and the tour configure a second time
    )
    _send_libraries_to(stream, [*facts, structlog.stdlib.add_logger_name], rendering)
    # asyncssh tells of every peer that misbehaves; what an admin should know of it is an event of ours.
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    # And uvicorn too; a request that fails is an event of ours.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


class Unfailing(io.TextIOBase):
    """Writes to another stream as long as that can be written: no work ends because nobody reads of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)


def _send_libraries_to(
    stream: TextIO, facts: list[structlog.typing.Processor], rendering: list[structlog.typing.Processor]
) -> None:
    """Let the libraries' warnings be written as ours are; a second call takes the place of the first."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if handler.name == HANDLER:
            root.removeHandler(handler)
    handler = logging.StreamHandler(stream)
    handler.set_name(HANDLER)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=facts,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _console(*, colors: bool) -> list[structlog.typing.Processor]:
    renderer = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=_printable_traceback)
    return [_make_printable, renderer]


def _printable_traceback(stream: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    traceback = io.StringIO()
    structlog.dev.plain_traceback(traceback, exc_info)
    stream.write("\n".join(plain(line) for line in traceback.getvalue().split("\n")))


def _cut(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Shorten what is very long: a stranger's user name may have 200,000 characters, and fill a disk with them."""
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
            event[key] = f"{value[:MAX_VALUE_CHARACTERS]}…"
    return event


def _make_printable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what a stranger may have put into a name, such as a terminal's commands in a user name."""
    return {key: plain(value) if isinstance(value, str) else value for key, value in event.items()}
