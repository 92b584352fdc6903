"""Who gets in, what a refused one is told, and what the admin is told."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
from structlog.testing import capture_logs

from ctsftp.clients.authorized_keys import Refusal
from ctsftp.sftp.login import Login

from .room import ACME, GOLD, Room, public_half
from .stock import StockSftp

OLD_SIGNATURE = ["ssh-rsa"]


@pytest.fixture(scope="session")
def strange_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def second_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ecdsa-sha2-nistp256")


async def refused(room: Room, **options: object) -> Refusal:
    """Try to sign in, be refused as everybody is, and return the cause that the admin is told."""
    known = len(room.refusals.all)
    with pytest.raises(asyncssh.PermissionDenied):
        await room.connect(**options)
    return (await room.refusals.first(known + 1))[-1].cause


async def test_a_login_is_told_with_client_address_and_key(room: Room) -> None:
    await room.connect()
    fingerprint = room.user_key.get_fingerprint()
    assert await room.logins.one() == Login(ACME, "127.0.0.1", fingerprint, "ssh-ed25519")
    assert room.refusals.all == []


async def test_a_stranger_an_unknown_user_and_a_disabled_client_are_refused_alike(
    room: Room, stock: StockSftp, strange_key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    strange_file = tmp_path / "strange"
    strange_key.write_private_key(strange_file)
    strange_file.chmod(0o600)
    room.clients.add("off", [public_half(room.user_key)])
    room.clients.disable("off")
    said = [
        (await stock.ssh(user="acme", options=("-i", str(strange_file), "-o", "IdentityFile=none"))),
        (await stock.ssh(user="nobody")),
        (await stock.ssh(user="off")),
        (await stock.ssh(user="")),
        (await stock.ssh(user="../acme")),
    ]
    assert {done.code for done in said} == {255}
    messages = {done.err.split(": ", 1)[1] for done in said}
    assert messages == {"Permission denied (publickey).\n"}
