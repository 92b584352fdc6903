import os
import resource
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ctsftp.clients.authorized_keys import MAX_LINES, Refusal
from ctsftp.clients.config import ClientConfig
from ctsftp.clients.folder import Client, Clients
from ctsftp.errors import DiskError, NotFoundError, RefusedError, UsageError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")

NOON = datetime(2031, 5, 6, 12, 0, 0, tzinfo=UTC)


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


def told(clients: Clients) -> str:
    return "\n".join(map(str, clients.problems()))


def test_a_missing_keys_folder_holds_no_clients_and_no_problems(clients: Clients) -> None:
    assert clients.names() == []
    assert clients.problems() == []
    with pytest.raises(NotFoundError, match="no client 'acme'"):
        clients.get("acme")


def test_a_client_is_made_with_its_keys(clients: Clients, ring: Any) -> None:
    made = clients.add("acme", [ring.public(1), ring.public(2)])

    assert made == clients.get("acme")
    assert [entry.comment for entry in made.keys.entries] == ["key-1", "key-2"]
    assert (made.name, made.config, made.problems) == ("acme", ClientConfig(), ())
    assert (clients.folder / "acme" / "authorized_keys").read_bytes() == ring.text(1) + ring.text(2)
    assert everything(clients.folder) == ["acme", "acme/authorized_keys"]
    assert mode(clients.folder / "acme") == 0o750
    assert mode(clients.folder / "acme" / "authorized_keys") == 0o640


def test_the_names_are_sorted(clients: Clients) -> None:
    for name in ("beta", "acme", "0x"):
        clients.add(name)

    assert clients.names() == ["0x", "acme", "beta"]


def test_a_taken_name_and_an_impossible_one_are_refused(clients: Clients, ring: Any) -> None:
    clients.add("acme", [ring.public(1)])

    with pytest.raises(RefusedError, match="exists already"):
        clients.add("acme", [ring.public(2)])
    with pytest.raises(UsageError, match="lower-case"):
        clients.add("../acme")
    assert [entry.comment for entry in clients.list_keys("acme").entries] == ["key-1"]


def test_a_client_with_one_key_twice_is_not_made(clients: Clients, ring: Any) -> None:
    with pytest.raises(RefusedError, match="stands on line 1 already"):
        clients.add("acme", [ring.public(1), ring.public(1)])
    assert clients.names() == []


@pytest.mark.parametrize("name", ["", ".", "..", "../clients/acme", "acme/", "ACME", "acme\0", "a" * 5000, "\udcff"])
def test_whatever_a_login_asks_for_is_looked_up_safely(clients: Clients, name: str) -> None:
    clients.add("acme")

    with pytest.raises(NotFoundError):
        clients.get(name)


def test_a_client_without_any_file_is_a_client_without_keys(clients: Clients) -> None:
    (clients.folder / "acme").mkdir(parents=True)

    assert clients.get("acme").keys.entries == ()
    assert clients.get("acme").config.enabled
    assert clients.problems() == []


def test_a_change_counts_at_the_next_reading(clients: Clients, ring: Any) -> None:
    clients.add("acme")

    entry = clients.add_key("acme", ring.public(1), from_cidrs=["10.0.0.0/8"], expires=NOON, comment="the job")

    assert clients.list_keys("acme").entries == (entry,)
    assert (entry.line, entry.from_patterns, entry.expires, entry.comment) == (1, ("10.0.0.0/8",), NOON, "the job")
    assert entry.refusal("11.0.0.1", datetime(2031, 1, 1, tzinfo=UTC)) is Refusal.OUTSIDE_FROM


def test_adding_and_revoking_leave_what_a_person_wrote(clients: Clients, ring: Any) -> None:
    written = b"# caf\xe9\r\n\r\nform=x " + ring.text(5) + b"  # two"
    path = write(clients.folder / "acme" / "authorized_keys", written)

    clients.add_key("acme", ring.public(1))
    assert path.read_bytes() == written + b"\n" + ring.text(1)

    clients.revoke("acme", ring.public(1).fingerprint)
    assert path.read_bytes() == written + b"\n"


def test_a_key_that_is_there_is_not_added_again(clients: Clients, ring: Any) -> None:
    clients.add("acme", [ring.public(1)])

    with pytest.raises(RefusedError, match="stands on line 1 already"):
        clients.add_key("acme", ring.public(1), comment="another")


def test_a_key_that_would_not_count_is_not_written(clients: Clients, ring: Any) -> None:
    path = write(clients.folder / "acme" / "authorized_keys", "\n" * MAX_LINES)

    with pytest.raises(RefusedError, match=f"over {MAX_LINES} lines"):
        clients.add_key("acme", ring.public(1))
    assert path.read_bytes() == b"\n" * MAX_LINES


@pytest.mark.parametrize(
    "spell", [str, lambda text: text.removeprefix("SHA256:"), lambda text: text + "=", lambda text: f" {text}\n"]
)
def test_a_fingerprint_is_taken_as_tools_print_it(clients: Clients, ring: Any, spell: Callable[[str], str]) -> None:
    clients.add("acme", [ring.public(1), ring.public(2)])

    clients.revoke("acme", spell(ring.public(1).fingerprint))

    assert [entry.comment for entry in clients.list_keys("acme").entries] == ["key-2"]


@pytest.mark.parametrize("wrong", ["", "SHA256:", "SHA256:abc", "MD5:00:11", "key-1"])
def test_a_fingerprint_that_no_line_has_is_not_found(clients: Clients, ring: Any, wrong: str) -> None:
    clients.add("acme", [ring.public(1)])

    with pytest.raises(NotFoundError, match="ctsftp key list acme"):
        clients.revoke("acme", wrong)
    assert len(clients.list_keys("acme").entries) == 1


def test_what_a_client_that_is_not_there_is_asked_is_not_found(clients: Clients, ring: Any) -> None:
    asked: list[Callable[[], object]] = [
        lambda: clients.remove("acme"),
        lambda: clients.enable("acme"),
        lambda: clients.disable("acme"),
        lambda: clients.list_keys("acme"),
        lambda: clients.add_key("acme", ring.public()),
        lambda: clients.revoke("acme", ring.public().fingerprint),
    ]
    for ask in asked:
        with pytest.raises(NotFoundError, match="no client 'acme'"):
            ask()


def test_disabling_and_enabling_keep_keys_and_comments(clients: Clients, ring: Any) -> None:
    clients.add("acme", [ring.public(1)])
    path = write(clients.folder / "acme" / "client.toml", "# ours\nallow_sha1 = true # until 2032\n")

    clients.disable("acme")
    assert not clients.get("acme").config.enabled
    assert "allow_sha1 = true # until 2032" in path.read_text()
    assert mode(path) == 0o640

    clients.enable("acme")
    assert clients.get("acme").config == ClientConfig(allow_sha1=True)
    assert len(clients.list_keys("acme").entries) == 1


def test_enabling_a_client_that_is_enabled_writes_nothing(clients: Clients) -> None:
    clients.add("acme")

    clients.enable("acme")

    assert everything(clients.folder) == ["acme", "acme/authorized_keys"]


def test_a_broken_client_toml_disables_its_client_alone(clients: Clients, ring: Any) -> None:
    clients.add("acme", [ring.public(1)])
    clients.add("beta", [ring.public(2)])
    path = write(clients.folder / "acme" / "client.toml", "enabled = true\nmax_rows = many\n")

    assert not clients.get("acme").config.enabled
    assert clients.get("beta").config.enabled
    assert f"{path}: no TOML" in told(clients)
    assert "line 2" in told(clients)
    with pytest.raises(RefusedError, match=f"{path}: it is broken"):
        clients.enable("acme")


def test_problems_say_file_and_line(clients: Clients, ring: Any) -> None:
    path = write(clients.folder / "acme" / "authorized_keys", "# one\n" + "pty " + ring.line(1))
    write(clients.folder / "README", "hello")
    write(clients.folder / "notes", "hello")
    (clients.folder / "Beta").mkdir()
    (clients.folder / ".hidden").mkdir()

    assert clients.names() == ["acme"]
    assert [str(problem).split(": ")[0] for problem in clients.problems()] == [
        str(clients.folder / "Beta"),
        str(clients.folder / "README"),
        f"{path}:2",
        str(clients.folder / "notes"),
    ]
    assert clients.get("acme").problems == clients.get("acme").keys.problems


def untrusted(path: Path) -> list[Callable[[], object]]:
    return [
        path.mkdir,
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("nowhere"),
        lambda: path.symlink_to(path.name),
        lambda: path.symlink_to("/dev/zero"),
        lambda: write(path, b"").chmod(0o666),
        lambda: path.write_bytes(b"#" * 2_000_000),
    ]


@pytest.mark.parametrize("number", range(7), ids=["folder", "pipe", "dangling", "loop", "device", "writable", "huge"])
def test_a_file_that_cannot_be_trusted_grants_nothing_and_is_told(clients: Clients, ring: Any, number: int) -> None:
    clients.add("acme", [ring.public(1)])
    clients.add("beta")
    (clients.folder / "beta" / "authorized_keys").unlink()
    config, keys = clients.folder / "acme" / "client.toml", clients.folder / "beta" / "authorized_keys"
    untrusted(config)[number]()
    untrusted(keys)[number]()

    acme, beta = clients.get("acme"), clients.get("beta")

    assert not acme.config.enabled
    assert len(acme.keys.entries) == 1
    assert beta.keys.entries == ()
    assert [str(config) in str(problem) for problem in acme.problems] == [True]
    assert [str(keys) in str(problem) for problem in beta.problems] == [True]


def secret_store(clients: Clients, ring: Any) -> Path:
    """Lay a client out as Kubernetes mounts a secret: files are links through ..data to a dated folder."""
    mount = clients.folder / "acme"
    write(mount / "..2031_05_06" / "authorized_keys", ring.text(1))
    write(mount / "..2031_05_06" / "client.toml", "max_rows = 7\n")
    (mount / "..data").symlink_to("..2031_05_06")
    for name in ("authorized_keys", "client.toml"):
        (mount / name).symlink_to(f"..data/{name}")
    return mount


def test_a_client_in_a_mounted_secret_is_read_through_its_links(clients: Clients, ring: Any) -> None:
    mount = secret_store(clients, ring)

    assert clients.names() == ["acme"]
    assert clients.get("acme").config.max_rows == 7
    assert [entry.comment for entry in clients.list_keys("acme").entries] == ["key-1"]

    write(mount / "..2031_05_07" / "authorized_keys", ring.text(2))
    (mount / "..new").symlink_to("..2031_05_07")
    (mount / "..new").rename(mount / "..data")
    assert [entry.comment for entry in clients.list_keys("acme").entries] == ["key-2"]


def test_all_clients_in_one_mounted_secret_are_read_too(clients: Clients, ring: Any) -> None:
    write(clients.folder / "..2031" / "acme" / "authorized_keys", ring.text(1))
    (clients.folder / "..data").symlink_to("..2031")
    (clients.folder / "acme").symlink_to("..data/acme")

    assert clients.names() == ["acme"]
    assert len(clients.list_keys("acme").entries) == 1
    assert clients.problems() == []
    for change in (
        lambda: clients.remove("acme"),
        lambda: clients.add_key("acme", ring.public(2)),
        lambda: clients.disable("acme"),
    ):
        with pytest.raises(RefusedError, match="is a link"):
            change()
    assert (clients.folder / "..2031" / "acme" / "authorized_keys").read_bytes() == ring.text(1)


def test_what_is_managed_elsewhere_is_not_changed_here(clients: Clients, ring: Any) -> None:
    mount = secret_store(clients, ring)

    for change in (
        lambda: clients.add_key("acme", ring.public(2)),
        lambda: clients.revoke("acme", ring.public(1).fingerprint),
        lambda: clients.disable("acme"),
    ):
        with pytest.raises(RefusedError, match="is a link, so it is kept elsewhere"):
            change()
    assert (mount / "authorized_keys").read_bytes() == ring.text(1)
    assert not [name for name in everything(mount) if "tmp" in name]


def test_removing_takes_the_folder_and_nothing_beside_it(clients: Clients, ring: Any) -> None:
    clients.add("acme", [ring.public(1)])
    clients.add("acme-2")
    write(clients.folder / "acme" / "notes", "hello")

    clients.remove("acme")

    assert everything(clients.folder) == ["acme-2", "acme-2/authorized_keys"]
    assert clients.add("acme").keys.entries == ()


def test_what_a_crash_left_behind_is_invisible_and_in_nobodys_way(clients: Clients, ring: Any) -> None:
    write(clients.folder / ".acme.new" / "authorized_keys", ring.text(1))
    write(clients.folder / ".acme.old" / "authorized_keys", ring.text(1))

    assert clients.names() == []
    assert clients.problems() == []
    assert clients.add("acme").keys.entries == ()
    write(clients.folder / "acme" / ".authorized_keys.x.tmp", ring.text(1))
    assert clients.get("acme").keys.entries == ()
    clients.remove("acme")
    assert everything(clients.folder) == []


def test_a_write_that_fails_leaves_the_old_file_and_no_trace(clients: Clients, ring: Any) -> None:
    clients.add("acme", [ring.public(1)])
    path = clients.folder / "acme" / "authorized_keys"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(ring.text(1)) + 5, hard))
    try:
        with pytest.raises(DiskError, match=f"cannot write {path}: File too large"):
            clients.add_key("acme", ring.public(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert path.read_bytes() == ring.text(1)
    assert everything(clients.folder) == ["acme", "acme/authorized_keys"]


def test_a_place_that_forbids_writing_is_one_clear_refusal(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.symlink_to("/sys")  # Nobody, not even root, makes files there.

    with pytest.raises(RefusedError, match=r"cannot make the folder .*/keys/clients: .*secret store"):
        Clients(keys).add("acme")


def test_a_keys_folder_that_is_none_is_a_fault_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "keys" / "clients", "hello")

    with pytest.raises(DiskError, match="keys/clients"):
        Clients(tmp_path / "keys").names()


@needs_root
def test_root_changes_no_owner_of_a_lock_that_somebody_laid_there(clients: Clients, tmp_path: Path) -> None:
    clients.folder.mkdir(parents=True)
    os.chown(clients.folder, 12345, 23456)
    other = write(tmp_path / "other", "root's own")
    other.chmod(0o600)
    (clients.folder / ".lock").hardlink_to(other)

    clients.add("acme")

    assert (other.stat().st_uid, mode(other)) == (0, 0o600)


@needs_root
def test_what_root_writes_belongs_to_the_owner_of_the_folder(clients: Clients, ring: Any) -> None:
    keys = clients.folder.parent
    keys.mkdir()
    os.chown(keys, 12345, 23456)

    clients.add("acme", [ring.public(1)])
    clients.add_key("acme", ring.public(2))
    clients.disable("acme")

    found = [clients.folder, *clients.folder.rglob("*")]
    assert len(found) == 5
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(12345, 23456)}


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Let root be an ordinary account for a while."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@needs_root
def test_a_colleague_writes_only_what_the_owner_of_the_folder_can_read(ring: Any) -> None:
    with TemporaryDirectory() as place:  # Not in tmp_path, which no other account may enter.
        clients = Clients(Path(place) / "keys")
        clients.add("acme")
        path = clients.folder / "acme" / "authorized_keys"
        for folder in (Path(place), clients.folder.parent, clients.folder, path.parent):
            os.chown(folder, 12345, 23456)
            folder.chmod(0o777)
        (clients.folder / ".lock").chmod(0o666)
        os.chown(path, 12345, 23456)

        with acting_as(54321, 23456):
            clients.add_key("acme", ring.public(1))
        assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (54321, 23456, 0o640)

        path.chmod(0o644)
        with acting_as(54322, 54322), pytest.raises(RefusedError, match=r"authorized_keys.*the account that owns it"):
            clients.add_key("acme", ring.public(2))
        assert path.read_bytes() == ring.text(1)


def test_of_many_changes_at_once_none_is_lost(clients: Clients, ring: Any) -> None:
    clients.add("acme")

    def change(number: int) -> Client:
        if number % 5 == 0:
            (clients.disable if number % 2 else clients.enable)("acme")
        clients.add_key("acme", ring.public(number))
        return clients.get("acme")

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(change, range(20)))

    assert {entry.comment for entry in clients.list_keys("acme").entries} == {f"key-{n}" for n in range(20)}
    assert all(client.problems == () for client in seen)
