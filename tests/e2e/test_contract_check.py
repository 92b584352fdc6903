"""`ctsftp check` and the server agree: on 200 files made by chance, and on what a file would do to its segment."""

import asyncio
import bz2
import gzip
import json
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from ctsftp.admin.preview import preview
from ctsftp.clients.config import parse_config
from ctsftp.contract.codes import PAGES, Code
from ctsftp.contract.states import State
from ctsftp.demo.connect import ExportFile
from ctsftp.ingest.check import check
from ctsftp.store.store import Store

from .conftest import Box
from .inprocess import FIXTURES, Row, Sender, days_ahead, ids, in_process, stamp

pytest_plugins = FIXTURES

FILES = 200
SEED = 7  # of the corpus that holds something of everything
MORE_SEEDS = range(100, 110)
CLIENT_TOML = 'id_columns = ["Member Id"]\nmax_rows = 300\n'

WORDS = ["Basel", "Zürich", "東京", "Washington, D.C.", 'The "Boss"', "O'Neill", "", " ", "5", "a;b|c", "\t", "\u202e"]
SPOILED_IDS = [
    "",
    " ",
    "NULL",
    "1.23E+10",
    "12345.0",
    "-5",
    "0",
    "9" * 19,
    "１２",
    "x" * 99,
    "20,000,123",
    "1 2",
    "\x1b[2J",
]
ID_TITLES = ["CTUserID", "ctuserid", " CTUSERID ", '"CTUserID"', "Member Id", "member id"]
NO_ID_TITLES = ["RIID_", "CT_USER_ID", "'CTUserID'", "", "12345"]
CHARACTER_SETS = ["utf-8"] * 16 + ["utf-8-sig"] * 4 + ["latin-1", "shift_jis", "utf-16", "utf-16-le", "utf-32"]


class Maker:
    """Makes files; the same seed makes the same files."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  chance, not secrets

    def file(self, number: int) -> ExportFile:
        return ExportFile(self.name(number), self.pack(self.content()))

    def often(self, usual: Any, *others: Any, one_in: int = 8) -> Any:
        return self.random.choice(others) if self.random.randrange(one_in) == 0 else usual

    def name(self, number: int) -> str:
        title = self.random.choice(["VIP", "Gold Members", "会員", "Été", "a'b%s", "\u200fr", "_x_"]) + f"_{number}"
        date = self.often(stamp(self.random.randrange(1, 29), self.random.randrange(10_000)), days_ahead(30), one_in=20)
        separator = self.random.choice(["_", "_", "-", " ", ""])
        right = f"{title}{'_' if title[-1].isdigit() and not separator else separator}{date}.csv"
        wrong = [
            f"{title}.csv",
            f"{title}_20240230_0900.csv",
            f"{title}_{date}",
            f"{title}_{date}.txt",
            f"{title}_{date[:8]}_{date}.csv",
            f"_{number:04}{date}.csv",
            f"{title}_{date}.csv.gz",
            f"{title}_{date}.CSV",
            f"{title}_{date}.csv.filepart",
            f".{title}_{date}.csv",
            f"{title}.zip",
        ]
        return str(self.often(right, *wrong, one_in=6))

    def pack(self, content: bytes) -> bytes:
        def zipped(data: bytes) -> bytes:
            archive = BytesIO()
            with zipfile.ZipFile(archive, "w") as opened:
                opened.writestr(zipfile.ZipInfo("x.csv"), data)
            return archive.getvalue()

        def gzipped(data: bytes) -> bytes:
            return gzip.compress(data, mtime=0)

        packings: list[Callable[[bytes], bytes]] = [zipped, gzipped, bz2.compress, lambda _: b""]
        packing: Callable[[bytes], bytes] = self.often(lambda data: data, *packings, one_in=12)
        return packing(content)

    def content(self) -> bytes:
        titles = [f"COLUMN_{at}" for at in range(self.random.randrange(4))]
        title = self.often(self.random.choice(ID_TITLES), *NO_ID_TITLES, one_in=8)
        at = self.random.randrange(len(titles) + 1)
        titles.insert(at, title)
        if self.random.randrange(25) == 0:
            titles.append("ctuserid")
        delimiter = self.often(",", "\t", ";", "|", one_in=12)
        enclose = self.often(str, _in_double_quotes, _in_single_quotes, _in_double_quotes, one_in=5)
        sized = [0, 1, 2, 9, 10, 11, 99, 200, 300, 400]
        lines = [self.row(len(titles), at, delimiter, enclose) for _ in range(self.random.choice(sized))]
        if self.random.randrange(12):
            lines.insert(0, delimiter.join(map(enclose, titles)))
        end = self.random.choice(["\n", "\r\n"])
        text: str = end.join(lines) + (end if self.random.randrange(6) else "")
        text = self.often(text, text.replace("1", "\0", 1), text + "\n\n", "x" * (1 << 20) + text, one_in=25)
        joined = text + delimiter.join([*titles[::-1], "CTUserID", "x"]) + end
        text = self.often(text, text.replace("\n", "\r"), joined, joined, f'"{text}', one_in=12)
        return text.encode(self.random.choice(CHARACTER_SETS), "replace")

    def row(self, columns: int, at: int, delimiter: str, enclose: Callable[[str], str]) -> str:
        values = [self.random.choice(WORDS[:8]) if self.random.randrange(9) == 0 else "x" for _ in range(columns)]
        values[at] = (
            str(self.random.randrange(1, 3000)) if self.random.randrange(25) else self.random.choice(SPOILED_IDS)
        )
        line = delimiter.join(map(enclose, values))
        ragged = [line[: len(line) // 2], f"{line}{delimiter}more", "", "  ", f'{line}"', "x"]
        return str(self.often(line, *ragged, one_in=40))


def _in_double_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _in_single_quotes(text: str) -> str:
    return f"'{text}'"


async def say(sender: Sender, store: Store, place: Path) -> Row:
    """Check a file as the command does, with the database that the server writes."""
    config, problems = parse_config(CLIENT_TOML.encode())
    assert not problems
    found = await check(
        place,
        client=sender.name,
        config=config,
        settings=sender.server.settings.ingest,
        today=datetime.now(UTC).date(),
        store=store,
    )
    return found.as_json()


@in_process
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [SEED, *(pytest.param(seed, marks=pytest.mark.soak) for seed in MORE_SEEDS)])
async def test_check_and_the_server_agree_on_two_hundred_files(sender: Sender, tmp_path: Path, seed: int) -> None:
    sender.configure(CLIENT_TOML)
    maker = Maker(seed)
    seen: Counter[str] = Counter()
    store = await Store.open(sender.server.settings.database, clock=lambda: datetime.now(UTC), migrate=False)
    try:
        for number in range(FILES):
            file = maker.file(number)
            place = tmp_path / file.filename
            place.write_bytes(file.data)
            said = await say(sender, store, place)
            answer = await sender.send(file)
            row = await sender.newest(file.filename)
            compared = sorted(said.keys() & row.keys())
            assert {name: said[name] for name in compared} == {name: row[name] for name in compared}, file
            rejects = await sender.rejects(row["id"])
            assert [tuple(rejected.values()) for rejected in said["rejected_rows"]] == rejects, file
            assert answer in {"", row["reason"]}
            assert not answer or row["code"]
            if row["code"]:
                assert (said["setting"] or "") in row["reason"]
            seen[row["code"] or row["state"]] += 1
    finally:
        await store.close()
    if seed == SEED:
        check_holds_something_of_everything(seen, sender)


def check_holds_something_of_everything(seen: Counter[str], sender: Sender) -> None:
    # `check` is given a file, which stands in no folder of a home; ids that are scattered fill a large file.
    rejected = {code for code in Code if PAGES[code].kind == "rejected"} - {Code.DIRECTORY, Code.SCATTERED}
    assert seen.keys() >= rejected | {State.LOADED, State.IGNORED, Code.FUTURE}, seen
    assert seen[State.LOADED] > FILES / 4
    assert sender.seen() >= {Code.BYTE_ORDER_MARK, Code.NOT_UTF8, Code.NO_LAST_NEWLINE, Code.ENCLOSURE}


@in_process
@pytest.mark.parametrize(
    ("name", "members", "changes"),
    [
        (f"VIP_{stamp(3)}.csv", range(101, 301), (100, 100)),
        (f"vip_{stamp(3)}.csv", range(181, 301), (100, 180)),
        (f"VIP_{stamp(3)}.csv", range(1, 41), (0, 160)),
        (f"VIP_{stamp(3)}.csv", [], (0, 200)),
        (f"VIP_{stamp(2)}.csv", range(1, 201), (0, 0)),
        (f"VIP_{stamp(2)}.csv", range(1, 301), (100, 0)),
        (f"VIP_{stamp(1)}.csv", range(1, 201), (0, 0)),
        (f"VIP_{days_ahead(30)}.csv", range(1, 201), (0, 0)),
    ],
)
async def test_check_says_what_a_file_would_do_to_its_segment(
    sender: Sender, tmp_path: Path, name: str, members: list[int], changes: tuple[int, int]
) -> None:
    await sender.put(f"VIP_{stamp(2)}.csv", ids(*range(1, 201)))
    file = ExportFile(name, ids(*members))
    (tmp_path / name).write_bytes(file.data)
    said = await asyncio.to_thread(preview, sender.server.settings, tmp_path / name, sender.name)
    await sender.send(file)
    row = await sender.newest(name)
    compared = said.keys() & row.keys()
    if row["state"] == State.DUPLICATE:  # the ledger says what cannot change, `check` what is so now
        compared -= {"reason"}
        assert said["reason"].startswith("The same file was applied before. The segment has these members, since 20")
    assert {name: said[name] for name in compared} == {name: row[name] for name in compared}
    assert (said["entered"], said["left"]) == changes
    segment = await sender.segment("VIP")
    assert segment is not None
    if row["state"] == State.LOADED:
        assert (segment["entered"], segment["left"]) == changes


def test_the_command_line_tells_the_setting_and_its_exit_code_says_whether_it_would_load(box: Box) -> None:
    box.file(f"VIP_{stamp(1)}.csv", "CTUserID;CITY\n1;Basel\n")
    done = box.run("check", f"VIP_{stamp(1)}.csv", check=False)
    assert done.returncode == 1
    assert "Field delimiter: Comma" in done.stdout
    box.file(f"VIP_{stamp(2)}.csv", ids(1, 2, *range(1, 20), "x"))
    done = box.run("check", f"VIP_{stamp(2)}.csv", "--json")
    said = json.loads(done.stdout)
    assert (said["state"], said["rows"], said["rejected_rows"][0]["line"]) == ("loaded", 22, 23)
