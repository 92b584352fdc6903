"""npm's ssh2-sftp-client, driven by a small script; npm fetches it once a worker."""

import functools
import subprocess
import tempfile
from pathlib import Path

from ..e2e.conftest import require_program
from .post import Account

PACKAGE = "ssh2-sftp-client@12.1.1"
SCRIPT = Path(__file__).with_name("Ssh2Sender.js")


@functools.cache
def installed() -> tempfile.TemporaryDirectory[str]:
    """Install the package and put the script beside it; the folder goes when the worker ends."""
    npm = require_program("npm")
    folder = tempfile.TemporaryDirectory()
    options = ["--no-audit", "--no-fund", "--omit=optional", "--silent", "--cache", f"{folder.name}/cache"]
    subprocess.run([npm, "install", *options, PACKAGE], cwd=folder.name, check=True, capture_output=True, timeout=100)
    (Path(folder.name) / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
    return folder


class Ssh2:
    """ssh2-sftp-client; it reads keys of OpenSSH's form."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._node = require_program("node")
        self._script = f"{installed().name}/{SCRIPT.name}"

    def put(self, file: Path, name: str) -> None:
        account = self._account
        login = [str(account.port), account.client, str(account.keys.ed25519)]
        account.execute(self._node, self._script, *login, str(file), name)
