"""What lies in deploy/ works: the unit's commands and paths, the container's, the documents' commands and links."""

import configparser
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from ctsftp.cli.main import cli
from tests.e2e.conftest import Box, box, host_keys, start_process

__all__ = ["box", "host_keys"]

TOP = Path(__file__).parent.parent
DEPLOY = TOP / "deploy"
DOCUMENTS = [
    TOP / "README.md",
    TOP / "ctsftp" / "README.md",
    TOP / "keys" / "README.md",
    *sorted(DEPLOY.glob("docs/*.md")),
]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]*))?\)")
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


class Unit(configparser.RawConfigParser):
    """A unit file; a key that stands several times (Environment=) keeps its last value, as ours stand once each."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit() -> Unit:
    parser = Unit(strict=False, interpolation=None)
    parser.read(DEPLOY / "ctsftp.service")
    return parser


def environment() -> dict[str, str]:
    lines = (DEPLOY / "ctsftp.service").read_text().splitlines()
    settings = [line.partition("=")[2] for line in lines if line.startswith("Environment=")]
    return dict(word.split("=", 1) for line in settings for word in shlex.split(line))


@pytest.mark.slow
def test_the_unit_s_command_serves_with_its_environment(box: Box) -> None:
    program, *arguments = shlex.split(unit()["Service"]["ExecStart"])
    assert Path(program).name == "ctsftp"
    assert arguments[0] == "serve"
    places = environment()
    box.env |= {name: str(box.folder) + value for name, value in places.items()}
    (box.folder / "etc/ctsftp").mkdir(parents=True)
    shutil.copytree(box.folder / "keys", box.folder / "etc/ctsftp/keys")
    (box.folder / "var/lib").mkdir(parents=True)
    box.launch = lambda box: start_process(box, arguments=arguments)
    serve = box.start()
    assert (box.folder / "var/lib/ctsftp/control.sock").exists()
    assert serve.stop(signal.SIGTERM) == 0


def test_the_unit_s_paths_are_those_that_sysusers_and_tmpfiles_make() -> None:
    service = unit()["Service"]
    made = {line.split()[1]: line.split()[2:5] for line in config_lines("ctsftp.tmpfiles.conf")}
    for place in environment().values():
        assert made[place] == ["0750", "ctsftp", "ctsftp"]
    [account] = config_lines("ctsftp.sysusers.conf")
    assert account.split()[:2] == ["u", service["User"]] == ["u", service["Group"]]
    assert f"/var/lib/{service['StateDirectory'].split()[0]}" in made


def test_commands_find_the_data_and_the_keys_where_the_unit_has_them() -> None:
    table = tomllib.loads((DEPLOY / "ctsftp.toml").read_text("utf-8"))
    places = environment()
    assert (table["data_dir"], table["keys_dir"]) == (places["CTSFTP_DATA_DIR"], places["CTSFTP_KEYS_DIR"])


def config_lines(name: str) -> list[str]:
    return [line for line in (DEPLOY / name).read_text().splitlines() if line and not line.startswith("#")]


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not here; the tests above read the unit")
    program = shlex.split(unit()["Service"]["ExecStart"])[0]
    copy = tmp_path / "ctsftp.service"
    copy.write_text((DEPLOY / "ctsftp.service").read_text().replace(program, sys.executable))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "ctsftp" in line] == []


def test_the_container_runs_as_nobody_special_and_writes_only_to_its_volumes() -> None:
    lines = (DEPLOY / "Containerfile").read_text()
    assert "\nUSER ctsftp\n" in lines
    volumes = set(json.loads(next(line for line in lines.splitlines() if line.startswith("VOLUME"))[len("VOLUME ") :]))
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["ctsftp"]
    assert service["read_only"] is True
    assert {volume.split(":")[1] for volume in service["volumes"]} == volumes
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    for name in re.findall(r"(CTSFTP_[A-Z_]+_DIR)=(\S+)", lines):
        assert name[1] in volumes


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text("utf-8")):
        place = document.parent / target if target else document
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), (target, anchor)


# What ends a command's own arguments.
SHELL = {"<", ">", ">>", "|", "&&", ";"}


def commands(document: Path) -> list[list[str]]:
    """The ctsftp commands in a document's shell blocks, without what stands before or behind them."""
    found = []
    for block in BLOCK.findall(document.read_text("utf-8")):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["sudo", "-u"]:
                words = words[3:]
            if words[:1] == ["sudo"]:
                words = words[1:]
            if words and words[0] == "ctsftp":
                found.append(list(takewhile(lambda word: word not in SHELL, words[1:])))
    return found


ALL = [(document.name, words) for document in DOCUMENTS for words in commands(document)]


@pytest.mark.parametrize("words", [words for _, words in ALL], ids=" ".join)
def test_every_command_of_a_document_is_one_with_arguments_that_fit(words: list[str]) -> None:
    command, context = cli, cli.make_context("ctsftp", [], resilient_parsing=True)
    while hasattr(command, "get_command"):
        name, *words = words
        found = command.get_command(context, name)
        assert found, name
        command = found
    command.make_context("ctsftp", list(words), parent=context).close()


SPAN = re.compile(r"`ctsftp ([^`]+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_command_in_the_prose_of_a_document_is_one_with_options_of_its_own(document: Path) -> None:
    for span in SPAN.findall(document.read_text("utf-8")):
        command, context = cli, cli.make_context("ctsftp", [], resilient_parsing=True)
        words = takewhile(lambda word: word not in {*SHELL, "..."}, span.split())
        for word in words:
            if word.startswith("--"):
                options = [option for parameter in command.params for option in parameter.opts]
                assert word in {*options, "--help"}, span
            elif hasattr(command, "get_command"):
                command = command.get_command(context, word)
                assert command, span


def test_the_documents_show_commands() -> None:
    assert {"install.md", "onboard.md", "README.md"} <= {name for name, _ in ALL}


def test_the_guide_to_responsys_has_every_field_of_the_form() -> None:
    from ctsftp.app.sheet import FILE_SETTINGS  # noqa: PLC0415

    text = (DEPLOY / "docs" / "connect-form.md").read_text("utf-8")
    for field, value in FILE_SETTINGS.items():
        if field != "Name":
            assert f"| {field} | {value} |" in text
    for field in ("Select Object", "Destination Connectivity", "Authentication", "Notification", "Schedule"):
        assert f"| {field} | " in text
