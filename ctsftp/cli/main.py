"""The root of the command line, and the one place that knows exit codes."""

import importlib
import io
import os
import sys
from pathlib import Path

import click

from ctsftp.errors import CtsftpError, UsageError

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
LAST_STREAM = 2  # the number of standard error
# The module of each is imported when it is asked for, since SQLAlchemy alone takes a third of a second; so the
# help of all stands here.
COMMANDS = {
    "serve": "Serve SFTP and the API, load what arrives, and sweep.",
    "demo": "Show everything at work, in a temporary folder.",
    "check": "Check a file offline: would it be applied?",
    "client": "Add, show, disable and remove clients.",
    "key": "Add, list and revoke a client's public keys.",
    "segment": "See segments, members and history; roll back, retire, set what is expected.",
    "upload": "See what became of each file; approve or discard one that waits.",
    "hook": "Notify programs and people: webhooks, mail, Slack, Teams.",
    "member": "See which segments a member is in.",
    "login": "See recent logins, and why some were refused.",
    "penalty": "See and clear the addresses that are refused after failed logins.",
    "gate": "Set which segments open an activity, a reward or a campaign.",
    "token": "Add, list and revoke the tokens of the API.",
    "backup": "Copy the database to a file while the server works.",
    "migrate-database": "Copy a database file to PostgreSQL, for several nodes.",
    "help": "Show the pages of the manual: how to do a task.",
    "explain": "Explain a code, and what to do about it.",
    "settings": "Show the settings that apply, and where each comes from.",
    "doctor": "Check everything that an admin can get wrong.",
    "sweep": "Look for files that were not picked up yet.",
}
# What stands on the command line itself, and is named here alone.
ELSEWHERE = {"demo": "ctsftp.demo.command"}


class Nouns(click.Group):
    """A group that imports a command's module when it is needed; the module's `command` is the command."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        place = ELSEWHERE.get(cmd_name) or f"ctsftp.cli.{cmd_name.replace('-', '_')}"
        command: click.Command = importlib.import_module(place).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which was meant: click itself knows only those that are imported."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415  `--help` is quick without it

            like = get_close_matches(args[0], COMMANDS)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean {' or '.join(like)}?" if like else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands in the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata  # noqa: PLC0415  `--help` is quick without it

    try:
        version = metadata.version("ctsftp")
    except metadata.PackageNotFoundError:
        version = "of a folder that was not installed"
    click.echo(f"ctsftp, version {version}")
    ctx.exit()


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file; else ctsftp.toml here, else /etc/ctsftp/ctsftp.toml.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Land member lists by SFTP, and turn each into a segment that is ready for use.

    \b
    Example: add a client with its key, then serve.
      ctsftp client add acme --key acme.pub
      ctsftp serve
    """
    from ctsftp.cli.context import Edge  # noqa: PLC0415  not needed for --help

    ctx.obj = Edge(config)


def main() -> None:
    """Run the command line, and end with its exit code; every error is one line, never a traceback."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows names as escapes
    code = _run()
    sys.exit(code if _is_written() else code or EXIT_NO)


def _open_streams() -> None:
    """Open the streams that were closed: else a file of ours would get the number of one, and be written over."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        pass
    os.close(fd)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  until the process ends
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(LAST_STREAM, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except SystemExit as exc:  # click's own answer to a reader of our output that has gone, and to a completion
        return exc.code if isinstance(exc.code, int) else EXIT_NO
    except (click.exceptions.Abort, CtsftpError, UnicodeEncodeError, OSError) as exc:
        return _complain(*_explain(exc))
    return code if isinstance(code, int) else 0


def _explain(exc: Exception) -> tuple[str, int]:
    """Say in one line what went wrong, and with which exit code this ends."""
    match exc:
        case click.exceptions.Abort():
            return "interrupted.", EXIT_INTERRUPTED
        case CtsftpError():
            return str(exc), EXIT_USAGE if isinstance(exc, UsageError) else EXIT_NO
        case UnicodeEncodeError():
            return "something on this command line is not UTF-8, and cannot name anything.", EXIT_USAGE
        case OSError(filename=None):
            return f"{exc.strerror or exc}.", EXIT_NO
        case OSError():
            return f"{exc.strerror}: {exc.filename}.", EXIT_NO
    raise exc


def _complain(text: str, code: int) -> int:
    from ctsftp.cli.output import plain  # noqa: PLC0415  not needed for --help

    click.echo(f"ctsftp: {plain(text)}", err=True)
    return code


def _is_written() -> bool:
    """Write out what is still buffered; if that fails, see to it that the interpreter does not try once more."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        if not isinstance(exc, BrokenPipeError):
            _complain(f"the output could not be written: {exc.strerror}.", EXIT_NO)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
