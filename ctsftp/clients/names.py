"""The rule for a client's name, which is its folder's name and its SFTP user name alike."""

import re
from typing import Final

from ctsftp.errors import UsageError

# No dot and no slash: such a name can never lead out of keys/clients/, nor be hidden in it.
_CLIENT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SHOWN_CHARS: Final = 60


def is_client_name(name: str) -> bool:
    """Tell whether a client can have this name."""
    return _CLIENT_NAME.fullmatch(name) is not None


def check_client_name(name: str) -> str:
    """Return the name; UsageError, which says the rule, where no client can have it."""
    if is_client_name(name):
        return name
    shown = name if len(name) <= _SHOWN_CHARS else name[:_SHOWN_CHARS] + "..."
    raise UsageError(
        f"{shown!r} cannot be a client's name: use lower-case letters (a-z), digits, '-' and '_', "
        f"at most 32 in all, the first a letter or a digit"
    )
