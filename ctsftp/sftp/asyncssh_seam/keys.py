"""Which signatures a key may make: a client's at its login, and the server's own. SHA-1 is what this is about.

asyncssh only advertises the option `signature_algs`; what a key object lists (`all_sig_algorithms` of a client's,
`sig_algorithms` of a host's) it does enforce.
"""

from collections.abc import Callable, Iterable

import asyncssh

SHA1_SIGNATURE = b"ssh-rsa"
HOST_RSA_SIGNATURES = (b"rsa-sha2-512", b"rsa-sha2-256")


class _Signatures(frozenset[bytes]):
    """The signature algorithms that a key may use; says so when it is asked for SHA-1, whether that may be used."""

    on_sha1: Callable[[bool], None]

    def __contains__(self, algorithm: object) -> bool:
        allowed = super().__contains__(algorithm)
        if algorithm == SHA1_SIGNATURE:
            self.on_sha1(allowed)
        return allowed


def allow_signatures(key: asyncssh.SSHKey, algorithms: Iterable[bytes], *, on_sha1: Callable[[bool], None]) -> None:
    """Let a client's key sign by these algorithms alone; `on_sha1` hears whether SHA-1 is, when the client uses it."""
    allowed = _Signatures(algorithms)
    allowed.on_sha1 = on_sha1
    key.all_sig_algorithms = allowed  # type: ignore[assignment]


def without_sha1(key: asyncssh.SSHKey) -> asyncssh.SSHKey:
    """Let an RSA host key sign with SHA-2 only."""
    if key.algorithm == b"ssh-rsa":
        key.sig_algorithms = HOST_RSA_SIGNATURES
    return key
