"""The guided tour: the five steps of the feed's description, done live on a server of its own, and what follows them.

Whatever number or name it prints was read back from the server, its database or its answer, and compared
with what the sample says must come out. A step that ends otherwise ends the tour with an error.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

import httpx

from ctsftp.admin.sheet import connection_sheet
from ctsftp.admin.work import run
from ctsftp.app.clock import utc_now
from ctsftp.cli.output import Column, print_facts, print_table
from ctsftp.cli.segment import COLUMNS as SEGMENT_COLUMNS
from ctsftp.cli.upload import COLUMNS as UPLOAD_COLUMNS
from ctsftp.contract.codes import PAGES, Code
from ctsftp.contract.names import segment_key
from ctsftp.contract.states import State
from ctsftp.demo import screen, visit
from ctsftp.demo.connect import ExportFile, ExportJob, SqlQuery
from ctsftp.demo.push import PushResult
from ctsftp.demo.stage import CLIENT, Stage, quiet_logs
from ctsftp.errors import CtsftpError, TourError
from ctsftp.model.commands import SetGate
from ctsftp.model.records import Segment, Upload

TOUR_TIMEOUT_S = 120
SHOWN_LINES = 3
SHOWN_IDS = 3

AUDIENCE: Final = """\
SELECT CTUserID, TIER, FIRST_NAME
FROM CONTACTS
WHERE TIER = 'Gold' AND EMAIL_PERMISSION_STATUS_ = 'I' AND CTUserID IS NOT NULL
ORDER BY RIID_"""
CHANGES: Final = (
    "UPDATE CONTACTS SET TIER = 'Gold' WHERE TIER = 'Silver' AND POINTS > 45000",
    "UPDATE CONTACTS SET EMAIL_PERMISSION_STATUS_ = 'O' WHERE TIER = 'Gold' AND POINTS < 2000",
)
SEGMENT: Final = "Gold_Members"
REWARD: Final = "4711"

# Without them the tables fit into 80 columns.
_WIDEST = {"LOADED (UTC)", "RECEIVED (UTC)", "CLIENT", "DUPLICATES", "ID"}
_SEGMENT_COLUMNS: list[Column] = [column for column in SEGMENT_COLUMNS if column[0] not in _WIDEST]
_UPLOAD_COLUMNS: list[Column] = [column for column in UPLOAD_COLUMNS if column[0] not in _WIDEST]


def tour(*, stay: bool) -> None:
    """Show the whole way; with `stay` then wait for the visitor's own uploads until Ctrl-C.

    Raises TourError, whatever goes wrong; BrokenPipeError where nobody reads any more; KeyboardInterrupt for
    Ctrl-C before the end of the tour.
    """
    try:
        run(_tour(stay=stay))
    except (BrokenPipeError, TourError):
        raise
    except CtsftpError as exc:
        raise TourError(f"The tour cannot go on: {exc}") from exc
    except Exception as exc:
        raise TourError(f"The tour cannot go on: {type(exc).__name__}: {exc}.") from exc


async def _tour(*, stay: bool) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(heard.set)

    quiet_logs(wake)
    async with Stage.open() as stage:
        try:
            async with asyncio.timeout(TOUR_TIMEOUT_S):
                await _Tour(stage).show()
        except TimeoutError:
            raise TourError(f"The tour was not over after {TOUR_TIMEOUT_S} s: is this machine very busy?") from None
        if stay:
            await visit.receive(stage, heard)
    screen.line()
    screen.line(f"The server has stopped, and {stage.folder} is deleted.")
    if not stay:
        screen.line("`ctsftp demo` without --once stays up for your own sftp.")


class _Tour:
    """The steps, in their order; each shows what it does, and raises TourError if it comes out otherwise."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._steps = 0
        self._job = ExportJob(SqlQuery(AUDIENCE), SEGMENT)
        # The job is scheduled daily: its first run was the day before yesterday's, its third is today's.
        self._next_run = utc_now().astimezone() - timedelta(days=2)
        self._came = self._went = 0

    async def show(self) -> None:
        """Show all steps; the first five are those of the description."""
        screen.prose("A tour of ctsftp: an export job pushes a list of members by SFTP, and the list is a segment.")
        self._choose_audience()
        await self._open_destination()
        self._fill_in_form()
        await self._run_job_first()
        await self._show_segment()
        await self._run_job_again()
        await self._open_reward()
        await self._run_wrong_job()
        await self._show_ledger()

    def _choose_audience(self) -> None:
        self._step(
            "Choose the audience",
            "A SQL query, a filter or a supplemental table in Responsys says who belongs. Its result needs a column "
            "titled CTUserID; further columns are ignored. Here it is SQL, on a small sample of contacts:",
        )
        screen.verbatim(AUDIENCE)
        ids = self._audience()
        screen.prose(f"The query gives {len(ids):,} rows with {len(set(ids)):,} different members.")

    async def _open_destination(self) -> None:
        self._step(
            "Open the SFTP destination",
            "Responsys adds this server as an approved external destination, and the server's admin adds the sender as "
            "a client, with the public half of its SSH key: there are no passwords. The form needs to know:",
        )
        screen.command(f"ctsftp client add {CLIENT} --key acme_key.pub")
        screen.command("ctsftp serve")
        sheet = await asyncio.to_thread(connection_sheet, self._stage.settings, CLIENT)
        print_facts(
            [
                ("Host", sheet["host"]),
                ("Port", str(sheet["port"])),
                ("Directory", sheet["directory"]),
                ("Username", sheet["username"]),
                ("Authentication", sheet["authentication"]),
                ("Host key", "{type} {fingerprint}".format(**sheet["host_keys"][0])),
                ("Server's folder", str(self._stage.folder)),
            ]
        )

    def _fill_in_form(self) -> None:
        self._step(
            "Fill in the Connect export job",
            "The form says where the file goes, what it is called and how it is written. These settings are the right "
            "ones; the name is the segment's, with underscores for spaces, and the time of the run.",
        )
        job = self._job
        print_facts(
            [
                ("Select Object", "the SQL query of step 1"),
                ("Destination Connectivity", "External Server by SFTP, that of step 2"),
                ("Name", f"{job.prefix}{job.segment_name}_{job.date_suffix}{job.extension}"),
                ("Character Set", job.character_set),
                ("Field delimiter", job.field_delimiter),
                ("Field enclosure", job.field_enclosure),
                ("Column Header", job.column_header),
                ("Encryption/Compression", job.encryption_compression),
            ]
        )

    async def _run_job_first(self) -> None:
        self._step(
            "The job runs, and its file is taken",
            "The job writes the file and pushes it by SFTP. The server need not look for new files: it loads one the "
            "moment its upload is complete. A sweep every "
            f"{self._stage.settings.sweep.interval_s / 60:.0f} minutes finds what comes by other means.",
        )
        upload = await self._run_job()
        waited = datetime.fromisoformat(upload.finished_at or "") - datetime.fromisoformat(upload.received_at)
        screen.prose(
            f"The file is {upload.state}: {upload.rows:,} rows = {upload.members:,} members + {upload.duplicates:,} "
            f"duplicates + {upload.rejected:,} rejected, ready {waited / timedelta(milliseconds=1):.0f} ms after the "
            "end of the upload."
        )

    async def _show_segment(self) -> None:
        self._step(
            "The segment is ready for use",
            "Nobody had to create it: its name comes from the file's. An activity, reward or campaign can now be "
            "shown to its members alone. (The tables of the tour leave out some columns.)",
        )
        segment = await self._list_segments()
        screen.command(f"ctsftp segment members {SEGMENT.lower()} | head -{SHOWN_IDS}")
        pages = self._stage.store.snapshots.stream_members(segment.snapshot_id)
        ids = [ct_user_id async for page in pages for ct_user_id in page.tolist()]
        screen.verbatim("\n".join(map(str, ids[:SHOWN_IDS])))
        self._require(ids == sorted(set(self._audience())), "the members are not those of the audience")
        screen.prose(f"All {len(ids):,} ids were compared with the audience of step 1: they are the same.")

    async def _run_job_again(self) -> None:
        self._step(
            "The next run brings the segment up to date",
            "Members come and go, and the job runs on its schedule. Each file is the whole list and replaces the one "
            "before in one step: whoever reads sees the old list or the new one, never a mixture.",
        )
        before = set(self._audience())
        for sql in CHANGES:
            screen.verbatim(sql)
            with self._stage.contacts as contacts:
                contacts.execute(sql)
        await self._run_job()
        after = set(self._audience())
        segment = await self._list_segments()
        expected = (len(after), len(after - before), len(before - after))
        self._require(
            (segment.members, segment.entered, segment.left) == expected,
            "{:,} members were expected, of whom {:,} entered, and {:,} left".format(*expected),
        )
        self._came, self._went = min(after - before), min(before - after)

    async def _open_reward(self) -> None:
        self._step(
            "The segment opens a reward",
            "A gate says whose members may see a reward. The program's software asks over HTTP, with a token, about a "
            "member who has just come and about one who has just left.",
        )
        screen.command(f"ctsftp gate set reward {REWARD} --segment {SEGMENT.lower()}")
        await self._stage.service.perform(SetGate("reward", REWARD, (SEGMENT,), CLIENT))
        token = await self._stage.add_token("shop", admin=False)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self._stage.web_address, headers=headers, trust_env=False) as program:
            for member, may_see in ((self._came, True), (self._went, False)):
                path = f"/v1/gates/{CLIENT}/reward/{REWARD}/members/{member}"
                screen.command(f"curl -H 'Authorization: Bearer ...' {self._stage.web_address}{path}")
                answer = await program.get(path)
                screen.verbatim(answer.text)
                self._require(
                    answer.status_code == HTTPStatus.OK and answer.json() == {"ct_user_id": member, "open": may_see},
                    f"{member} should {'' if may_see else 'not '}see the reward",
                )

    async def _run_wrong_job(self) -> None:
        self._step(
            "A wrong setting gets an answer",
            "Somebody sets the form's Field delimiter to Semicolon. The server fails the upload and says why, so that "
            "the job's own notification fires; the segment stays as it was.",
        )
        before = await self._segment()
        wrong = replace(self._job, field_delimiter="Semicolon").export(self._stage.contacts, self._next_run)
        _show_file(wrong)
        result, upload = await self._stage.deliver(wrong)
        said, reason = result.message or result.output, upload.reason or ""
        refused = not result.ok and upload.state is State.REJECTED
        self._require(refused, f"a file with a wrong delimiter is {upload.state}")
        self._require(bool(reason) and reason in said, f"{result.program} was told {said!r} instead of {reason!r}")
        screen.prose(f"{_name_client(result)} pushes it, and fails. It was told, word for word:")
        screen.verbatim(said)
        print_facts([("Code", upload.code), ("Setting to change", PAGES[Code(upload.code or "")].setting)])
        segment = await self._segment()
        self._require(segment == before, "the segment changed")
        screen.prose(f'The segment "{segment.title}" still has its {segment.members:,} members.')

    async def _show_ledger(self) -> None:
        self._step(
            "The ledger knows what became of each file",
            "Loaded or not, every upload stays on record, with its counts and its reason.",
        )
        screen.command("ctsftp upload list")
        uploads = await self._stage.store.ledger.uploads(client=CLIENT)
        print_table([upload.as_json() for upload in uploads], _UPLOAD_COLUMNS, empty="")

    def _step(self, title: str, text: str) -> None:
        self._steps += 1
        screen.heading(f"{self._steps}. {title}")
        screen.prose(text)

    async def _run_job(self) -> Upload:
        """Export, push and load as the schedule says; TourError unless all the audience was loaded."""
        file = self._job.export(self._stage.contacts, self._next_run)
        self._next_run += timedelta(days=1)
        _show_file(file)
        result, upload = await self._stage.deliver(file)
        screen.prose(f"{_name_client(result)} pushes it{', and says:' if result.output else '.'}")
        screen.verbatim(result.output)
        self._require(upload.state is State.LOADED, f"the file is {upload.state}: {upload.reason}")
        self._require(result.ok, f"the file was loaded, but {result.program} failed")
        return upload

    async def _list_segments(self) -> Segment:
        """Show what `segment list` shows, and return the tour's own segment."""
        screen.command("ctsftp segment list")
        segments = await self._stage.store.segments.segments()
        print_table([segment.as_json() for segment in segments], _SEGMENT_COLUMNS, empty="")
        return await self._segment()

    async def _segment(self) -> Segment:
        return await self._stage.store.segments.segment(CLIENT, segment_key(SEGMENT))

    def _audience(self) -> list[int]:
        """Return the ids of the audience as the database of the sender has it now; one can stand there twice."""
        return [row[0] for row in self._stage.contacts.execute(AUDIENCE)]

    def _require(self, condition: bool, otherwise: str) -> None:  # noqa: FBT001  read as a sentence
        if not condition:
            raise TourError(f"Step {self._steps} of the tour did not come out as it should: {otherwise}.")


def _name_client(result: PushResult) -> str:
    return "The stock sftp" if result.program == "sftp" else "asyncssh's client (there is no sftp here)"


def _show_file(file: ExportFile) -> None:
    """Show a file's name, its size and its first lines."""
    lines = file.data.decode().splitlines()
    screen.prose(f"{file.filename}, {len(file.data):,} bytes, {len(lines):,} lines, begins with:")
    screen.verbatim("\n".join(lines[:SHOWN_LINES]))
