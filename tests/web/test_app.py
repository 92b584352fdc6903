"""The app as a whole: what must be done before the first request comes."""

from typing import Any, cast

import httpx
import pytest
from pydantic import TypeAdapter

from ctsftp.web.app import make_app, make_routes


@pytest.mark.parametrize("are_made", [True, False])
async def test_the_routes_are_worked_out_before_the_first_request(
    monkeypatch: pytest.MonkeyPatch,
    are_made: bool,  # noqa: FBT001
) -> None:
    app = make_app(cast("Any", None))
    if are_made:
        make_routes(app)
    worked_out: list[object] = []
    build = TypeAdapter.__init__

    def note(adapter: TypeAdapter[Any], kind: Any, **rest: Any) -> None:
        worked_out.append(kind)
        build(adapter, kind, **rest)

    monkeypatch.setattr(TypeAdapter, "__init__", note)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ctsftp") as http:
        answer = await http.get("/healthz")
    assert answer.status_code == 200
    assert (worked_out == []) == are_made
