"""Reads authorized_keys strictly, and edits it without touching what else stands there.

The format is OpenSSH's (sshd(8), AUTHORIZED_KEYS FILE FORMAT); the reader is our own, because asyncssh's stores
unknown options without enforcing them, ignores `expiry-time` and `restrict`, and skips bad lines in silence. Here
a line that is not understood completely grants nothing and is a problem. A key that stands on several lines counts
on the first that is sound; the others are problems, since an admin may believe in either.

Everything is bytes until a line is read: comments may hold anything and are never changed.
"""

import io
import re
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from ctsftp.clients.addresses import check_patterns, matches
from ctsftp.clients.keys import MAX_COMMENT_CHARS, PublicKey, fingerprint, read_openssh_key, refuse_private_key
from ctsftp.clients.problem import Problem
from ctsftp.errors import CtsftpError, RefusedError, UsageError

# The server reads the file at each login, so these also bound what a stranger's login can cost.
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_LINES: Final = 1000
SHORTEN: Final = "Remove the lines that nobody needs."

# What these take away from a session, ctsftp gives to none: they are fulfilled as they stand.
_FULFILLED: Final = frozenset(
    {"restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"}
)
_OPTION: Final = re.compile(r'([A-Za-z0-9-]+)(?:="((?:[^"\\]|\\.)*)")?')
_EXPIRY: Final = re.compile(r"([0-9]{8}|[0-9]{12}|[0-9]{14})(Z?)")
_EXPIRY_FORMATS: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class Refusal(StrEnum):
    """Why a login was refused: for the log and `client show`, never for the peer, who is told the same for all."""

    UNKNOWN_CLIENT = "unknown_client"
    DISABLED = "disabled"
    NO_KEY = "no_key"
    UNKNOWN_KEY = "unknown_key"
    OUTSIDE_FROM = "outside_from"
    EXPIRED = "expired"
    SIGNATURE = "signature"
    SHA1 = "sha1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """A line that grants: the key, where it may be used from (empty: anywhere) and until when (None: for ever)."""

    line: int
    key: PublicKey
    from_patterns: tuple[str, ...] = ()
    expires: datetime | None = None

    @property
    def comment(self) -> str:
        """The comment at the line's end."""
        return self.key.comment

    def expires_within(self, period: timedelta, now: datetime) -> bool:
        """Tell whether the line grants now (aware), and no longer when the period is over."""
        return self.expires is not None and now < self.expires <= now + period

    def refusal(self, address: str, now: datetime) -> Refusal | None:
        """Return why the line grants nothing to this address at this moment (aware), or None where it does."""
        if self.expires is not None and now >= self.expires:
            return Refusal.EXPIRED
        if self.from_patterns and not matches(self.from_patterns, address):
            return Refusal.OUTSIDE_FROM
        return None


@dataclass(frozen=True, slots=True)
class AuthorizedKeys:
    """What an authorized_keys file grants, in its order, and what in it grants nothing though it looks like it."""

    entries: tuple[KeyEntry, ...] = ()
    problems: tuple[Problem, ...] = ()

    def find(self, blob: bytes) -> KeyEntry | None:
        """Return the line that holds the key with this wire form."""
        return next((entry for entry in self.entries if entry.key.blob == blob), None)


def parse_authorized_keys(data: bytes) -> AuthorizedKeys:
    """Read a whole file; what breaks a limit grants nothing at all."""
    if len(data) > MAX_FILE_BYTES:
        return AuthorizedKeys(
            problems=(Problem(text=f"over {MAX_FILE_BYTES} bytes: all of it is ignored", do=SHORTEN),)
        )
    lines = data.split(b"\n")
    if len(lines) > MAX_LINES + 1:
        return AuthorizedKeys(problems=(Problem(text=f"over {MAX_LINES} lines: all of it is ignored", do=SHORTEN),))
    entries: dict[bytes, KeyEntry] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if _is_comment(line):
            continue
        try:
            entry = _read_line(number, line)
            _refuse_duplicate(entries.get(entry.key.blob))
            entries[entry.key.blob] = entry
        except CtsftpError as error:
            problems.append(Problem(line=number, text=f"{error} (the line is ignored)"))
    return AuthorizedKeys(tuple(entries.values()), tuple(problems))


def format_line(
    key: PublicKey, *, from_patterns: Sequence[str] = (), expires: datetime | None = None, comment: str | None = None
) -> str:
    """Write a line that grants just this; UsageError where a part of it cannot be written.

    `expires` is aware and cut to a second; it is written in UTC, so that it means the same on every server.
    """
    options = []
    if from_patterns:
        check_patterns(from_patterns)
        options.append(f'from="{",".join(from_patterns)}"')
    if expires is not None:
        if expires.tzinfo is None:
            raise UsageError("the time of expiry needs a time zone")
        options.append(f'expiry-time="{expires.astimezone(UTC):%Y%m%d%H%M%SZ}"')
    if comment is not None:
        if not comment.isprintable() or len(comment) > MAX_COMMENT_CHARS:
            raise UsageError(f"a comment is printable, in one line, and has at most {MAX_COMMENT_CHARS} characters")
        key = replace(key, comment=comment.strip())
    return f"{','.join(options)} {key.openssh_line}".lstrip()


def add_line(data: bytes, line: str) -> bytes:
    """Append a line; everything before it stays as it was, but for a missing last line end."""
    gap = b"" if not data or data.endswith(b"\n") else b"\n"
    return data + gap + line.encode() + b"\n"


def remove_key(data: bytes, wanted: str) -> bytes:
    """Drop every line that holds the key with this fingerprint, even a broken one that somebody may repair later.

    Everything else stays byte for byte, comments too, and a key whose comment only names this one.
    """
    return b"".join(line for line in io.BytesIO(data) if _is_comment(line) or wanted not in _fingerprints(line))


def _fingerprints(line: bytes) -> set[str]:
    """Return the fingerprint of a line's key; of a line that grants nothing, those of all that could be its key."""
    with suppress(RefusedError, UsageError):
        return {_read_line(0, line.rstrip(b"\n")).key.fingerprint}
    found = set()
    for word in line.split():
        if word.startswith(b"AAAA"):
            try:
                found.add(fingerprint(b64decode(word)))
            except ValueError:
                continue
    return found


def _is_comment(line: bytes) -> bool:
    stripped = line.strip(b" \t\r\n")
    return not stripped or stripped.startswith(b"#")


def _read_line(number: int, line: bytes) -> KeyEntry:
    """Read one line; RefusedError or UsageError says why it grants nothing."""
    refuse_private_key(line)
    text = _readable(line)
    words = text.split(None, 2)
    options: dict[str, str | None] = {}
    # No kind of key has a body that begins otherwise, so options stand in front of a line without it.
    if len(words) > 1 and not words[1].startswith("AAAA"):
        options, rest = _split_options(text)
        words = rest.split(None, 2)
    match words:
        case [algorithm, body, *comment]:
            return _entry(number, read_openssh_key(algorithm, body, "".join(comment).strip()), options)
    raise RefusedError("no key is here: a line is [options] kind key [comment]")


def _readable(line: bytes) -> str:
    """Decode a line; what cannot be seen is refused, since a person would read the line otherwise than we do."""
    try:
        text = line.decode("utf-8").strip(" \t\r")
    except UnicodeDecodeError:
        raise RefusedError("not UTF-8") from None
    if text.startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
        raise RefusedError("a byte-order mark is in front of the line: save the file as UTF-8 without one")
    if not text.replace("\t", " ").isprintable():
        raise RefusedError("the line holds a control character or an invisible one")
    return text


def _split_options(text: str) -> tuple[dict[str, str | None], str]:
    """Split `a,b="c d",... rest` into the options and the rest; the values of flags are None."""
    options: dict[str, str | None] = {}
    at = 0
    while match := _OPTION.match(text, at):
        name = match[1].lower()
        if name in options:
            raise RefusedError(f"the option {name} is here twice")
        options[name] = match[2]
        at = match.end()
        if text[at : at + 1] in {" ", "\t"}:
            return options, text[at:]
        if text[at : at + 1] != ",":
            break
        at += 1
    raise RefusedError(
        "the options are broken: they are separated by commas without spaces, values are in double quotes"
    )


def _entry(number: int, key: PublicKey, options: dict[str, str | None]) -> KeyEntry:
    from_patterns: tuple[str, ...] = ()
    expires = None
    for name, value in options.items():
        if name == "from" and value is not None:
            from_patterns = tuple(value.split(","))
            check_patterns(from_patterns)
        elif name == "expiry-time" and value is not None:
            expires = _read_expiry(value)
        elif name not in _FULFILLED or value is not None:
            raise RefusedError(
                f"the option {name} is not supported{'' if value is None else ' with a value'}: "
                f'only from="...", expiry-time="...", {", ".join(sorted(_FULFILLED))} are'
            )
    return KeyEntry(line=number, key=key, from_patterns=from_patterns, expires=expires)


def _read_expiry(value: str) -> datetime:
    """Read `YYYYMMDD[HHMM[SS]][Z]`; without Z it is the server's local time, as in sshd."""
    if match := _EXPIRY.fullmatch(value):
        with suppress(ValueError, OverflowError):  # The 30th of February, and the year 0.
            digits, zone = match[1], UTC if match[2] else None
            return datetime.strptime(digits, _EXPIRY_FORMATS[len(digits)]).replace(tzinfo=zone).astimezone(UTC)
    raise RefusedError(
        f"expiry-time {value!r} is not a time: write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, followed by Z for UTC"
    )


def _refuse_duplicate(first: KeyEntry | None) -> None:
    if first is not None:
        raise RefusedError(f"the same key is on line {first.line}, which is used")
