"""What a segment is for: a member of a pushed file may see a gated reward as soon as the upload is loaded."""

import httpx
import pytest

from .conftest import Box
from .test_main_job import rows


@pytest.fixture
def web(box: Box) -> Box:
    """A server with its API, and a client called acme."""
    box.env["CTSFTP_HTTP__ENABLED"] = "true"
    box.add_client("acme")
    box.start()
    return box


def ask(box: Box, *token: str) -> httpx.Client:
    assert box.serve is not None
    port = box.serve.wait_for("serving http")["port"]
    secret = box.json("token", "add", *token)["token"]
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False)


def test_who_is_added_by_a_pushed_file_may_see_a_reward_and_who_left_may_not(web: Box) -> None:
    web.put("acme", "VIP_20261120_0900.csv", rows(1, 2))
    web.run("gate", "set", "reward", "4711", "--segment", "vip")
    with ask(web, "shop", "--client", "acme") as shop:

        def may_see(ct_user_id: int) -> bool:
            gate = shop.get(f"/v1/gates/acme/reward/4711/members/{ct_user_id}").json()["open"]
            listed = shop.get(f"/v1/members/{ct_user_id}/gates").json()["items"]
            assert gate is bool(listed)
            return bool(gate)

        assert [may_see(one) for one in (1, 2, 3)] == [True, True, False]
        web.put("acme", "VIP_20261121_0900.csv", rows(2, 3))
        assert [may_see(one) for one in (1, 2, 3)] == [False, True, True]
        web.run("segment", "retire", "vip")
        assert [may_see(one) for one in (1, 2, 3)] == [False, False, False]


def test_what_the_command_line_does_to_tokens_and_gates_holds_at_once(web: Box) -> None:
    web.put("acme", "VIP_20261120_0900.csv", rows(1, 2))
    with ask(web, "shop", "--admin") as shop:
        assert shop.put("/v1/gates/acme/reward/4711", json={"segments": ["VIP"]}).status_code == 200
        assert [gate["item"] for gate in web.json("gate", "list")] == ["4711"]
        web.run("gate", "remove", "reward", "4711")
        assert shop.get("/v1/gates/acme/reward/4711").status_code == 404
        web.run("token", "revoke", "shop")
        assert shop.get("/v1/segments").status_code == 401
    assert web.json("token", "list") == []


def test_a_server_that_stops_ends_what_it_began_to_answer(web: Box) -> None:
    web.put("acme", "VIP_20261120_0900.csv", rows(*range(1, 1000)))
    with ask(web, "shop") as shop:
        assert len(shop.get("/v1/segments/acme/VIP/members").text.splitlines()) == 1000
        assert web.serve is not None
        assert web.serve.stop() == 0
        with pytest.raises(httpx.ConnectError):
            shop.get("/healthz")
