"""A refused file's reason is heard by whoever looks at its name, also when the server was killed meanwhile."""

import signal

import asyncssh
import pytest

from .conftest import Box

NAME = "VIP_20261101_0900.csv"
WRONG = "CTUserID\n1.23E+10\n1.24E+10\n"
GOOD = "CTUserID\n1\n"


async def look(box: Box, path: str) -> str:
    """Tell what a STAT is answered."""
    assert box.serve
    login = {"username": "acme", "client_keys": [str(box.folder / "acme_key")], "known_hosts": None}
    async with (
        asyncssh.connect("127.0.0.1", box.serve.port, **login) as connection,
        connection.start_sftp_client() as sftp,
    ):
        try:
            await sftp.stat(path)
        except asyncssh.SFTPNoSuchFile as error:
            return error.reason
        return "there"


@pytest.mark.parametrize("folder", ["/", "/in/"])
async def test_a_refused_files_reason_is_heard_after_a_restart(acme: Box, folder: str) -> None:
    (acme.folder / "keys" / "clients" / "acme" / "client.toml").write_text('directories = ["/in"]\n')
    acme.file(NAME, WRONG)
    acme.file("good.csv", GOOD)
    refused = acme.sftp("acme", "-mkdir in", f"put {NAME} {folder}{NAME}")
    assert "1.23E+10" in refused.stderr
    assert acme.serve
    acme.serve.stop(signal.SIGKILL)
    acme.start()
    assert "1.23E+10" in await look(acme, folder + NAME)
    assert acme.sftp("acme", f"put good.csv {folder}{NAME}").returncode == 0
    assert await look(acme, folder + NAME) == "there"
    acme.serve.stop()
    acme.start()
    assert await look(acme, folder + NAME) == "there"


async def test_a_reason_that_comes_after_the_answer_is_heard_by_who_looks_then(box: Box) -> None:
    box.env["CTSFTP_SFTP__VERDICT_WAIT_S"] = "0"
    box.add_client("acme")
    box.start()
    assert box.serve
    rows = "CTUserID\n" + "1.23E+10\n" * 200_000  # so many that its put does not read them all
    box.file(NAME, rows)
    assert box.sftp("acme", f"put {NAME}").returncode == 0
    box.serve.wait_for("verdict", lambda event: event["file"] == NAME)
    while "1.23E+10" not in (said := await look(box, NAME)):
        assert said == "there"
