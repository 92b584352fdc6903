"""Why an address cannot be listened on, and which setting is the one to change: the port's, or the host's."""

import errno
import os
import socket

UNPRIVILEGED_PORT = 1024  # the first that any account may listen on


def cannot_listen(exc: OSError, group: str, *, host: str, port: int, otherwise: str = "") -> str:
    """Say why a listener cannot be had, in one sentence; `group` is its settings', such as CTSFTP_SFTP.

    `otherwise` is what can be done as well, whatever the reason.
    """
    told = f"Cannot listen on port {port} of {host} ({cause(exc)})"
    if exc.errno == errno.EADDRINUSE and not isinstance(exc, socket.gaierror):
        told = f"Port {port} on {host} is already in use"
    return f"{told}: {_advice(exc, group, host, port)}{otherwise}, and start the server again."


def cause(exc: OSError) -> str:
    """Say in a few words why an address cannot be had; uvloop's text repeats the address."""
    if isinstance(exc, socket.gaierror) or exc.errno is None:
        return exc.strerror or str(exc)
    return os.strerror(exc.errno)


def _advice(exc: OSError, group: str, host: str, port: int) -> str:
    if isinstance(exc, socket.gaierror):
        return f"{host} is not a name that this machine knows: set {group}__HOST to an address of its own"
    if exc.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return f"{host} is not an address of this machine: set {group}__HOST to one that is, or to 0.0.0.0 for all"
    if exc.errno in {errno.EACCES, errno.EPERM} and 0 < port < UNPRIVILEGED_PORT:
        return f"give the server CAP_NET_BIND_SERVICE, or set {group}__PORT to {UNPRIVILEGED_PORT} or more"
    return f"stop what uses it, or set {group}__PORT to another one"
