import errno
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh
import pytest
from asyncssh.packet import SSHPacket

from ctsftp.clients.checks import check_host_keys
from ctsftp.clients.files import read_small_file
from ctsftp.clients.hostkeys import load_or_create_host_keys, was_open_until
from ctsftp.contract.finding import Level
from ctsftp.errors import DiskError, RefusedError

NAMES = ["ssh_host_ed25519_key", "ssh_host_ecdsa_key", "ssh_host_rsa_key"]


@cache
def made() -> dict[str, bytes]:
    """Return the three files as a first start makes them: once, since RSA takes its time."""
    with TemporaryDirectory() as folder:
        load_or_create_host_keys(Path(folder))
        return {name: (Path(folder) / name).read_bytes() for name in NAMES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the three keys."""
    folder = tmp_path / "host"
    folder.mkdir()
    for name, data in made().items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    return folder


def test_the_first_start_makes_three_keys_that_the_second_finds(tmp_path: Path) -> None:
    folder = tmp_path / "keys" / "host"

    first = load_or_create_host_keys(folder)
    second = load_or_create_host_keys(folder)

    assert [key.algorithm for key in first] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    assert [key.fingerprint for key in first] == [key.key.get_fingerprint() for key in second]
    assert [key.path.name for key in first] == NAMES
    assert SSHPacket(first[2].key.public_data[-389:]).get_mpint().bit_length() == 3072
    assert sorted(path.name for path in folder.iterdir()) == sorted([*NAMES, ".lock"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in NAMES} == {0o600}


def test_only_what_is_missing_is_made(folder: Path) -> None:
    (folder / NAMES[0]).unlink()

    keys = load_or_create_host_keys(folder)

    assert (folder / NAMES[0]).read_bytes() != made()[NAMES[0]]
    assert [(folder / name).read_bytes() for name in NAMES[1:]] == [made()[name] for name in NAMES[1:]]
    assert len({key.fingerprint for key in keys}) == 3


def test_two_first_starts_at_once_end_with_the_same_keys(folder: Path) -> None:
    for name in NAMES[:2]:
        (folder / name).unlink()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: [key.fingerprint for key in load_or_create_host_keys(folder)], range(4)))

    assert answers == [answers[0]] * 4


def test_what_a_crash_left_behind_is_no_key(folder: Path) -> None:
    (folder / NAMES[1]).rename(folder / f".{NAMES[1]}.x.tmp")

    assert load_or_create_host_keys(folder)[1].path == folder / NAMES[1]


def test_keys_that_lie_in_a_secret_store_behind_links_are_read(tmp_path: Path, folder: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    folder.rename(mount / "..2031_05_06")
    (mount / "..data").symlink_to("..2031_05_06")
    for name in NAMES:
        (mount / name).symlink_to(f"..data/{name}")

    assert len(load_or_create_host_keys(mount)) == 3
    assert ".lock" not in [path.name for path in mount.iterdir()]


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o606, 0o666, 0o601])
def test_a_key_that_others_may_read_is_refused_and_left_alone(folder: Path, mode: int) -> None:
    path = folder / NAMES[1]
    path.chmod(mode)

    with pytest.raises(RefusedError, match=f"{NAMES[1]} is a secret that others may read: chmod 600"):
        load_or_create_host_keys(folder)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == made()[NAMES[1]]


@pytest.mark.parametrize("mode", [0o640, 0o660, 0o610, 0o670, 0o440])
def test_from_the_process_s_own_group_a_key_is_taken_away(folder: Path, mode: int) -> None:
    folder.chmod(0o2770)
    (folder / NAMES[1]).chmod(mode)

    keys = load_or_create_host_keys(folder)

    assert [key.was_open for key in keys] == [False, True, False]
    assert stat.S_IMODE((folder / NAMES[1]).stat().st_mode) == mode & 0o700
    assert [was_open_until(key.path) is not None for key in keys] == [False, True, False]
    assert [key.was_open for key in load_or_create_host_keys(folder)] == [False] * 3


@pytest.mark.parametrize("mode", [0o640, 0o660])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_that_another_group_may_read_is_refused_and_left_alone(folder: Path, mode: int) -> None:
    path = folder / NAMES[1]
    os.chown(path, -1, 12345)
    path.chmod(mode)

    with pytest.raises(RefusedError, match=f"{NAMES[1]} is a secret that others may read: chmod 600"):
        load_or_create_host_keys(folder)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_key_that_cannot_be_taken_from_the_group_is_used_and_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    (folder / NAMES[0]).chmod(0o440)
    monkeypatch.setattr(Path, "chmod", read_only)

    assert [key.was_open for key in load_or_create_host_keys(folder)] == [True, False, False]
    [finding, _] = check_host_keys(folder, serves_already=False, now=datetime.now(UTC))
    assert NAMES[0] in finding.text


@pytest.mark.parametrize(("days", "warned"), [(0, True), (29, True), (31, False)])
def test_the_doctor_tells_for_a_month_of_keys_that_the_group_could_read(folder: Path, days: int, warned: bool) -> None:  # noqa: FBT001
    for name in NAMES[1:]:
        (folder / name).chmod(0o660)
    load_or_create_host_keys(folder)
    later = datetime.now(UTC) + timedelta(days=days)

    found = [one for one in check_host_keys(folder, serves_already=True, now=later) if one.level is not Level.OK]

    assert len(found) == warned
    for finding in found:
        assert (finding.level, f"{NAMES[1]}, {NAMES[2]}" in finding.text) == (Level.WARN, True)
        assert "fsGroupChangePolicy" in finding.do


def test_the_doctor_warns_of_what_the_group_may_read_and_changes_nothing(folder: Path) -> None:
    (folder / NAMES[0]).chmod(0o660)

    [finding, fine] = check_host_keys(folder, serves_already=True, now=datetime.now(UTC))

    assert (finding.level, fine.level) == (Level.WARN, Level.OK)
    assert stat.S_IMODE((folder / NAMES[0]).stat().st_mode) == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_accounts_secret_may_be_readable_to_our_group(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    os.chown(path, 12345, 0)

    path.chmod(0o440)
    assert read_small_file(path, max_bytes=9, private=True) == b"x"
    path.chmod(0o444)
    with pytest.raises(RefusedError, match="others may read"):
        read_small_file(path, max_bytes=9, private=True)


def passphrased() -> bytes:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", "a passphrase")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: b"", "not a readable private key"),
        (lambda: made()[NAMES[0]][:200], "not a readable private key"),
        (lambda: b"hello\n", "not a readable private key"),
        (passphrased, "passphrase"),
        (lambda: asyncssh.generate_private_key("ssh-ed25519").export_public_key(), "not a readable private key"),
        (lambda: made()[NAMES[1]], "ssh-ed25519 belongs there"),
        (lambda: b"x" * 100_000, "over 65536 bytes"),
    ],
    ids=["empty", "half", "text", "passphrase", "public", "another kind", "big"],
)
def test_a_broken_key_is_refused_and_never_overwritten(folder: Path, data: object, reason: str) -> None:
    assert callable(data)
    path = folder / NAMES[0]
    path.write_bytes(data())
    before = path.read_bytes()

    with pytest.raises(RefusedError, match=reason) as caught:
        load_or_create_host_keys(folder)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_link_that_leads_nowhere_is_not_a_missing_key(folder: Path) -> None:
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).symlink_to("nowhere")

    with pytest.raises(DiskError, match=NAMES[0]):
        load_or_create_host_keys(folder)


def test_a_folder_in_the_place_of_a_key_is_refused(folder: Path) -> None:
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).mkdir()

    with pytest.raises(RefusedError, match="no regular file"):
        load_or_create_host_keys(folder)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "keys")

    with pytest.raises(DiskError, match=r"/keys: File exists") as caught:
        load_or_create_host_keys(tmp_path / "keys" / "host")
    assert "\n" not in str(caught.value)


async def test_a_real_server_shows_these_keys(folder: Path) -> None:
    keys = load_or_create_host_keys(folder)
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key.key for key in keys])
    async with server:
        for key in keys:
            kinds = ["rsa-sha2-256"] if key.algorithm == "ssh-rsa" else [key.algorithm]
            shown = await asyncssh.get_server_host_key(
                "127.0.0.1", server.get_port(), server_host_key_algs=kinds, config=None
            )
            assert shown is not None
            assert shown.get_fingerprint() == key.fingerprint
