"""`ctsftp serve`: everything."""

import click

from ctsftp.cli.context import Edge, pass_edge
from ctsftp.cli.logs import configure_logs


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
    settings = edge.settings
    configure_logs(log_format or settings.log_format)
    from ctsftp.app.serving import serve  # noqa: PLC0415  the server's imports cost half a second
    from ctsftp.app.work import run  # noqa: PLC0415

    run(serve(settings, edge.read_again))
