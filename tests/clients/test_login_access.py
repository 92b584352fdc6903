from datetime import UTC, datetime, timedelta
from typing import Any

import asyncssh
import pytest

from ctsftp.clients.access import decide, signature_algorithms
from ctsftp.clients.authorized_keys import Refusal, format_line, parse_authorized_keys
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Client

NOON = datetime(2031, 5, 6, 12, 0, 0, tzinfo=UTC)


def client(*lines: str, **config: Any) -> Client:
    return Client(name="acme", config=ClientConfig(**config), keys=parse_authorized_keys("\n".join(lines).encode()))


def test_a_key_of_the_client_gets_its_line(ring: Any) -> None:
    acme = client(ring.line(1), ring.line(2))

    assert decide(acme, blob=ring.pair(2).public_data, address="10.0.0.1", now=NOON) == acme.keys.entries[1]


@pytest.mark.parametrize(
    ("number", "address", "later", "config", "refusal"),
    [
        (1, "10.0.0.1", 0, {}, None),
        (2, "10.0.0.1", 0, {}, Refusal.UNKNOWN_KEY),
        (1, "11.0.0.1", 0, {}, Refusal.OUTSIDE_FROM),
        (1, "10.0.0.1", 1, {}, Refusal.EXPIRED),
        (1, "10.0.0.1", 0, {"enabled": False}, Refusal.DISABLED),
        (2, "11.0.0.1", 1, {"enabled": False}, Refusal.DISABLED),
    ],
)
def test_each_refusal_has_its_cause(
    *, ring: Any, number: int, address: str, later: int, config: dict[str, bool], refusal: Refusal | None
) -> None:
    line = format_line(ring.public(1), from_patterns=["10.0.0.0/8"], expires=NOON + timedelta(hours=1))
    acme = client(line, **config)

    answer = decide(acme, blob=ring.pair(number).public_data, address=address, now=NOON + timedelta(hours=later))

    assert answer == (refusal or acme.keys.entries[0])


def test_a_client_that_is_not_there_has_a_cause_too(ring: Any) -> None:
    assert decide(None, blob=ring.pair().public_data, address="10.0.0.1", now=NOON) is Refusal.UNKNOWN_CLIENT


@pytest.mark.parametrize(
    ("algorithm", "allow_sha1", "verified"),
    [
        ("ssh-rsa", False, False),
        ("ssh-rsa", True, True),
        ("rsa-sha2-256", False, True),
        ("rsa-sha2-512", True, True),
        ("ssh-rsa-sha224@ssh.com", True, False),
    ],
)
def test_a_sha1_signature_verifies_only_where_it_is_allowed(
    ring: Any, algorithm: str, *, allow_sha1: bool, verified: bool
) -> None:
    pair = ring.pair(0, "ssh-rsa")
    key = asyncssh.import_public_key(pair.export_public_key())
    signature = pair.sign(b"session", algorithm.encode())

    key.all_sig_algorithms = signature_algorithms(key, allow_sha1=allow_sha1)

    assert key.verify(b"session", signature) is verified


def test_keys_that_know_no_sha1_keep_all_of_their_signatures(ring: Any) -> None:
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        key = ring.pair(0, kind)
        assert signature_algorithms(key, allow_sha1=False) == key.all_sig_algorithms == {kind.encode()}
