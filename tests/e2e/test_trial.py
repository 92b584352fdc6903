"""The files that a person sent who had nothing but the stock sftp: at each, the answer says what became of it.

She fails, hears a line, or reads nothing at all, and then the list is applied as it was meant.
"""

import gzip
import io
import zipfile
from dataclasses import dataclass

import pytest

from .conftest import Box

pytestmark = pytest.mark.slow

TITLE = "VIP_Members"
MEMBERS = range(1000, 1300)
COLUMNS = "CTUserID,EMAIL_,CITY_"


def lines(*rows: object, head: str = "CTUserID") -> str:
    return "".join(f"{row}\n" for row in (head, *rows))


def contacts(divider: str = ",", columns: str = COLUMNS) -> str:
    rows = (divider.join((str(one), f"m{one}@example.com", "Basel")) for one in MEMBERS)
    return lines(*rows, head=columns.replace(",", divider))


def workbook() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return written.getvalue()


def garbage(share: int) -> str:
    return lines(*(f"abc{one}" if one % share == 0 else one for one in MEMBERS))


REFUSED, TOLD, APPLIED, KEPT = "refused", "told", "applied", "kept"


@dataclass(frozen=True, slots=True)
class Sent:
    """A file, what the program says of it, and words of the sentence that its sender reads."""

    what: str
    name: str
    content: str | bytes
    answer: str
    says: str = ""


GOOD = contacts()
STAMP = "20260201_09"
SENT = [
    Sent("semicolons", f"{TITLE}_{STAMP}01.csv", contacts(";"), REFUSED, "set Field delimiter: Comma"),
    Sent("tabs", f"{TITLE}_{STAMP}02.csv", contacts("\t"), REFUSED, "separated by tabs"),
    Sent("pipes", f"{TITLE}_{STAMP}03.csv", contacts("|"), REFUSED, "separated by vertical bars"),
    Sent("no date", "VIP Members.csv", GOOD, REFUSED, "does not end in a date-time stamp"),
    Sent("day first", f"{TITLE}_28112026_0904.csv", GOOD, REFUSED, "28112026, which is not a date"),
    Sent("month 13", f"{TITLE}_20261332_0904.csv", GOOD, REFUSED, "20261332, which is not a date"),
    Sent("date twice", f"{TITLE}_20260201_{STAMP}04.csv", GOOD, REFUSED, "twice"),
    Sent("gzip", f"{TITLE}_{STAMP}05.csv", gzip.compress(GOOD.encode()), REFUSED, "Encryption/Compression: None"),
    Sent("workbook", f"{TITLE}_{STAMP}06.csv", workbook(), REFUSED, "an Excel workbook is one, too"),
    Sent("PGP", f"{TITLE}_{STAMP}07.csv", "-----BEGIN PGP MESSAGE-----\n\nhQ\n", REFUSED, "PGP"),
    Sent("name of gzip", f"{TITLE}_{STAMP}07.csv.gz", gzip.compress(GOOD.encode()), REFUSED, "Compression: None"),
    Sent("UTF-16", f"{TITLE}_{STAMP}08.csv", GOOD.encode("utf-16"), REFUSED, "set Character Set: UTF-8"),
    Sent("no header", f"{TITLE}_{STAMP}09.csv", GOOD.partition("\n")[2], REFUSED, "set Column Header: True"),
    Sent("USER_ID", f"{TITLE}_{STAMP}10.csv", contacts(columns="USER_ID,EMAIL_,CITY_"), REFUSED, "is titled CTUserID"),
    Sent("RIID_", f"{TITLE}_{STAMP}11.csv", lines(*MEMBERS, head="RIID_"), REFUSED, "no field was selected"),
    Sent("no bytes", f"{TITLE}_{STAMP}12.csv", "", REFUSED, "empty"),
    Sent("error page", f"{TITLE}_{STAMP}13.csv", "<html>\n<body>Error 500</body>\n</html>\n", REFUSED, "CTUserID"),
    Sent("two id columns", f"{TITLE}_{STAMP}14.csv", lines("1,1", head="CTUserID,ctuserid"), REFUSED, "CTUserID"),
    Sent(".txt", f"{TITLE}_{STAMP}15.txt", GOOD, REFUSED, ".csv"),
    Sent("spreadsheet", f"{TITLE}_{STAMP}16.csv", lines(*["1.23E+10"] * 300), REFUSED, "1.23E+10"),
    Sent("a quarter garbage", f"{TITLE}_{STAMP}17.csv", garbage(4), REFUSED, "abc1000"),
    Sent("ten bad rows", f"{TITLE}_{STAMP}18.csv", garbage(30), TOLD, "10 of 300 rows"),
    Sent("nobody", f"{TITLE}_{STAMP}19.csv", lines(), TOLD, "is held (empty)"),
    Sent("a few", f"{TITLE}_{STAMP}20.csv", lines(*MEMBERS[:20]), TOLD, "is held (shrunk)"),
    Sent("the future", f"{TITLE}_20990101_0900.csv", GOOD, TOLD, "is held (future)"),
    Sent("an old one", f"{TITLE}_20250101_0900.csv", GOOD, TOLD, "is superseded"),
    Sent("a retired segment", f"Old_Friends_{STAMP}00.csv", GOOD, REFUSED, "retired"),
    Sent("a trial in a folder", f"test/{TITLE}_{STAMP}21.csv", lines(1), REFUSED, "set Directory: /"),
    Sent("cut in an id", f"{TITLE}_{STAMP}22.csv", lines(*MEMBERS)[:-3], TOLD, "is held (unfinished)"),
    Sent("line ends of a Mac", f"{TITLE}_{STAMP}23.csv", GOOD.replace("\n", "\r"), REFUSED, "CR"),
    Sent("a Windows path", f"C:\\{TITLE}_{STAMP}24.csv", GOOD, REFUSED, "Windows"),
    Sent("a temporary name", f"{TITLE}_{STAMP}25.csv.filepart", GOOD, KEPT),
    Sent("Windows' line ends", f"{TITLE}_{STAMP}26.csv", GOOD.replace("\n", "\r\n"), APPLIED),
    Sent(
        "with enclosure", f"{TITLE}_{STAMP}27.csv", '"CTUserID"\n' + "".join(f'"{one}"\n' for one in MEMBERS), APPLIED
    ),
    Sent("right", f"{TITLE}_{STAMP}28.csv", GOOD, APPLIED),
    Sent("right, again", f"{TITLE}_{STAMP}28.csv", GOOD, APPLIED),
]


@pytest.fixture
def trial(acme: Box) -> Box:
    """A server with the segment that the files are for, and one that is retired."""
    acme.put("acme", f"{TITLE}_20260101_0900.csv", GOOD)
    acme.put("acme", "Old_Friends_20260101_0900.csv", GOOD)
    acme.run("segment", "retire", "Old_Friends")
    acme.sftp("acme", "mkdir test")
    return acme


def test_whoever_sends_the_files_of_the_trial_hears_at_each_what_became_of_it(
    trial: Box, subtests: pytest.Subtests
) -> None:
    assert len(SENT) == 36
    for sent in SENT:
        with subtests.test(sent=sent.what):
            trial.file("sent", sent.content)
            done = trial.sftp("acme", f"put sent '{sent.name}'".replace("\\", "\\\\"), "ls -1 receipts")
            assert (done.returncode != 0) is (sent.answer == REFUSED), done.stderr
            assert sent.says in done.stderr
            if sent.answer in {APPLIED, KEPT}:
                assert done.stderr == ""
    rows = {row["filename"]: row["state"] for row in reversed(trial.json("upload", "list"))}
    for sent in SENT:
        with subtests.test(ledger=sent.what):
            state = rows[sent.name.rpartition("/")[2]]
            wanted = {
                REFUSED: {"rejected", "retired"},
                TOLD: {"loaded", "held", "superseded"},
                APPLIED: {"loaded", "duplicate"},
                KEPT: {"ignored"},
            }
            assert state in wanted[sent.answer]
    read = trial.sftp("acme", "get receipts/00_INDEX.txt index")
    assert read.returncode == 0, read.stderr
    index = (trial.folder / "index").read_text()
    assert all(sent.name.rpartition("/")[2] in index for sent in SENT if sent.answer != KEPT)
