"""The help: every command has one, with an example that works."""

import pkgutil
import shlex
from collections.abc import Iterator

import click
import pytest

import ctsftp.cli
from ctsftp.cli.main import COMMANDS, ELSEWHERE, cli

from .shell import Shell

NO_COMMANDS = {"main", "context", "output", "keyfiles", "logs", "exporting", "late"}
# What scripts may call: these names are fixed. Further parts bring their own.
FIXED = """
serve, demo, check, sweep, client add, client list, client show, client disable, client enable, client remove,
key add, key list, key revoke, segment list, segment show, segment members, segment history, segment diff,
segment rollback, segment retire, segment restore, segment delete, segment expect, upload list, upload show,
upload rejects, upload approve, upload discard, upload retry, member segments, hook add, hook list, hook test,
hook remove, hook deliveries, token add, token list, token revoke, gate set, gate list, gate remove, segment export,
explain, help, settings
"""


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found, name
                yield from walk(found, (*path, name))


ALL = dict(walk(cli))
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


def examples(command: click.Command) -> list[list[str]]:
    """Give the arguments of each example in a command's help."""
    lines = [line.strip().removeprefix("Example: ") for line in (command.help or "").splitlines()]
    commands = [line[line.index("ctsftp ") :] for line in lines if "ctsftp " in line]
    return [shlex.split(line.partition(" > ")[0])[1:] for line in commands]


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "ctsftp")
def test_every_command_has_help_with_an_example(empty_shell: Shell, path: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        done = empty_shell.run(*path, option)
        assert done.lines[0].startswith(f"Usage: ctsftp {' '.join(path)}".rstrip())
        assert "Example: " in done.out
    assert list(empty_shell.folder.iterdir()) == [], "help looks at nothing"


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "ctsftp")
def test_every_example_is_a_command_that_exists_with_arguments_that_fit(path: tuple[str, ...]) -> None:
    found = examples(ALL[path])
    assert found
    for words in found:
        leaf = next(leaf for leaf in LEAVES if words[: len(leaf)] == list(leaf))
        assert leaf[: len(path)] == path
        root = cli.make_context("ctsftp", [], resilient_parsing=True)
        LEAVES[leaf].make_context(" ".join(leaf), words[len(leaf) :], parent=root).close()


def test_the_names_that_scripts_use_are_there() -> None:
    assert {tuple(name.split()) for name in FIXED.replace("\n", " ").split(", ")} <= LEAVES.keys()


def test_every_command_that_prints_can_print_json() -> None:
    silent = {"serve", "demo"}  # one logs, with --log-format json; the other is a show for people
    without = {
        " ".join(path)
        for path, command in LEAVES.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == silent


def test_every_module_of_a_command_is_listed() -> None:
    modules = {module.name.replace("_", "-") for module in pkgutil.iter_modules(ctsftp.cli.__path__)}
    assert modules - NO_COMMANDS == set(COMMANDS) - set(ELSEWHERE)


def test_without_a_command_the_help_is_shown_as_a_wrong_usage(empty_shell: Shell) -> None:
    done = empty_shell.run(code=2)
    assert "Commands:" in done.err
    for name, text in COMMANDS.items():
        assert f"  {name} " in done.err
        assert text.split()[0] in done.err


def test_the_version_is_told(empty_shell: Shell) -> None:
    assert empty_shell.run("--version").out.startswith("ctsftp, version ")
