"""What only a process of its own can show: pipes that break, disks that are full, Ctrl-C, and the server's log."""

import json
import logging
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest
import structlog

from ctsftp.cli.logs import configure_logs
from tests.app.bench import rows

from .shell import Shell

NAME = "VIP_20260310_0900.csv"
PATIENCE_S = 60.0
CTSFTP = [sys.executable, "-m", "ctsftp"]


def test_a_reader_that_has_seen_enough_causes_no_complaint(shell: Shell) -> None:
    shell.load(NAME, rows(range(1, 50_001)))
    for command, first in ((["segment", "members", "vip"], b"1\n"), (["upload", "list", "--json"], b"[\n")):
        with subprocess.Popen(
            [*CTSFTP, *command],
            cwd=shell.folder,
            env=shell.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(2) == first
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(PATIENCE_S) in {0, 1}


def test_a_reader_that_is_gone_from_the_start_causes_no_complaint(shell: Shell) -> None:
    gone, writer = os.pipe()
    os.close(gone)
    done = subprocess.run(
        [*CTSFTP, "client", "list"],
        cwd=shell.folder,
        env=shell.env,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", [["segment", "members", "vip"], ["segment", "list"]], ids=" ".join)
def test_output_that_a_full_disk_does_not_take_is_an_error(shell: Shell, command: list[str]) -> None:
    shell.load(NAME, rows([1, 2, 3]))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*CTSFTP, *command],
            cwd=shell.folder,
            env=shell.env,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=False,
        )
    [line] = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert line.startswith("ctsftp: ")
    assert line.endswith("No space left on device.")


def test_ctrl_c_ends_a_command_in_one_line(shell: Shell) -> None:
    pipe = shell.folder / "key.pub"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*CTSFTP, "key", "add", "acme", str(pipe)], cwd=shell.folder, env=shell.env, stderr=subprocess.PIPE, text=True
    ) as process:
        writer = os.open(pipe, os.O_WRONLY)  # returns when the command is waiting for the key
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read().strip() == "ctsftp: interrupted."
        assert process.wait(PATIENCE_S) == 130
        os.close(writer)


def test_serve_tells_where_it_is_and_does_what_commands_ask(shell: Shell) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    shell.file("acme.pub", key.export_public_key())
    shell.run("client", "add", "acme", "--key", "acme.pub")
    environment = {"CTSFTP_SFTP__HOST": "127.0.0.1", "CTSFTP_SFTP__PORT": "0"}
    with subprocess.Popen(
        [*CTSFTP, "serve", "--log-format", "json"],
        cwd=shell.folder,
        env=shell.env | environment | {"CTSFTP_HTTP__PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        events = []
        while not events or events[-1]["event"] != "serving":
            events.append(json.loads(process.stderr.readline()))
        serving = events[-1]
        assert (serving["host"], serving["data"], serving["keys"]) == (
            "127.0.0.1",
            f"{shell.folder}/data",
            f"{shell.folder}/keys",
        )
        assert serving["port"] > 0
        assert serving["database"].endswith(f"{shell.folder}/data/ctsftp.db")

        assert "is held by another ctsftp" in shell.refused("serve", code=2)
        assert shell.json("sweep")["queued"] == []
        assert shell.refused("upload", "retry", "x", code=1).startswith("There is no upload x")
        shell.run("key", "revoke", "acme", key.get_fingerprint())
        process.send_signal(signal.SIGINT)
        rest = [json.loads(line)["event"] for line in process.stderr]
        assert process.wait(PATIENCE_S) == 0
    assert rest[-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize("form", ["console", "json"])
def test_nothing_in_a_name_forges_a_line_of_the_log_or_moves_the_terminal(
    empty_shell: Shell, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    configure_logs(form)
    log = structlog.get_logger()
    wild = "acme\n2026-11-23 [info] login client=root\x1b[2J\x9b2J\N{RIGHT-TO-LEFT OVERRIDE}"
    log.info("login refused", client=wild, names=[wild])

    def fail() -> None:
        raise ValueError(wild)

    try:
        fail()
    except ValueError:
        log.exception("load failed")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *rest = captured.err.splitlines()
    assert first.isprintable()
    assert "ValueError" in "".join(rest)
    assert all(line.isprintable() for line in rest)
    if form == "json":
        assert json.loads(first)["client"] == wild
        assert len(rest) == 1


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_a_library_logs_is_written_as_our_own_events_are(
    empty_shell: Shell, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    configure_logs(form)
    configure_logs(form)  # as `serve` does: the second takes the first one's place
    wild = "acme\n2026-11-23 [info] login client=root\x1b[2J\x9b2J\N{RIGHT-TO-LEFT OVERRIDE}"
    library = logging.getLogger("alembic")
    library.info("started")
    library.warning("from %s", wild)
    library.error("it failed", exc_info=ValueError(wild))
    logging.getLogger("asyncssh").warning("a peer misbehaves")
    first, *rest = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() for line in (first, *rest))
    assert "ValueError" in "".join(rest)
    assert "misbehaves" not in "".join(rest)
    if form == "json":
        assert len(rest) == 1
        read = json.loads(first)
        assert (read["event"], read["level"], read["logger"]) == (f"from {wild}", "warning", "alembic")
    else:
        assert first.startswith("20")
        assert "[warning" in first


def test_commands_log_only_what_is_wrong_and_never_to_stdout(
    empty_shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("console", quiet=True)
    structlog.get_logger().info("swept")
    structlog.get_logger().warning("file not adopted", path="/x")
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert "file not adopted" in line


def test_a_backup_to_a_pipe_is_the_copy_itself(shell: Shell) -> None:
    copied = subprocess.run([*CTSFTP, "backup", "-"], cwd=shell.folder, env=shell.env, capture_output=True, check=True)
    assert copied.stdout.startswith(b"SQLite format 3\0")
    assert copied.stderr.decode().endswith(f" to the output ({len(copied.stdout):,} bytes).\n")
    assert not (shell.folder / "-").exists()


def test_serve_welcomes_a_person_and_a_pipe_gets_the_log_alone(shell: Shell) -> None:
    env = shell.env | {"CTSFTP_SFTP__HOST": "127.0.0.1", "CTSFTP_SFTP__PORT": "0", "CTSFTP_HTTP__PORT": "0"}
    ours, theirs = pty.openpty()
    with subprocess.Popen([*CTSFTP, "serve"], cwd=shell.folder, env=env, stderr=theirs) as process:
        os.close(theirs)
        said = ""
        while "Ctrl-C stops." not in said:
            said += os.read(ours, 1 << 16).decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    os.close(ours)
    welcome = said[said.index("Console  ") :]
    for words in (
        "http://127.0.0.1:",
        "ctsftp token add NAME --admin",
        "SFTP     port ",
        "0 clients: ctsftp client add",
    ):
        assert words in welcome
    assert f"Data     {shell.folder}/data" in welcome
