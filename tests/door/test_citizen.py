"""`ctsftp serve` under a supervisor: what it tells, and what it does on each signal; the penalties from outside."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ..e2e.conftest import PATIENCE_S, Box, require_program, wait_until

POLICY = Path(__file__).parents[2] / "deploy" / "ssh-audit.policy"


class Supervisor:
    """What systemd would hear."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.settimeout(PATIENCE_S)

    def hears(self, beginning: str) -> str:
        """Wait for a message, past the beats of the watchdog."""
        while (message := self._socket.recv(4096).decode()) == "WATCHDOG=1" != beginning:
            pass
        assert message.startswith(beginning), message
        return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def supervisor(box: Box, tmp_path: Path) -> Iterator[Supervisor]:
    place = tmp_path / "notify.sock"
    box.env |= {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "200000"}
    made = Supervisor(place)
    yield made
    made.close()


@pytest.mark.slow
def test_the_supervisor_hears_of_the_start_each_beat_a_reload_and_the_stop(box: Box, supervisor: Supervisor) -> None:
    serve = box.start()
    supervisor.hears("READY=1")
    for _ in range(3):
        supervisor.hears("WATCHDOG=1")
    serve.process.send_signal(signal.SIGHUP)
    assert "\nMONOTONIC_USEC=" in supervisor.hears("RELOADING=1")
    supervisor.hears("READY=1")
    serve.process.send_signal(signal.SIGTERM)
    supervisor.hears("STOPPING=1")
    assert serve.stop() == 0


def test_sighup_takes_over_limits_and_host_keys_and_tells_what_waits_for_a_start(box: Box) -> None:
    box.add_client("acme")
    serve = box.start()
    assert box.sftp("acme", "ls").returncode == 0
    box.file(
        "ctsftp.toml",
        "[sftp]\nmax_connections = 1\nmax_path_depth = 1\npublic_host = 'sftp.example'\n[sweep]\ninterval_s = 77\n",
    )
    (box.folder / "keys" / "host" / "ssh_host_ed25519_key").unlink()  # a new one is made
    serve.process.send_signal(signal.SIGHUP)
    reloaded = serve.wait_for("reloaded")
    assert reloaded["at_the_next_start"] == ["sweep", "sftp.public_host"]
    assert "deeper than 1 folders" in box.sftp("acme", "ls /a/b").stderr
    scan = subprocess.run(
        ["ssh-keyscan", "-p", str(serve.port), "-t", "ed25519", "127.0.0.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(box.folder / "keys" / "host" / "ssh_host_ed25519_key")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert public.stdout.split()[1] in scan.stdout


def test_sighup_with_wrong_settings_changes_nothing(box: Box) -> None:
    box.add_client("acme")
    serve = box.start()
    box.file("ctsftp.toml", "[sftp]\nmax_connections = 0\n")
    serve.process.send_signal(signal.SIGHUP)
    assert "MAX_CONNECTIONS" in serve.wait_for("settings were not reloaded")["error"]
    assert box.sftp("acme", "ls").returncode == 0


def test_sighup_ends_the_sessions_of_a_key_that_was_taken_out_by_hand(box: Box) -> None:
    box.add_client("acme")
    serve = box.start()
    sender = subprocess.Popen(
        box.sftp_command("acme"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    serve.wait_for("login")
    (box.folder / "keys" / "clients" / "acme" / "authorized_keys").write_text("")
    serve.process.send_signal(signal.SIGHUP)
    assert serve.wait_for("reloaded")["sessions_ended"] == 1
    sender.communicate(b"ls\n", PATIENCE_S)
    assert sender.returncode != 0


def test_a_second_signal_cuts_off_what_the_first_waits_for(box: Box) -> None:
    box.add_client("acme")
    serve = box.start()
    box.file("slow_20261123_0900.csv", b"CTUserID\n" + b"1\n" * 500_000)
    command = box.sftp_command("acme")
    sender = subprocess.Popen(
        [command[0], "-l", "100", *command[1:]],
        cwd=box.folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    assert sender.stdin is not None
    sender.stdin.write(b"put slow_20261123_0900.csv\n")
    sender.stdin.flush()
    staging = box.folder / "data" / "clients" / "acme" / "staging"
    wait_until(lambda: staging.is_dir() and any(place.stat().st_size for place in staging.iterdir()))
    serve.process.send_signal(signal.SIGTERM)
    serve.wait_for("stopping")
    assert serve.process.poll() is None  # the upload has two minutes
    assert serve.stop() == 0
    serve.wait_for("stopping at once")
    assert (staging.parent / "partials" / "slow_20261123_0900.csv").stat().st_size
    sender.kill()
    sender.wait(PATIENCE_S)
    sender.stdin.close()


def try_to_log_in(box: Box, user: str, *, options: Sequence[str] = ()) -> None:
    assert box.serve is not None
    command = [part for part in box.sftp_command("acme") if not part.startswith("acme@")]
    subprocess.run(
        [*command, "-oBindAddress=127.0.0.2", *options, f"{user}@127.0.0.1"],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_admin_sees_the_penalties_and_forgives_them(box: Box) -> None:
    box.add_client("acme")
    assert "No server is running here" in box.run("penalty", "list", check=False).stderr
    assert box.run("penalty", "clear", check=False).returncode == 1
    serve = box.start()
    assert "No address has failed" in box.run("penalty", "list").stdout
    for number in range(4):
        try_to_log_in(box, f"user{number}")
    assert serve.wait_for("address refused")["address"] == "127.0.0.2"
    (penalty,) = box.json("penalty", "list")
    assert (penalty["source"], penalty["refused"], penalty["last"]) == ("127.0.0.2", True, "unknown_user")
    assert penalty["seconds_left"] > 0
    assert "127.0.0.2" in box.run("penalty", "list").stdout
    assert box.run("penalty", "clear", "192.0.2.1", check=False).returncode == 1
    assert "Cleared 127.0.0.2." in box.run("penalty", "clear", "127.0.0.2").stderr
    assert json.loads(box.run("penalty", "list", "--json").stdout) == []


def test_an_admin_sees_who_could_not_sign_in_and_why(box: Box) -> None:
    box.add_client("acme")
    assert "No server is running here" in box.run("login", "list", check=False).stderr
    serve = box.start()
    assert "No logins since the server started" in box.run("login", "list").stdout
    try_to_log_in(box, "acme")
    serve.wait_for("login")
    try_to_log_in(box, "acmee")
    assert serve.wait_for("user name is nearly a client's")["meant"] == "acme"
    try_to_log_in(box, "acme", options=["-oKexAlgorithms=diffie-hellman-group14-sha1"])
    assert serve.wait_for("no algorithm in common")["cause"] == "kex"
    mismatch, nearly, login = box.json("login", "list")
    assert (login["outcome"], nearly["outcome"], mismatch["outcome"]) == ("signed in", "refused", "no match")
    assert (nearly["user"], nearly["meant"], nearly["cause"]) == ("acmee", "acme", "unknown_client")
    assert login["at"].endswith("Z")
    table = box.run("login", "list").stdout
    assert "acmee is no client; the user name is acme" in table
    assert "must offer one of: mlkem768x25519-sha256" in table
    [told] = [one for one in box.json("doctor", check=False) if "could not connect" in one["text"]]
    assert "127.0.0.2 (SSH-2.0-OpenSSH" in told["text"]
    assert "diffie-hellman-group14-sha1" in told["text"]
    assert (told["level"], "must offer one of" in told["do"]) == ("warn", True)  # acme signs in from there
    try_to_log_in(box, "acme")
    serve.wait_for("login", since=len(serve.events))
    [told] = [one for one in box.json("doctor", check=False) if "could not connect" in one["text"]]
    assert told["level"] == "ok"  # and has done so since


def test_the_doctor_says_when_an_address_is_refused_from_which_clients_sign_in(box: Box) -> None:
    box.add_client("acme")
    serve = box.start()
    try_to_log_in(box, "acme")
    serve.wait_for("login")
    assert [one for one in box.json("doctor", check=False) if one["part"] == "server" and one["level"] != "ok"] == []
    for number in range(4):
        try_to_log_in(box, f"user{number}")
    serve.wait_for("address refused")
    [told] = [one for one in box.json("doctor", check=False) if one["part"] == "server" and one["level"] != "ok"]
    assert told["text"].startswith("127.0.0.2 is refused for another ")
    assert told["text"].endswith("(for unknown_user); from there these clients sign in: acme.")
    assert "ctsftp penalty clear 127.0.0.2" in told["do"]


def test_key_list_shows_the_last_use_and_warns_of_the_expiry(box: Box) -> None:
    box.add_client("acme")
    other = box.folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    soon = subprocess.run(["date", "-u", "-d", "10 days", "+%Y-%m-%d"], capture_output=True, text=True, check=True)
    box.run("key", "add", "acme", f"{other}.pub", "--expires", soon.stdout.strip())
    assert [key["last_used_at"] for key in box.json("key", "list", "acme")] == [None, None]
    box.start()
    assert box.sftp("acme", "ls").returncode == 0
    wait_until(lambda: box.json("key", "list", "acme")[0]["last_used_at"] is not None)
    used, unused = box.json("key", "list", "acme")
    assert used["last_used_at"].endswith("Z")
    assert (unused["last_used_at"], unused["type"], unused["bits"]) == (None, "ssh-ed25519", 256)
    assert unused["fingerprint"].startswith("SHA256:")
    done = box.run("key", "list", "acme")
    assert "LAST USED" in done.stdout
    assert f"{unused['fingerprint']} expires in 9 days" in done.stderr


def test_ssh_audit_finds_what_the_policy_says_and_nothing_else(box: Box) -> None:
    require_program("ssh-audit")
    serve = box.start()
    done = subprocess.run(
        ["ssh-audit", "-n", "-P", str(POLICY), "-p", str(serve.port), "127.0.0.1"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=os.environ | {"TERM": "dumb"},
    )
    assert done.returncode == 0, done.stdout
    assert "Passed" in done.stdout
