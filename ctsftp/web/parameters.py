"""A parameter of the query that nobody knows is a mistake, and would be one without a word if it were passed over."""

from collections import Counter
from difflib import get_close_matches
from typing import Any

from fastapi import Request

from ctsftp.web.problems import Fault, invalid


async def refuse_unknown(request: Request) -> None:
    """Raise a 422 problem for a parameter that the route does not have, or that stands twice."""
    if not request.scope["query_string"]:
        return
    route: Any = request.scope["route"]
    known = {field.alias for field in route.dependant.query_params}
    faults = [
        Fault(where=f"query.{name}", what=_unknown(name, known) if name not in known else "is in the query twice")
        for name, count in Counter(name for name, _ in request.query_params.multi_items()).items()
        if name not in known or count > 1
    ]
    if faults:
        raise invalid(*faults)


def _unknown(name: str, known: set[str]) -> str:
    if close := get_close_matches(name, known, n=1):
        return f"is not known here: did you mean {close[0]}?"
    return f"is not known here: there is {', '.join(sorted(known))}" if known else "is not known here: there are none"
