"""A sender with nothing but its own program finds out what became of its file."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, Box, require_program

NAME = "VIP_Members_20261101_0900.csv"
WRONG = "RIID_;CTUserID;CITY_\n1;1001;Basel\n"


@pytest.fixture
def served(box: Box) -> Box:
    require_program("sftp")
    box.add_client("acme")
    box.start()
    return box


def test_the_refused_sender_reads_why_in_the_same_session(served: Box) -> None:
    served.file(NAME, WRONG)
    done = served.sftp("acme", f"-put {NAME}", f"get /receipts/{NAME}.txt", f"get /receipts/{NAME}.json")
    assert done.returncode == 0, done.stderr
    text = (served.folder / f"{NAME}.txt").read_text()
    assert "State       rejected (delimiter)" in text
    assert "To change   Field delimiter: Comma" in text
    assert json.loads((served.folder / f"{NAME}.json").read_text())["setting"] == "Field delimiter: Comma"


def test_a_loaded_file_shows_its_counts_and_its_rejected_rows(served: Box) -> None:
    served.file(NAME, "CTUserID\n1001\n1002\n" + "\n".join(str(one) for one in range(1, 30)) + "\n1.23E+10\n")
    done = served.sftp("acme", f"put {NAME}", "ls -l /receipts", f"get /receipts/{NAME}*")
    assert done.returncode == 0, done.stderr
    fetched = {path.name: path.read_bytes() for path in served.folder.glob(f"{NAME}.*")}
    assert set(fetched) == {f"{NAME}.txt", f"{NAME}.json", f"{NAME}.rejected.csv"}
    assert b"1.23E+10" in fetched[f"{NAME}.rejected.csv"]
    for name, data in fetched.items():
        [line] = [line for line in done.stdout.splitlines() if line.endswith(f" {name}")]
        assert int(line.split()[4]) == len(data)


def test_rclone_which_checks_sizes_copies_the_folder(served: Box, tmp_path: Path) -> None:
    rclone = require_program("rclone")
    served.put("acme", NAME, "CTUserID\n1001\n")
    assert served.serve is not None
    target = tmp_path / "copied"
    remote = f":sftp,host=127.0.0.1,port={served.serve.port},user=acme,key_file={served.folder / 'acme_key'}:"
    subprocess.run(
        [rclone, "copy", "--config", "/dev/null", f"{remote}/receipts", str(target)],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert {path.name for path in target.iterdir()} == {f"{NAME}.txt", f"{NAME}.json"}
    assert b"loaded" in (target / f"{NAME}.txt").read_bytes()
