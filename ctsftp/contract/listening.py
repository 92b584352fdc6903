"""Why an address cannot be listened on, and which setting is the one to change: the port's, or the host's."""

import errno
import os
import socket

UNPRIVILEGED_PORT = 1024  # the first that any account may listen on


def cannot_listen(exc: OSError, group: str, *, host: str, port: int, otherwise: str = "") -> str:
    """Say why a listener cannot be had, in one sentence; `group` is its settings', such as CTSFTP_SFTP.

    `otherwise` is what can be done as well, whatever the reason.
    """
    named = not isinstance(exc, socket.gaierror) and exc.errno is not None
    why = os.strerror(exc.errno or 0) if named else exc.strerror or str(exc)
    told = f"Port {port} on {host} cannot be listened on ({why})"
    return f"{told}: {_advice(exc, group, host, port)}{otherwise}."


def _advice(exc: OSError, group: str, host: str, port: int) -> str:
    if isinstance(exc, socket.gaierror):
        return f"{host} is no name that this machine knows, so set {group}__HOST to an address of its own"
    if exc.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return f"{host} is no address of this machine, so set {group}__HOST to one that is, or to 0.0.0.0 for all"
    if exc.errno in {errno.EACCES, errno.EPERM} and 0 < port < UNPRIVILEGED_PORT:
        return f"give the server CAP_NET_BIND_SERVICE, or set {group}__PORT to {UNPRIVILEGED_PORT} or more"
    return f"stop what uses it, or set {group}__PORT to another one"
