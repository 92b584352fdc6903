"""Each row of the contract's table, exported with that field of the form wrong and pushed through the real server."""

import re

import pytest

from ctsftp.contract.codes import Code
from ctsftp.contract.states import State
from ctsftp.demo.push import Program
from ctsftp.lists import parts

from .inprocess import FIXTURES, Row, Sender, exercises, ids, in_process
from .misconfigured import CASES, NAME, TITLE, Case, export

pytest_plugins = FIXTURES
pytestmark = in_process

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)

FIELDS = (
    "Name|Directory|Character Set|Field delimiter|Field enclosure|Column Header|Encryption/Compression|Select Object"
)
ADVICE = re.compile(rf"In the Connect job's form, set ({FIELDS}): [^.]+(\.csv)?\.$")
EARLIER = "VIP_Members_20240130_0905.csv"
EARLIER_MEMBERS = [11, 12, 13]
LENIENT = "refuse_at_close = false\n"


@pytest.fixture(autouse=True)
def _few_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a short list be as scattered as a list must not be."""
    monkeypatch.setattr(parts, "MAX_LIST_CONTAINERS", 999)


async def begin(sender: Sender, case: Case) -> None:
    """Give the client its settings, and the segment its members."""
    sender.configure(case.client_toml)
    sender.make_folder(case.directory)
    assert (await sender.put(EARLIER, ids(*EARLIER_MEMBERS)))["state"] == State.LOADED


async def check_rejected(sender: Sender, case: Case, filename: str) -> Row:
    """Check the ledger's answer, and that the segment is as it was."""
    row = await sender.newest(filename)
    assert (row["state"], row["code"]) == (State.REJECTED, case.code)
    for word in case.says:
        assert word in row["reason"]
    assert ADVICE.search(row["reason"]), "it names the field of the form and the value to choose"
    assert sender.members(TITLE) == EARLIER_MEMBERS
    segment = await sender.segment(TITLE)
    assert segment is not None
    assert segment["number"] == 1
    assert await sender.segments() == [TITLE]
    return row


@pytest.mark.slow
@each_case
async def test_a_wrong_export_fails_the_job_whichever_row_shows_it_and_the_corrected_one_loads(
    sender: Sender, case: Case
) -> None:
    await begin(sender, case)
    file = case.export()
    pushed = await sender.push(file)
    row = await check_rejected(sender, case, file.filename)
    assert not pushed.ok
    assert row["reason"] in pushed.output
    sender.configure("")
    corrected = await sender.push(export())
    assert corrected.ok, corrected.output
    assert (await sender.newest(NAME))["state"] == State.LOADED
    assert len(sender.members(TITLE)) > 20


@pytest.mark.slow
@each_case
async def test_the_answer_to_the_close_and_to_the_rename_is_the_ledgers_reason_unless_the_client_is_not_refused(
    sender: Sender, case: Case
) -> None:
    await begin(sender, case)
    file = case.export()
    answers = [await sender.send(file), await sender.send(file, temporary_name=True)]
    row = await check_rejected(sender, case, file.filename)
    assert answers == [row["reason"]] * 2
    sender.configure(case.client_toml + LENIENT)
    answers = [await sender.send(file), await sender.send(file, temporary_name=True)]
    lenient = await check_rejected(sender, case, file.filename)
    assert answers == ["", ""]
    assert lenient["reason"] == row["reason"]
    same_name = [one for one in await sender.ledger() if one["filename"] == row["filename"]]
    assert [(row["state"], row["code"]) for row in same_name] == [(State.REJECTED, case.code)] * 4


@pytest.mark.parametrize("program", ["sftp", "asyncssh"])
@exercises((State.RECEIVED, State.REJECTED), (State.RECEIVED, State.IGNORED), (State.LOADING, State.REJECTED))
async def test_a_refused_rename_leaves_the_temporary_file_and_a_lenient_one_moves_it(
    sender: Sender, program: Program
) -> None:
    wrong_name, wrong_header = (
        next(case for case in CASES if case.code is code) for code in (Code.NAME, Code.NO_HEADER)
    )
    for case in (wrong_name, wrong_header):
        file = case.export()
        home = sender.engine.spool.home(sender.name).files
        sender.configure("")
        refused = await sender.push(file, program=program, temporary_name=True)
        assert not refused.ok
        assert (await sender.newest(file.filename))["code"] == case.code
        assert (await sender.newest(f"{file.filename}.filepart"))["state"] == State.IGNORED
        assert [place.name for place in home.iterdir()] == [f"{file.filename}.filepart"]
        sender.configure(LENIENT)
        moved = await sender.push(file, program=program, temporary_name=True)
        assert moved.ok, moved.output
        assert (await sender.newest(file.filename))["code"] == case.code
        assert [place.name for place in home.iterdir()] == [file.filename]
        (home / file.filename).unlink()
