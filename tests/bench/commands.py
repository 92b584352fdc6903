"""What a command costs that a person types: the CPU of its process, by itself and all that it imports.

CPU and not time, so that a busy machine measures the same; a quiet one takes about as long.
"""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from .servers import Ours
from .table import Row, seconds

ROUNDS = 7
READ_S, HELP_S = 0.25, 0.1
SEGMENTS = 3
READS = ("segment list", "segment list --json", "upload list", "segment show list_1", "gate list", "login list")


def command_rows(folder: Path) -> list[Row]:
    """Ask a server that runs, and print help."""
    server = Ours(folder / "ours")
    for number in range(SEGMENTS):
        name, since = f"List_{number}_20261123_0900.csv", server.serve.mark()
        (folder / name).write_text(f"CTUserID\n{number + 1}\n")
        subprocess.run(server.sftp(), input=f"put {folder / name} /{name}\n", text=True, check=True)
        server.wait_for_verdict(name, since)
    rows = [_row(server, words, READ_S) for words in READS]
    rows += [_row(server, words, HELP_S) for words in ("--help", "segment --help", "segment list --help")]
    rows.append(_row(server, "", HELP_S, work="completion of `ctsftp segment l`", **_completing("segment l")))
    server.stop()
    return rows


def _row(server: Ours, words: str, bar_s: float, *, work: str = "", **variables: str) -> Row:
    took = [_cpu_s(server, words.split(), variables) for _ in range(ROUNDS)]
    work = work or f"`ctsftp {words}`"
    return Row(f"{work}, CPU", "", seconds(took), "", median(took), bar_s, " s", at_most=True)


def _cpu_s(server: Ours, words: list[str], variables: dict[str, str]) -> float:
    command = [str(Path(sys.executable).with_name("ctsftp")), *words]
    env = {**server.box.env, **variables}
    with subprocess.Popen(command, cwd=server.box.folder, env=env, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return used.ru_utime + used.ru_stime


def _completing(words: str) -> dict[str, str]:
    """Ask as bash does when somebody presses the tabulator (click's own protocol)."""
    return {
        "_CTSFTP_COMPLETE": "bash_complete",
        "COMP_WORDS": f"ctsftp {words}",
        "COMP_CWORD": str(len(words.split())),
    }
