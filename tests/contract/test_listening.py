"""A listener that cannot be had: the setting that is named is the one at fault."""

import errno
import socket

import pytest

from ctsftp.contract.listening import cannot_listen


@pytest.mark.parametrize(
    ("exc", "port", "told"),
    [
        (
            OSError(errno.EADDRINUSE, "in use"),
            2022,
            "is already in use: stop what uses it, or set CTSFTP_X__PORT",
        ),
        (
            OSError(errno.EADDRNOTAVAIL, ""),
            2022,
            "h is not an address of this machine: set CTSFTP_X__HOST to one that is",
        ),
        (OSError(errno.EAFNOSUPPORT, ""), 2022, "h is not an address of this machine: set CTSFTP_X__HOST"),
        (socket.gaierror(-2, "Name or service not known"), 22, "(Name or service not known): h is not a name"),
        (OSError(errno.EACCES, ""), 22, "give the server CAP_NET_BIND_SERVICE, or set CTSFTP_X__PORT to 1024 or more"),
        (OSError(errno.EACCES, ""), 2022, "set CTSFTP_X__PORT to another one"),
        (OSError("no more words"), 2022, "(no more words): stop what uses it"),
    ],
)
def test_the_setting_at_fault_is_named(exc: OSError, port: int, told: str) -> None:
    said = cannot_listen(exc, "CTSFTP_X", host="h", port=port, otherwise=", or leave it")
    in_use = exc.errno == errno.EADDRINUSE
    assert said.startswith(f"Port {port} on h is already in use" if in_use else f"Cannot listen on port {port} of h (")
    assert told in said
    assert said.endswith(", or leave it, and start the server again.")
    assert ("__HOST" in said) is (exc.errno not in {errno.EADDRINUSE, errno.EACCES, None})
