"""A client's connection sheet for the command line, and when its keys were used."""

from collections.abc import Sequence

from ctsftp.admin import asking
from ctsftp.admin.query import query
from ctsftp.app.sheet import write_sheet
from ctsftp.clients.hostkeys import load_or_create_host_keys
from ctsftp.clients.problem import Problem
from ctsftp.contract.counting import some
from ctsftp.errors import CtsftpError
from ctsftp.model.commands import ListPenalties
from ctsftp.model.guide import ConnectionSheetOut
from ctsftp.model.records import Logins
from ctsftp.settings import Settings
from ctsftp.sftp.penalties import source_of


def connection_sheet(settings: Settings, client: str, problems: Sequence[Problem] = ()) -> ConnectionSheetOut:
    """Gather a client's sheet; host keys are made if the server never ran. `problems` are those of its keys."""
    host_keys = load_or_create_host_keys(settings.host_keys)
    logins = query(settings, lambda store: store.logins.facts(client), missing=Logins)
    sheet: ConnectionSheetOut = {
        **write_sheet(settings, client, host_keys, logins),
        "refused_now": _refused_now(settings, logins.login_address),
    }
    if logins.refusal_cause == "unknown_key" and problems:
        sheet["refusal_says"] = f"the key was ignored, perhaps because {problems[0]}. {problems[0].do}"
    return sheet


def key_uses(settings: Settings, client: str) -> dict[str, str]:
    """Tell when each key of a client was last used, by fingerprint."""
    return query(settings, lambda store: store.logins.key_uses(client), missing=dict)


def _refused_now(settings: Settings, address: str | None) -> str:
    """Say that the running server refuses the address from which the client last signed in; "" if it does not."""
    if not address:
        return ""
    try:
        penalties = asking.perform(settings.data.socket, ListPenalties())
    except (ConnectionRefusedError, CtsftpError):  # none runs, or it is of another version or account
        return ""
    left_s = [one["seconds_left"] for one in penalties if one["refused"] and one["source"] == source_of(address)]
    if not left_s:
        return ""
    return f"{address} is refused for another {some(round(left_s[0]), 'second')}: ctsftp penalty clear {address}"
