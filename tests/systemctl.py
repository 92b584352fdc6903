"""`systemctl` for a machine on which systemd runs nothing: it does with ctsftp's unit what systemd would.

The account, the environment, the folder, the umask and the command are the unit's; a start waits until it serves.
"""

import configparser
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

LOOK_AGAIN_S = 0.05


def systemctl(verb: str, *words: str) -> None:
    """Do with a unit what `systemctl enable --now`, `start`, `stop` and `restart` do, as far as ctsftp's asks for."""
    name = next(word for word in words if not word.startswith("-"))
    process = Path(f"/run/{name}.pid")
    if verb in {"stop", "restart"} and process.exists():
        os.kill(int(process.read_text()), signal.SIGTERM)
        while Path(f"/proc/{process.read_text()}/status").exists() and not _is_dead(process.read_text()):
            time.sleep(LOOK_AGAIN_S)
        process.unlink()
    if verb == "stop":
        return
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(f"/etc/systemd/system/{name}.service")
    service = unit["Service"]
    user, group = service["User"], service["Group"]
    log = Path(f"/run/{name}.log").open("w")  # noqa: SIM115  the service's from now on
    started = subprocess.Popen(
        [*shlex.split(f"setpriv --reuid={user} --regid={group} --init-groups"), *shlex.split(service["ExecStart"])],
        cwd=service["WorkingDirectory"],
        env=dict(word.split("=", 1) for word in shlex.split(service["Environment"])),
        umask=int(service["UMask"], 8),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    process.write_text(str(started.pid))
    while '"serving"' not in Path(log.name).read_text():
        if started.poll() is not None:
            sys.exit(Path(log.name).read_text())
        time.sleep(LOOK_AGAIN_S)


def _is_dead(pid: str) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


if __name__ == "__main__":
    systemctl(*sys.argv[1:])
