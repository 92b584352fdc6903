import hashlib
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import Byte, MPInt, String, UInt32
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ctsftp.clients.keys import MAX_COMMENT_CHARS, MAX_KEY_FILE_BYTES, PublicKey, read_public_key
from ctsftp.errors import RefusedError

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")

KINDS = [
    ("ssh-ed25519", 256),
    ("ecdsa-sha2-nistp256", 256),
    ("ecdsa-sha2-nistp384", 384),
    ("ecdsa-sha2-nistp521", 521),
    ("ssh-rsa", 2048),
]
PPK = b"""PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: made up
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAA
Private-Lines: 1
AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
Private-MAC: 00
"""


pair = cache(asyncssh.generate_private_key)


def wire_line(*parts: bytes) -> bytes:
    """Return an OpenSSH line for a wire form that is put together by hand."""
    blob = b"".join(parts)
    algorithm = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    return PublicKey(algorithm=algorithm, bits=0, blob=blob).openssh_line.encode()


@pytest.mark.parametrize(("algorithm", "bits"), KINDS)
@pytest.mark.parametrize("form", ["openssh", "rfc4716", "pkcs8-pem"])
def test_every_good_key_is_read_from_every_form(ring: Any, algorithm: str, bits: int, form: str) -> None:
    pair = ring.pair(0, algorithm)

    key = read_public_key(pair.export_public_key(form))

    assert (key.algorithm, key.bits, key.blob) == (algorithm, bits, pair.public_data)
    assert key.fingerprint == pair.get_fingerprint()
    assert key.comment == ("" if form == "pkcs8-pem" else "key-0")
    assert read_public_key(key.openssh_line.encode()) == key


def test_the_old_pem_of_rsa_is_read_too(ring: Any) -> None:
    pair = ring.pair(0, "ssh-rsa")

    assert read_public_key(pair.export_public_key("pkcs1-pem")).blob == pair.public_data


@needs_ssh_keygen
@pytest.mark.parametrize("form", ["RFC4716", "PKCS8"])
def test_what_ssh_keygen_exports_has_the_fingerprint_that_ssh_keygen_prints(
    tmp_path: Path, ring: Any, form: str
) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(ring.text(0, "ecdsa-sha2-nistp256"))
    exported = subprocess.run(["ssh-keygen", "-e", "-m", form, "-f", path], capture_output=True, check=True).stdout
    printed = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, check=True, text=True).stdout

    key = read_public_key(exported)

    assert printed.split()[:2] == [str(key.bits), key.fingerprint]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"\n  " + text.rstrip(b"\n"),
        lambda text: b"# the key of our export job\n\n" + text,
    ],
    ids=["CR LF", "a byte-order mark", "white space and no line end", "a comment before it"],
)
def test_what_editors_do_to_a_file_does_no_harm(ring: Any, wrap: Any) -> None:
    assert read_public_key(wrap(ring.text())) == ring.public()


def test_a_comment_cannot_carry_what_moves_a_cursor_or_makes_a_line() -> None:
    body = asyncssh.generate_private_key("ssh-ed25519").export_public_key().split()[1]

    key = read_public_key(
        b"ssh-ed25519 " + body + b" \x1b[2Jone\x0btwo \xe2\x80\xa8three\xff\xe2\x80\xae " + b"x" * 5000
    )

    assert key.comment.isprintable()
    assert key.comment.startswith("\ufffd[2Jone two three\ufffd\ufffd xxx")
    assert len(key.comment) == MAX_COMMENT_CHARS
    assert "\n" not in key.openssh_line


@cache
def private_keys() -> dict[str, bytes]:
    pair = asyncssh.generate_private_key("ssh-rsa")
    formats = {form: pair.export_private_key(form) for form in ("openssh", "pkcs1-pem", "pkcs8-pem")}
    formats["encrypted"] = pair.export_private_key("pkcs8-pem", "a passphrase")
    formats["PuTTY"] = PPK
    formats["PuTTY without its head"] = PPK[PPK.index(b"Private-Lines") :]
    formats["ssh.com"] = (
        b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAAA\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n"
    )
    formats["without its frame"] = b"\n".join(formats["openssh"].splitlines()[1:-1])
    formats["behind its public half"] = pair.export_public_key() + formats["openssh"]
    formats["UTF-16"] = formats["openssh"].decode().encode("utf-16")
    return formats


@pytest.mark.parametrize(
    "form",
    [
        "openssh",
        "pkcs1-pem",
        "pkcs8-pem",
        "encrypted",
        "PuTTY",
        "PuTTY without its head",
        "ssh.com",
        "without its frame",
        "behind its public half",
        "UTF-16",
    ],
)
def test_a_private_key_is_refused_loudly_and_not_repeated(form: str) -> None:
    data = private_keys()[form]

    with pytest.raises(RefusedError, match=r"PRIVATE KEY.*make a new pair.*\.pub") as caught:
        read_public_key(data)
    assert all(word.decode("latin-1") not in str(caught.value) for word in data.split() if len(word) > 20)


def test_a_binary_file_is_refused_as_what_may_be_private(ring: Any) -> None:
    for form in ("pkcs8-der", "pkcs1-der"):
        with pytest.raises(RefusedError, match=r"binary.*PRIVATE KEY"):
            read_public_key(ring.pair(0, "ssh-rsa").export_private_key(form))


def certificate() -> bytes:
    authority, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    return authority.generate_user_certificate(user, "job").export_certificate()


def export(kind: str, form: str = "openssh", **size: Any) -> bytes:
    return asyncssh.generate_private_key(kind, **size).export_public_key(form)


def rsa(exponent: int, modulus: int) -> bytes:
    return wire_line(String("ssh-rsa"), MPInt(exponent), MPInt(modulus))


OFF_ITS_CURVE = wire_line(String("ecdsa-sha2-nistp256"), String("nistp256"), String(b"\4" + b"\1" * 64))
FIXED = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB08+HjHen7Zoy5QF6mb8nIRbC8GMZghx5Dago5XCblm job\n"
# Each case makes its text when it is tried, since keys differ from worker to worker and take their time.
REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    ("nothing", lambda: b"", "empty"),
    ("white space", lambda: b" \r\n\t\n", "empty"),
    ("a sentence", lambda: b"please find my key attached", "no public key was found"),
    ("a kind alone", lambda: b"ssh-ed25519\n", "no public key was found"),
    ("short RSA", lambda: export("ssh-rsa", key_size=1024), "1024 bits, and fewer than 2048"),
    ("short RSA in PEM", lambda: export("ssh-rsa", "pkcs8-pem", key_size=1024), "1024 bits, and fewer than 2048"),
    ("DSA", lambda: export("ssh-dss"), "DSA"),
    ("DSA in RFC 4716", lambda: export("ssh-dss", "rfc4716"), "DSA"),
    ("DSA in PEM", lambda: export("ssh-dss", "pkcs8-pem"), "DSA"),
    ("Ed448", lambda: export("ssh-ed448"), "'ssh-ed448' are not accepted"),
    ("a certificate", certificate, "certificate"),
    ("X.509", lambda: b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "certificate"),
    ("two keys", lambda: FIXED + FIXED, "2 keys stand in this file.*one by one"),
    ("two forms", lambda: FIXED + export("ssh-ed25519", "rfc4716"), "2 keys stand in this file"),
    ("an authorized_keys line", lambda: b'from="10.0.0.1" ' + FIXED, "something is in front of the key.*--from"),
    ("a cut key", lambda: FIXED[:50], "broken"),
    ("a wrapped key", lambda: FIXED[:40] + b"\n" + FIXED[40:], "broken"),
    ("a foreign character inside", lambda: FIXED[:50] + b"!" + FIXED[50:], "not spelled"),
    ("another kind's name", lambda: FIXED.replace(b"ssh-ed25519", b"ssh-rsa"), "broken"),
    ("RFC 4716 without its end", lambda: b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3\n", "broken"),
    ("PEM of nothing", lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "broken"),
    ("UTF-16", lambda: FIXED.decode().encode("utf-16"), "UTF-16"),
    ("a big file", lambda: b"#" * (MAX_KEY_FILE_BYTES + 1), "64 KiB"),
    ("endless RSA", lambda: rsa(65537, 2**16384 + 1), "16385 bits, and 16384"),
    ("negative RSA", lambda: rsa(65537, -(2**2048)), "broken"),
    ("RSA with exponent 1", lambda: rsa(1, 2**2048 + 1), "broken"),
    ("a point off its curve", lambda: OFF_ITS_CURVE, "broken"),
]


@pytest.mark.parametrize(("make", "reason"), [pytest.param(make, reason, id=name) for name, make, reason in REFUSED])
def test_what_is_no_good_key_is_refused_with_its_reason(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(RefusedError, match=f"(?s){reason}"):
        read_public_key(make())


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_no_bytes_whatever_bring_out_anything_but_a_refusal(data: bytes) -> None:
    with pytest.raises(RefusedError):
        read_public_key(data)


@settings(deadline=None)
@given(data=st.data(), form=st.sampled_from(["openssh", "rfc4716", "pkcs8-pem"]), kind=st.sampled_from(KINDS))
def test_damage_makes_a_refusal_or_a_sound_key(data: st.DataObject, form: str, kind: tuple[str, int]) -> None:
    text = pair(kind[0]).export_public_key(form)
    at = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.binary(max_size=3))
    try:
        key = read_public_key(text[:at] + junk + text[at + data.draw(st.integers(0, 30)) :])
    except RefusedError:
        return
    assert read_public_key(key.openssh_line.encode()) == key


class SecurityKey:
    """An Ed25519 security key in software: it signs as PROTOCOL.u2f of OpenSSH says."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        point = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.line = wire_line(String("sk-ssh-ed25519@openssh.com"), String(point), String("ssh:"))

    def sign(self, data: bytes, *, touched: bool) -> bytes:
        state = Byte(1 if touched else 0) + UInt32(7)
        signed = hashlib.sha256(b"ssh:").digest() + state + hashlib.sha256(data).digest()
        return String("sk-ssh-ed25519@openssh.com") + String(self.private.sign(signed)) + state


def test_security_keys_are_accepted_because_asyncssh_verifies_them_and_their_touch() -> None:
    token = SecurityKey()
    read = read_public_key(token.line)
    key = asyncssh.import_public_key(read.openssh_line)
    key.set_touch_required(touch_required=True)  # As asyncssh's server does for each login.

    assert (read.algorithm, read.bits) == ("sk-ssh-ed25519@openssh.com", 256)
    assert key.verify(b"session", token.sign(b"session", touched=True))
    assert not key.verify(b"session", token.sign(b"session", touched=False))
    assert not key.verify(b"another", token.sign(b"session", touched=True))
