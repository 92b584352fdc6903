"""Clients and their keys, as an admin adds, shows and removes them."""

from datetime import UTC, datetime, timedelta

import asyncssh
import pytest

from ctsftp.clients.folder import Clients
from tests.app.bench import rows

from .shell import Shell

NAME = "VIP_20260310_0900.csv"
KEY = asyncssh.generate_private_key("ssh-ed25519", comment="job@responsys")
OPENSSH = KEY.export_public_key("openssh")
FINGERPRINT = KEY.get_fingerprint()


@pytest.fixture
def acme(shell: Shell) -> Shell:
    shell.run("client", "add", "acme")
    return shell


def test_a_client_is_added_with_its_keys_and_shown(shell: Shell) -> None:
    shell.file("acme.pub", OPENSSH)
    said = shell.run("client", "add", "acme", "--key", "acme.pub").err
    assert said == f"Added acme with 1 key in {shell.folder}/keys/clients/acme.\n"
    assert shell.json("client", "list") == [{"client": "acme", "enabled": True, "keys": 1, "problems": []}]
    assert "acme" in shell.run("client", "list").lines[1]


def test_a_client_without_keys_is_told_what_it_lacks(shell: Shell) -> None:
    assert "ctsftp key add acme FILE" in shell.run("client", "add", "acme").err


def test_a_client_is_added_with_all_of_its_keys_or_not_at_all(shell: Shell) -> None:
    shell.file("acme.pub", OPENSSH)
    shell.refused("client", "add", "acme", "--key", "acme.pub", "--key", "nowhere.pub", code=1)
    assert shell.json("client", "list") == []


def test_a_client_is_disabled_and_enabled(acme: Shell) -> None:
    assert acme.run("client", "disable", "acme").err == "Disabled acme.\n"
    assert acme.json("client", "list")[0]["enabled"] is False
    assert acme.run("client", "enable", "acme").err == "Enabled acme.\n"
    assert acme.json("client", "list")[0]["enabled"] is True


def test_a_client_with_segments_stays_until_they_are_deleted(acme: Shell) -> None:
    acme.load(NAME, rows([1]))
    said = acme.refused("client", "remove", "acme", code=1)
    assert said == 'acme has 1 segment ("VIP"): retire and delete them first.'
    assert Clients(acme.folder / "keys").names() == ["acme"]
    acme.run("segment", "retire", "vip")
    acme.refused("client", "remove", "acme", code=1)
    acme.run("segment", "delete", "vip")
    assert acme.run("client", "remove", "acme").err == "Removed acme.\n"
    assert acme.json("client", "list") == []


def test_of_many_things_that_keep_a_client_the_first_are_named(acme: Shell) -> None:
    for number in range(6):
        acme.run("token", "add", f"shop{number}", "--client", "acme")
    said = acme.refused("client", "remove", "acme", code=1)
    assert "acme has 6 tokens (shop0, shop1, shop2, shop3, shop4, ...): " in said


def test_a_client_stays_until_nothing_is_bound_to_its_name(acme: Shell) -> None:
    acme.run("token", "add", "shop", "--client", "acme")
    acme.run("token", "add", "all")
    hook = acme.json("hook", "add", "https://example.com/x", "--client", "acme", "--no-test")
    said = acme.refused("client", "remove", "acme", code=1)
    assert said == (
        "acme has 1 token (shop): `ctsftp token revoke` them first."
        f" acme has 1 hook ({hook['id']}): `ctsftp hook remove` them first."
    )
    acme.run("token", "revoke", "shop")
    acme.run("hook", "remove", str(hook["id"]))
    assert acme.run("client", "remove", "acme").err == "Removed acme.\n"


def test_the_connection_sheet_has_all_that_the_form_asks_for(acme: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTSFTP_SFTP__PUBLIC_HOST", "sftp.example")
    out = acme.run("client", "show", "acme").out
    for words in (
        ("Destination", "External Server by SFTP"),
        ("Host", "sftp.example"),
        ("Port", "2022"),
        ("Directory", "/"),
        ("Username", "acme"),
        ("Authentication", "SSH key"),
        ("Field delimiter", "Comma"),
        ("Encryption/Compression", "None"),
        ("Last login", "none yet"),
        ("Last refusal", "none"),
    ):
        assert any(all(word in line for word in words) for line in out.splitlines()), words
    sheet = acme.json("client", "show", "acme")
    assert (sheet["client"], sheet["host"], sheet["port"], sheet["host_is_guessed"]) == (
        "acme",
        "sftp.example",
        2022,
        False,
    )
    assert len(sheet["host_keys"]) == 3


def test_a_host_that_nobody_set_is_shown_as_a_guess(acme: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(a guess: set CTSFTP_SFTP__PUBLIC_HOST for the server" in acme.run("client", "show", "acme").out
    monkeypatch.setenv("CTSFTP_SFTP__HOST", "192.0.2.7")
    assert "192.0.2.7 (a guess" in acme.run("client", "show", "acme").out


def test_what_is_broken_in_a_clients_folder_is_told(acme: Shell) -> None:
    (acme.folder / "keys" / "clients" / "acme" / "authorized_keys").write_text("ssh-ed25519 broken\n")
    assert "1" in acme.run("client", "list").lines[1].split()
    said = acme.run("client", "show", "acme").err
    assert said.startswith(f"Problem: {acme.folder}/keys/clients/acme/authorized_keys:1:")
    assert acme.run("key", "list", "acme").err == said


@pytest.mark.parametrize("form", ["openssh", "rfc4716", "pkcs8-pem"])
def test_a_key_is_added_in_every_form_from_a_file_and_from_a_pipe(acme: Shell, form: str) -> None:
    data = KEY.export_public_key(form)
    acme.file("key.pub", data)
    assert FINGERPRINT in acme.run("key", "add", "acme", "key.pub").err
    acme.run("key", "revoke", "acme", FINGERPRINT)
    assert acme.json("key", "list", "acme") == []
    assert FINGERPRINT in acme.run("key", "add", "acme", "-", stdin=data).err
    [key] = acme.json("key", "list", "acme")
    assert (key["type"], key["bits"], key["fingerprint"]) == ("ssh-ed25519", 256, FINGERPRINT)


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
def test_a_private_key_is_refused_loudly(acme: Shell, form: str) -> None:
    data = KEY.export_private_key(form)
    acme.file("key", data)
    assert "THIS IS A PRIVATE KEY" in acme.refused("key", "add", "acme", "key", code=1)
    assert "THIS IS A PRIVATE KEY" in acme.refused("key", "add", "acme", "-", code=1, stdin=data)
    assert "THIS IS A PRIVATE KEY" in acme.refused("client", "add", "zeta", "--key", "key", code=1)
    assert "zeta" not in acme.run("client", "list").out
    assert acme.json("key", "list", "acme") == []


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "empty"), (b"hello", "no public key"), (b"x" * 70_000, "larger than any public key")]
)
def test_what_is_no_key_is_refused_with_what_to_send_instead(acme: Shell, data: bytes, said: str) -> None:
    acme.file("key.pub", data)
    assert said in acme.refused("key", "add", "acme", "key.pub", code=1)


def test_a_key_has_its_limits_and_its_comment(acme: Shell) -> None:
    acme.file("key.pub", OPENSSH)
    limits = ["--from", "192.0.2.0/24", "--from", "2001:db8::/32", "--expires", "2999-12-31", "--comment", "the job"]
    acme.run("key", "add", "acme", "key.pub", *limits)
    [key] = acme.json("key", "list", "acme")
    assert (key["from"], key["expires"], key["comment"]) == (
        ["192.0.2.0/24", "2001:db8::/32"],
        "2999-12-31T00:00:00.000Z",
        "the job",
    )
    shown = acme.run("key", "list", "acme").lines[1]
    assert "192.0.2.0/24,2001:db8::/32" in shown
    assert "2999-12-31 00:00:00" in shown


def test_a_key_keeps_its_own_comment(acme: Shell) -> None:
    acme.run("key", "add", "acme", "-", stdin=OPENSSH)
    [key] = acme.json("key", "list", "acme")
    assert (key["from"], key["expires"], key["comment"]) == ([], None, "job@responsys")
    assert "anywhere" in acme.run("key", "list", "acme").out


@pytest.mark.parametrize("expires", ["0001-01-01", "2020-01-01", "now"])
def test_a_key_that_would_have_expired_already_is_refused(acme: Shell, expires: str) -> None:
    acme.file("key.pub", OPENSSH)
    when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}" if expires == "now" else expires
    assert "expired already" in acme.refused("key", "add", "acme", "key.pub", "--expires", when, code=2)
    assert acme.json("key", "list", "acme") == []


@pytest.mark.parametrize("network", ["example.com", "10.0.0.0/33", "10.0.0.1/8", ""])
def test_addresses_that_cannot_be_are_refused(acme: Shell, network: str) -> None:
    acme.file("key.pub", OPENSSH)
    assert "from=" in acme.refused("key", "add", "acme", "key.pub", "--from", network, code=2)


def test_a_key_is_added_once(acme: Shell) -> None:
    acme.run("key", "add", "acme", "-", stdin=OPENSSH)
    assert "already" in acme.refused("key", "add", "acme", "-", code=1, stdin=OPENSSH)


def test_a_revoked_key_is_gone(acme: Shell) -> None:
    acme.run("key", "add", "acme", "-", stdin=OPENSSH)
    assert acme.run("key", "revoke", "acme", FINGERPRINT).err == (
        f"Revoked {FINGERPRINT}.\nacme has no key left and cannot sign in: `ctsftp key add acme FILE` gives it one.\n"
    )
    assert "no key" in acme.refused("key", "revoke", "acme", FINGERPRINT, code=1)


def test_a_key_is_warned_of_as_many_days_before_its_end_as_the_setting_says(
    acme: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.file("key.pub", OPENSSH)
    acme.run("key", "add", "acme", "key.pub", "--expires", f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}")
    assert acme.run("key", "list", "acme").err == ""
    monkeypatch.setenv("CTSFTP_NOTIFY__KEY_EXPIRY_WARNING_DAYS", "60")
    assert acme.run("key", "list", "acme").err.startswith(f"Warning: {FINGERPRINT} expires in 39 days: ")
    [key] = acme.json("key", "list", "acme")
    assert key["expires_at"] == key["expires"]


def test_what_changes_a_client_or_a_key_tells_scripts_what_it_is_now(shell: Shell) -> None:
    shell.file("key.pub", OPENSSH)
    client = {"client": "acme", "enabled": True, "keys": 0, "problems": []}
    assert shell.json("client", "add", "acme") == client
    assert shell.json("client", "disable", "acme") == client | {"enabled": False}
    assert shell.json("client", "enable", "acme") == client
    added = shell.json("key", "add", "acme", "key.pub", "--expires", "2999-12-31")
    assert [added] == shell.json("key", "list", "acme")
    revoked = shell.json("key", "revoke", "acme", FINGERPRINT)
    assert revoked == {"client": "acme", "fingerprint": FINGERPRINT, "keys": 0}
    assert shell.json("client", "remove", "acme") == client
