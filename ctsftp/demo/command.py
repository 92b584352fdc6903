"""`ctsftp demo`: the guided tour."""

import click


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the tour instead of staying up for your own sftp.")
def command(once: bool) -> None:
    """Show the whole way in a temporary folder: a server, a client, a key, a stock sftp put, a segment.

    \b
    Example: ctsftp demo --once
    """
    import structlog  # noqa: PLC0415

    from ctsftp.demo.tour import tour  # noqa: PLC0415  the server's imports cost half a second

    structlog.reset_defaults()  # the tour listens to the events that other commands leave out
    tour(stay=not once)
