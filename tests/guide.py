"""A copy of this machine that forgets what is done to it: its writes go to memory, and its mounts are its own.

systemd runs nothing in there, so `systemctl` is ours, and does with the unit what systemd would: the account, the
environment, the folder and the command that the unit says.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

TOP = Path(__file__).parent.parent
PATIENCE_S = 300
CHECKOUT = "/root/checkout"
SYSTEMCTL = "/usr/local/sbin/systemctl"


class Machine:
    """Runs shell blocks in the copy, as root unless a block says otherwise."""

    def __init__(self, inside: subprocess.Popen[bytes], root: Path) -> None:
        self._inside = inside
        self._root = root

    def sh(self, text: str, *, home: str = "/root", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a block from a folder, as an admin's shell with `set -e` would."""
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/{self._inside.pid}/ns/mnt", "chroot", str(self._root), "sh", "-e"],
            input=f"cd {home}\n{text}",
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": home,
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if check:
            assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done


@contextmanager
def machine() -> Iterator[Machine]:
    """Make the copy, with a checkout in root's home; skip where nobody may, or fail if nothing may be skipped."""
    with TemporaryDirectory() as folder:
        root = Path(folder, "root")
        make = (
            f"mount -t tmpfs tmpfs {folder} && mkdir {folder}/up {folder}/work {root}"
            f" && mount -t overlay overlay -o lowerdir=/,upperdir={folder}/up,workdir={folder}/work {root}"
            f" && mount --bind /proc {root}/proc && mount --bind /dev {root}/dev && echo made && exec cat"
        )
        command = ["unshare", "--mount", "sh", "-c", make]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as inside:
            assert inside.stdin
            assert inside.stdout
            assert inside.stderr
            if inside.stdout.readline() != b"made\n":
                why = f"no copy of this machine can be mounted: {inside.stderr.read().decode()}"
                if os.environ.get("CTSFTP_TESTS_NO_SKIP") and not os.environ.get("CTSFTP_TESTS_NO_MOUNT"):
                    pytest.fail(why)
                pytest.skip(why)
            made = Machine(inside, root)
            try:
                made.sh(f"rm -rf {CHECKOUT} && mkdir -p {CHECKOUT} && chmod 700 /root")
                for name in ("ctsftp", "deploy", "pyproject.toml", "README.md"):
                    made.sh(f"cp -r {TOP / name} {CHECKOUT}/")
                fake = Path(__file__).with_name("systemctl.py")
                made.sh(
                    f"printf '#!/bin/sh\nexec {sys.executable} {fake} \"$@\"\n' > {SYSTEMCTL} && chmod 755 {SYSTEMCTL}"
                )
                yield made
            finally:
                made.sh("systemctl stop ctsftp", check=False)
                inside.stdin.close()
                inside.wait(PATIENCE_S)
