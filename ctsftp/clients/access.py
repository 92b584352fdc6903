"""Decides about a login: pure, so that every refusal can be tried without a server."""

from datetime import datetime
from typing import Final

import asyncssh

from ctsftp.clients.authorized_keys import KeyEntry, Refusal
from ctsftp.clients.folder import Client

_RSA: Final = b"ssh-rsa"
_RSA_SIGNATURES: Final = frozenset({b"rsa-sha2-256", b"rsa-sha2-512"})
_SHA1_SIGNATURE: Final = b"ssh-rsa"


def decide(client: Client | None, *, blob: bytes, address: str, now: datetime) -> KeyEntry | Refusal:
    """Return the line of authorized_keys that lets this key in, or why none does.

    `client` is None where there is no such client; `blob` is the offered key's `public_data`; `now` is aware. That the
    peer holds the key's private half, and signs well enough (`signature_algorithms`), is the SSH server's to verify.
    """
    if client is None:
        return Refusal.UNKNOWN_CLIENT
    if not client.config.enabled:
        return Refusal.DISABLED
    entry = client.keys.find(blob)
    if entry is None:
        return Refusal.UNKNOWN_KEY
    return entry.refusal(address, now) or entry


def signature_algorithms(key: asyncssh.SSHKey, *, allow_sha1: bool) -> set[bytes]:
    """Return the signatures to accept from a key, for its `all_sig_algorithms`.

    asyncssh advertises the server's `signature_algs` but verifies what the key object lists, which for RSA includes
    SHA-1 (RFC 8332 says why that must end). Old Java senders know nothing else, so a client may be allowed it.
    """
    if key.algorithm != _RSA:
        return set(key.all_sig_algorithms)
    return {*_RSA_SIGNATURES, _SHA1_SIGNATURE} if allow_sha1 else set(_RSA_SIGNATURES)
