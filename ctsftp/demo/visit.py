"""After the tour the server stays up: the visitor's own `sftp` puts files, and what becomes of each is told here."""

import asyncio
import shlex
import shutil
import signal

from ctsftp.app.clock import utc_now
from ctsftp.contract.codes import harmless
from ctsftp.contract.counting import some
from ctsftp.contract.states import MOVES, State
from ctsftp.demo import screen
from ctsftp.demo.connect import ExportJob, SupplementalTable
from ctsftp.demo.stage import CLIENT, KEY_FILE, KNOWN_HOSTS_FILE, Stage
from ctsftp.model.records import Upload

READY = "Waiting for your uploads; Ctrl-C ends."
REPORTED_UPLOADS = 1_000  # looked through at each event: more than a visitor's sftp can put between two of them

_GUESTS = ExportJob(SupplementalTable("VIP_GUESTS"), "VIP_Guests")
_ON_THE_WAY = {State.RECEIVED, State.LOADING}


async def receive(stage: Stage, heard: asyncio.Event) -> None:
    """Say what to type, then report every upload, until Ctrl-C; `heard` is set at each event of the server."""
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        heard.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    told = {(upload.id, upload.state) for upload in await _uploads(stage)}
    await _invite(stage)
    while not stopped.is_set():
        for upload in await _uploads(stage):
            if upload.state not in _ON_THE_WAY and (upload.id, upload.state) not in told:
                told.add((upload.id, upload.state))
                screen.verbatim(describe(upload))
        await heard.wait()
        heard.clear()


def describe(upload: Upload) -> str:
    """Tell in one line what became of an upload: its state, and the segment and its members or the reason."""
    name = harmless(upload.filename, limit=255)
    if upload.state is State.LOADED:
        members = some(upload.members or 0, "member")
        return f'{name}: loaded, the segment "{harmless(upload.segment_title or "")}" has {members}'
    why = upload.reason or next(event for (_, state), event in MOVES.items() if state is upload.state)
    code = f" ({upload.code})" if upload.code else ""
    return f"{name}: {upload.state}{code}, {why}"


def sftp_command(stage: Stage) -> str:
    """Return the command for a person's own `sftp`, typed in the tour's folder: this key, this server, no questions."""
    options = f"-i {KEY_FILE} -o IdentitiesOnly=yes -o UserKnownHostsFile={KNOWN_HOSTS_FILE}"
    return f"sftp -F none -P {stage.settings.sftp.port} {options} {CLIENT}@{stage.settings.sftp.host}"


async def _uploads(stage: Stage) -> list[Upload]:
    """List the newest uploads in the order of their CLOSE."""
    return (await stage.store.ledger.uploads(limit=REPORTED_UPLOADS))[::-1]


async def _invite(stage: Stage) -> None:
    example = _GUESTS.export(stage.contacts, utc_now().astimezone())
    (stage.folder / example.filename).write_bytes(example.data)
    screen.heading("Your turn")
    screen.prose("The server stays up. In another terminal, put a file that lies ready:")
    screen.verbatim(f"cd {shlex.quote(str(stage.folder))}\n{sftp_command(stage)}\nput {example.filename}")
    if shutil.which("sftp") is None:
        screen.prose("No sftp was found here: install OpenSSH's client, or take another with that address and key.")
    screen.prose("Edit the file and put it again, or put it under a wrong name, and see what is said of it:")
    screen.verbatim(f"put {example.filename} VIP_Guests.csv")
    screen.prose("In that folder, every command speaks to this server:")
    screen.verbatim("ctsftp segment list\nctsftp segment members vip_guests\nctsftp upload list")
    screen.prose(f"In a browser, {stage.web_address} shows it all; sign in with this token:")
    screen.verbatim(await stage.add_token("visitor", admin=True))
    screen.line()
    screen.line(READY)
