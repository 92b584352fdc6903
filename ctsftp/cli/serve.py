"""`ctsftp serve`: everything."""

import sys
from typing import TYPE_CHECKING

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.output import say
from ctsftp.contract.counting import some

if TYPE_CHECKING:
    from ctsftp.app.service import Service


@click.command("serve")
@click.option("--log-format", type=click.Choice(["console", "json"]), help="How to log; else the setting log_format.")
@pass_edge
def command(edge: Edge, log_format: str | None) -> None:
    """Serve SFTP and the API, load what arrives, and sweep; until SIGTERM or Ctrl-C.

    Running uploads may end first; a second signal cuts them off. SIGHUP takes over changed limits and host keys, and
    ends the sessions of keys that are gone.

    \b
    Example: CTSFTP_SFTP__PORT=2022 ctsftp serve
    """
    from ctsftp.app.logwriter import writing_to_stderr  # noqa: PLC0415  the server's imports cost half a second
    from ctsftp.cli.logs import configure_logs  # noqa: PLC0415

    settings = edge.settings
    form = log_format or settings.log_format
    for_people = form == "console" and sys.stderr.isatty()
    with writing_to_stderr() as lines:
        configure_logs(form)
        from ctsftp.admin.administration import serve  # noqa: PLC0415  after the log
        from ctsftp.admin.work import run  # noqa: PLC0415

        welcome = {"welcome": _welcome} if for_people else {}
        run(serve(settings, edge.read_again, lines, **welcome))


def _welcome(service: "Service") -> None:
    """Tell a person at a terminal where everything is, and what comes next."""
    settings, count = service.engine.settings, len(service.engine.clients.names())
    host = f"[{settings.http.host}]" if ":" in settings.http.host else settings.http.host
    console = f"http://{host}:{service.web.port}, sign in with a token: ctsftp token add NAME --admin"
    say("")
    say(f"Console  {console if settings.http.enabled else 'off: set CTSFTP_HTTP__ENABLED=true and start it again'}")
    say(f"SFTP     port {service.server.port}, {some(count, 'client')}" + ("" if count else ": ctsftp client add NAME"))
    say(f"Data     {settings.data_dir}")
    say("Waiting for files. Ctrl-C stops.")
