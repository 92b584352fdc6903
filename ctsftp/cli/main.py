"""The root of the command line, and the one place that knows exit codes."""

import importlib
import sys
from pathlib import Path

import click

from ctsftp.errors import CtsftpError, UsageError

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# The module of each is imported when it is asked for, since SQLAlchemy alone takes a third of a second; so the
# help of all stands here.
COMMANDS = {
    "serve": "Serve SFTP, load what arrives, and sweep.",
    "demo": "Show the whole way in a temporary folder.",
    "check": "Tell what would become of a file, offline.",
    "client": "Add, show, disable and remove clients.",
    "key": "Add, list and revoke a client's public keys.",
    "segment": "See the segments, their members and their history; roll back, retire.",
    "upload": "See what became of each file, and decide about one that waits.",
    "member": "See which segments a member is in.",
    "backup": "Copy the database to a file while the server works.",
    "sweep": "Find now whatever the on-close hook missed.",
}


class Nouns(click.Group):
    """A group that imports a command's module when it is needed; the module's `command` is the command."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ctsftp.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands in the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file; else ctsftp.toml here, else /etc/ctsftp/ctsftp.toml.",
)
@click.version_option(package_name="ctsftp", prog_name="ctsftp")
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Land member lists by SFTP, and turn each into a segment that is ready for use.

    \b
    Example: add a client with its key, then serve.
      ctsftp client add acme --key acme.pub
      ctsftp serve
    """
    from ctsftp.cli.context import Edge  # noqa: PLC0415  settings are not needed for --help

    ctx.obj = Edge(config)


def main() -> None:
    """Run the command line, and end with its exit code; every error is one line, never a traceback."""
    sys.exit(_run())


def _run() -> int:
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except CtsftpError as exc:
        click.echo(f"ctsftp: {exc}", err=True)
        return EXIT_USAGE if isinstance(exc, UsageError) else EXIT_NO
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone: nothing is left to say, not even at exit
        return EXIT_NO
    return 0
