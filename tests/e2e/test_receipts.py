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
    looks = [(f"ls -l {folder}", f"get {folder}/{NAME}*") for folder in ("/receipts", "/receipts/details")]
    done = served.sftp("acme", f"put {NAME}", *looks[0], *looks[1])
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
    assert {path.name for path in target.iterdir()} == {"00_INDEX.txt", "00_README.txt", f"{NAME}.txt", "details"}
    assert {path.name for path in (target / "details").iterdir()} == {f"{NAME}.json"}
    assert b"loaded" in (target / f"{NAME}.txt").read_bytes()


def test_whoever_sends_knows_of_every_file_by_the_index_and_of_the_rules_by_the_readme(served: Box) -> None:
    served.file(NAME, WRONG)
    served.file("VIP_Members_20261101_0901.csv", "CTUserID\n1001\n")
    served.file("VIP_Members_20261101_0901.txt", "1\n")
    done = served.sftp(
        "acme",
        *(f"-put {name}" for name in (NAME, "VIP_Members_20261101_0901.csv", "VIP_Members_20261101_0901.txt")),
        "mkdir tmp",
        "put VIP_Members_20261101_0901.csv tmp/VIP_Members_20261101_0902.csv",
        "get /receipts/00_*",
        "ls -1 /receipts",
    )
    assert done.returncode == 0, done.stderr
    lines = (served.folder / "00_INDEX.txt").read_text().splitlines()[3:]
    assert [line.split()[2:4] for line in lines] == [
        ["tmp/VIP_Members_20261101_0902.csv", "ignored"],
        ["VIP_Members_20261101_0901.txt", "ignored"],
        ["VIP_Members_20261101_0901.csv", "loaded"],
        [NAME, "rejected"],
    ]
    assert lines[0].endswith("the name or folder, if it is a list: this one is temporary")
    assert lines[-1].endswith("Field delimiter: Comma")
    assert served.serve is not None
    readme = (served.folder / "00_README.txt").read_text()
    assert f"Port                    {served.serve.port}" in readme
    assert "Username                acme" in readme
    listed = [line.strip().rpartition("/")[2] for line in done.stdout.splitlines() if line.startswith("/receipts/")]
    assert listed[:2] == ["00_INDEX.txt", "00_README.txt"]
    assert listed[-1] == "details"


def test_a_name_is_found_in_the_other_unicode_form(served: Box) -> None:
    split, composed = "Cafe\u0301_VIP_20261101_0900.csv", "Caf\u00e9_VIP_20261101_0900.csv"
    served.file(split, "CTUserID\n1001\n")
    done = served.sftp("acme", f"put {split}", f"ls -l {composed}", f"get {composed}", f"get /receipts/{composed}.txt")
    assert done.returncode == 0, done.stderr
    assert "loaded" in (served.folder / f"{composed}.txt").read_text()
