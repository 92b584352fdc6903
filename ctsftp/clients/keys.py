"""Reads public keys as senders send them: OpenSSH, RFC 4716 (SSH2) and PEM.

asyncssh decodes; here stands which keys are good enough, and a refusal that says what to send instead. Accepted
are Ed25519, ECDSA on the NIST curves, RSA of 2048 bits and more, and the security keys (`sk-`) of both kinds:
asyncssh verifies their signatures and demands the touch. DSA is dead, and Ed448 is nothing that OpenSSH knows.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import asyncssh
from asyncssh.packet import SSHPacket

from ctsftp.errors import RefusedError

MAX_KEY_FILE_BYTES: Final = 64 * 1024
MAX_COMMENT_CHARS: Final = 200
MIN_RSA_BITS: Final = 2048
# OpenSSL verifies no longer modulus, and one would cost the server more at each login.
MAX_RSA_BITS: Final = 16384

_RSA: Final = "ssh-rsa"
_BITS: Final = {
    "ssh-ed25519": 256,
    "ecdsa-sha2-nistp256": 256,
    "ecdsa-sha2-nistp384": 384,
    "ecdsa-sha2-nistp521": 521,
    "sk-ssh-ed25519@openssh.com": 256,
    "sk-ecdsa-sha2-nistp256@openssh.com": 256,
}
_ALGORITHMS: Final = frozenset({_RSA, *_BITS})

_ADVICE: Final = "Ed25519, ECDSA (nistp256, nistp384, nistp521) or RSA with at least 2048 bits"
_HOW_TO_SEND: Final = (
    "Send the public key as text: the one line of the file that ends in .pub, "
    "or the public key in RFC 4716 or PEM form."
)

# PEM of every kind, RFC 4716's sibling of ssh.com, PuTTY's .ppk, SSH 1, and OpenSSH's body without its frame.
_PRIVATE_KEY: Final = re.compile(
    rb"BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PuTTY-User-Key-File-|^Private-(Lines|MAC):"
    rb"|SSH PRIVATE KEY FILE FORMAT|b3BlbnNzaC1rZXktdjE",
    re.MULTILINE,
)
_BLOCK: Final = re.compile(
    r"^(-----BEGIN ([A-Z ]+ )?PUBLIC KEY-----|---- BEGIN SSH2 PUBLIC KEY ----)\s*$", re.MULTILINE
)
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}CERTIFICATE-----|^\S+-cert-v\d\d@openssh\.com\s", re.MULTILINE
)
# Every key's body begins with the length of its algorithm's name (RFC 4253 6.6): three bytes of zero, so "AAAA".
_OPENSSH_LINE: Final = re.compile(r"^[ \t]*(\S+)[ \t]+(AAAA\S*)(?:[ \t]+(.*))?$", re.MULTILINE)
_OPTIONS_LINE: Final = re.compile(r"^\S.*[ \t]\S+[ \t]+AAAA\S{16}", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key that is good enough to log in with; `blob` is its SSH wire form (RFC 4253 6.6)."""

    algorithm: str
    bits: int
    blob: bytes
    comment: str = ""

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `ssh-keygen -l` prints it: SHA256 and base64 without padding."""
        return fingerprint(self.blob)

    @property
    def openssh_line(self) -> str:
        """The key as one line of a .pub file, without a line end."""
        return f"{self.algorithm} {b64encode(self.blob).decode('ascii')} {self.comment}".rstrip()


def fingerprint(blob: bytes) -> str:
    """Return the SHA256 fingerprint of a key's wire form, as `ssh-keygen -l` prints it."""
    return "SHA256:" + b64encode(sha256(blob).digest()).decode("ascii").rstrip("=")


def clean_comment(text: str) -> str:
    """Fold white space, and show a mark for what could move a cursor, end a line or hide.

    A key's comment comes from outside and goes to terminals and into authorized_keys.
    """
    folded = " ".join(text.split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in folded)[:MAX_COMMENT_CHARS]


def read_public_key(data: bytes) -> PublicKey:
    """Read the one public key of a file that somebody sent.

    RefusedError says what is wrong and what to send instead: for a private key, a certificate, DSA, short RSA,
    several keys, none, or broken text.
    """
    text = _as_text(data)
    if _CERTIFICATE.search(text):
        raise RefusedError(f"this is a certificate; keys are trusted one by one here. {_HOW_TO_SEND}")
    lines = [match.groups(default="") for match in _OPENSSH_LINE.finditer(text)]
    blocks = list(_BLOCK.finditer(text))
    if len(lines) + len(blocks) > 1:
        raise RefusedError(
            f"{len(lines) + len(blocks)} keys stand in this file: "
            "put each into a file of its own and add them one by one"
        )
    if blocks:
        return _read_block(text[blocks[0].start() :])
    if lines:
        algorithm, body, comment = lines[0]
        return read_openssh_key(algorithm, body, clean_comment(comment))
    if _OPTIONS_LINE.search(text):
        raise RefusedError(
            "something is in front of the key, such as the options of an authorized_keys file: send the key alone; "
            "`ctsftp key add` takes --from and --expires"
        )
    raise RefusedError(f"no public key was found in this file. {_HOW_TO_SEND}")


def read_openssh_key(algorithm: str, body: str, comment: str) -> PublicKey:
    """Read a key from the fields of an OpenSSH line; RefusedError where it is broken or too weak.

    The body must be the one right spelling of the key: base64 readers skip what they don't know, and a key that
    was damaged on its way should not pass for another.
    """
    _check_algorithm(algorithm)
    key = _decode(f"{algorithm} {body}".encode())
    if b64encode(key.public_data).decode("ascii") != body:
        raise RefusedError(f"the {algorithm} key is not spelled as it should be (base64). {_HOW_TO_SEND}")
    return _accept(key, comment)


def refuse_private_key(data: bytes) -> None:
    """Raise RefusedError, loudly, where a text holds a private key of any kind."""
    # NUL goes first, since PowerShell's `>` writes UTF-16 and a private key in it is still one.
    if _PRIVATE_KEY.search(data.replace(b"\0", b"")):
        raise RefusedError(
            "THIS IS A PRIVATE KEY. It must never leave its owner's machine, and whoever has seen it can log in "
            f"with it: give it up, make a new pair, and send the public half only. {_HOW_TO_SEND}"
        )


def _as_text(data: bytes) -> str:
    if len(data) > MAX_KEY_FILE_BYTES:
        raise RefusedError(f"no public key is longer than {MAX_KEY_FILE_BYTES // 1024} KiB. {_HOW_TO_SEND}")
    refuse_private_key(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RefusedError("this text is UTF-16, as PowerShell's `>` writes it: save it as plain text (UTF-8 or ASCII)")
    if b"\0" in data:
        raise RefusedError(
            "this file is binary. If it is a PRIVATE KEY (.der, .p8, .p12, .pfx), it must never leave its owner's "
            f"machine. {_HOW_TO_SEND}"
        )
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    if not text.strip():
        raise RefusedError(f"this file is empty. {_HOW_TO_SEND}")
    return text


def _read_block(text: str) -> PublicKey:
    key = _decode(text.encode())
    comment = clean_comment((key.get_comment_bytes() or b"").decode(errors="replace"))
    return _accept(key, comment)


def _decode(data: bytes) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(data)
    except Exception:  # noqa: BLE001 - damaged keys also bring out Overflow-, Recursion- and cryptography's own errors
        raise RefusedError(f"the key is broken: it was cut, wrapped or changed on its way. {_HOW_TO_SEND}") from None


def _accept(key: asyncssh.SSHKey, comment: str) -> PublicKey:
    algorithm = key.get_algorithm()
    _check_algorithm(algorithm)
    bits = _BITS.get(algorithm) or _modulus_bits(key.public_data)
    if algorithm == _RSA and bits < MIN_RSA_BITS:
        raise RefusedError(
            f"this RSA key has {bits} bits, and fewer than {MIN_RSA_BITS} are too weak. Make a new key: {_ADVICE}"
        )
    if bits > MAX_RSA_BITS:
        raise RefusedError(f"this RSA key has {bits} bits, and {MAX_RSA_BITS} is the limit. Make a new key: {_ADVICE}")
    return PublicKey(algorithm=algorithm, bits=bits, blob=key.public_data, comment=comment)


def _check_algorithm(algorithm: str) -> None:
    if algorithm == "ssh-dss":
        raise RefusedError(f"this is a DSA key, which no longer protects anything. Make a new key: {_ADVICE}")
    if "-cert-v" in algorithm:
        raise RefusedError(f"this is a certificate; keys are trusted one by one here. {_HOW_TO_SEND}")
    if algorithm not in _ALGORITHMS:
        raise RefusedError(f"keys of the kind {algorithm[:60]!r} are not accepted. Make a new key: {_ADVICE}")


def _modulus_bits(blob: bytes) -> int:
    packet = SSHPacket(blob)
    packet.get_string()  # The algorithm's name, then the public exponent, then the modulus: RFC 4253 6.6.
    packet.get_mpint()
    return packet.get_mpint().bit_length()
