"""What each page shows, and what its forms do, over HTTP."""

import re
from urllib.parse import urlencode

from markupsafe import escape

from ctsftp.contract.names import segment_key
from tests.web.conftest import Desk

from .desk import Person, actions, text_of

TITLES = [
    "VIP <b>bold & \"quoted\" 'single' <img src=x onerror=alert(1)>",
    "東京の常連客",
    "أعضاء النخبة",
    "a{{ 7*7 }}{% raw %}",
    "\u202egnp.exe",
    " ..",
    "a&name=b#c?d",
]


async def held(desk: Desk) -> str:
    """Have a list of 200 halved, and so an upload held; give its id."""
    await desk.load("Winback", range(1, 201))
    return (await desk.load("Winback", range(1, 51))).id


async def test_the_first_page_says_how_to_send_the_first_file(admin: Person) -> None:
    text = await admin.text("/")
    assert "No segments yet" in text
    assert "sftp -P" in text
    assert "acme@" in text


async def test_the_segments_show_their_members_change_and_last_load(desk: Desk, admin: Person) -> None:
    await desk.load("VIP Members", range(1, 1001))
    await desk.load("VIP Members", range(11, 1211))
    text = await admin.text("/")
    for shown in ("VIP Members", "Client Defined", "acme", "1,200", "+210 entered", "−10 left", "1 in use"):
        assert shown in text


async def test_what_needs_a_hand_comes_first(desk: Desk, admin: Person) -> None:
    for title in ("A", "B", "C", "D"):
        await desk.load(title, range(1, 201))
    await desk.load("C", [1])
    await desk.service.perform("segment.retire", {"name": "A", "client": "acme"})
    await desk.service.perform("segment.expect", {"name": "D", "client": "acme", "every_s": 60, "grace_s": 0})
    long_ago = "UPDATE segments SET heard_at = '2026-03-10T09:00:00.000Z' WHERE title = 'D'"
    await desk.store._database.write(lambda conn: conn.exec_driver_sql(long_ago))
    text = await admin.text("/")
    assert re.findall(r"([A-D]) Client Defined", text) == ["D", "C", "B", "A"]
    assert "1 overdue 1 waits for a decision" in text
    text = await admin.text(href(await admin.page("/")))
    assert "No file since 2026-03-10 09:00 UTC ; one is expected every minute" in text


async def test_the_search_finds_titles_and_clients_in_any_case(desk: Desk, admin: Person) -> None:
    await desk.load("Straße", [1])
    await desk.load("Gold", [1], client="other")
    assert "Gold" not in await admin.text("/?q=STRASSE")
    assert "Straße" not in await admin.text("/?q=OTHER")
    assert "No segment is called like that" in await admin.text("/?q=zzz")


async def test_names_are_text_whatever_they_hold(desk: Desk, admin: Person) -> None:
    for title in TITLES:
        upload = await desk.load(title, [1, 2])
        segment = await admin.page(f"/segment?{urlencode({'client': 'acme', 'name': segment_key(title)})}")
        for page in (segment, await admin.page(f"/uploads/{upload.id}"), await admin.page("/gates")):
            assert title.strip() in text_of(page)
            assert f"<bdi>{escape(title.strip())}</bdi>" in page
            assert "<b>bold" not in page
            assert "<img" not in page
    page = await admin.page("/")
    assert all(f"<bdi>{escape(title.strip())}</bdi>" in page for title in TITLES)


def href(page: str) -> str:
    """Give the address of the first segment on the page."""
    start = page.index('href="/segment?') + 6
    return page[start : page.index('"', start)].replace("&amp;", "&")


async def test_a_segment_shows_its_history_and_finds_members(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", range(1, 101))
    await desk.load("VIP", range(2, 103))
    place = href(await admin.page("/"))
    text = await admin.text(place)
    assert "Snapshots" in text
    assert "+2 entered −1 left" in text
    assert "102 is a member." in await admin.text(place + "&member=102")
    assert "1 is no member." in await admin.text(place + "&member=1")
    for nonsense in ("-1", "1.5", "٣", "9" * 30, "0", "<i>"):
        assert "No CTUserID" in await admin.text(f"{place}&member={nonsense}")


async def test_who_entered_and_left_stands_on_a_page(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", range(1, 101))
    await desk.load("VIP", [*range(2, 101), 777])
    text = await admin.text("/segment/changes?client=acme&name=vip&old=1&new=2")
    assert "Entered 1 777 Left 1 1" in text
    assert (await admin.get("/segment/changes?client=acme&name=vip&old=1&new=9")).status_code == 404


async def test_long_changes_come_a_page_at_a_time(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", range(1, 11))
    await desk.load("VIP", range(1, 1211))
    first = await admin.page("/segment/changes?client=acme&name=vip&old=1&new=2")
    assert "500 on this page" in first
    start = first.index('class="button" href="') + len('class="button" href="')
    second = await admin.text(first[start : first.index('"', start)].replace("&amp;", "&"))
    assert "Entered 500 on this page 511" in second


async def test_an_admin_rolls_back_retires_and_restores(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", range(1, 101))
    await desk.load("VIP", range(1, 121))
    place = href(await admin.page("/"))
    text = await admin.press(place, "/segment/rollback")
    assert 'The segment "VIP" is at snapshot 1 again, with 100 members.' in text
    assert "rolled back" in await admin.text("/")
    assert "is retired" in await admin.press(place, "/segment/retire")
    assert "nobody is a member" in await admin.text(place + "&member=1")
    assert "is in use again" in await admin.press(place, "/segment/restore")


async def test_what_is_refused_is_told_on_the_page_it_was_asked_on(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    place = href(await admin.page("/"))
    fields = {"csrf": await admin.csrf(), "client": "acme", "name": "vip", "number": "1"}
    answer = await admin.post("/segment/rollback", fields, Referer=f"{desk.url}{place}")
    assert answer.headers["location"] == place
    assert "is the current one already" in await admin.text(place)
    assert "is the current one already" not in await admin.text(place)  # told once


async def test_a_held_upload_shows_what_would_change_and_is_approved(desk: Desk, admin: Person) -> None:
    upload_id = await held(desk)
    text = await admin.text("/uploads")
    assert "1 upload waits for your decision" in text
    assert "200 → then 50 −150 members (−75 %)" in text
    assert "1 waits for a decision" in await admin.text("/")
    assert "is loaded." in await admin.press("/uploads", f"/uploads/{upload_id}/approve")
    assert "waits for" not in await admin.text("/uploads")
    assert (await desk.store.ledger.upload(upload_id)).approved


async def test_a_held_upload_is_discarded(desk: Desk, admin: Person) -> None:
    upload_id = await held(desk)
    assert "is discarded." in await admin.press(f"/uploads/{upload_id}", f"/uploads/{upload_id}/discard")


async def test_a_rejected_upload_shows_the_setting_its_warnings_and_its_rows(desk: Desk, admin: Person) -> None:
    content = "\ufeffCTUserID\n1\n1.23E+10\n<img src=x>\n\u202e12\n" + "".join(f"{n}\n" for n in range(2, 60))
    await desk.load_text("VIP_20260401_0900.csv", content)
    upload = await desk.load_text("VIP.csv", "CTUserID\n1\n")
    assert "Name: no prefix, your segment name" in await admin.text(f"/uploads/{upload.id}")
    assert f"/uploads/{upload.id}/retry" in actions(await admin.page(f"/uploads/{upload.id}"))
    [loaded] = await desk.store.ledger.uploads(client="acme", segment_key="vip")
    page = await admin.page(f"/uploads/{loaded.id}")
    assert "byte_order_mark" in page
    assert "1.23E+10" in page
    assert "<img" not in page
    assert "\\u202e12" in page


async def test_uploads_are_filtered_and_paged(desk: Desk, admin: Person) -> None:
    for number in range(55):
        await desk.load_text(f"no_stamp_{number}.csv", "CTUserID\n1\n")
    first = await admin.page("/uploads?state=rejected")
    assert first.count('<tr role="row">') == 51
    start = first.index('href="/uploads?state=rejected&amp;before=') + 6
    second = await admin.page(first[start : first.index('"', start)].replace("&amp;", "&"))
    assert second.count('<tr role="row">') == 6
    assert "No uploads in the state" in await admin.text("/uploads?state=loaded")
    assert "no_stamp_54.csv" in await admin.text("/uploads?state=nonsense")


async def test_clients_show_their_sheet_and_keys(desk: Desk, admin: Person) -> None:
    text = await admin.text("/clients")
    assert "acme" in text
    assert "other" in text
    sheet = await admin.text("/clients/acme")
    for shown in ("Connection sheet", "External Server by SFTP", "YYYYMMDD_HH24MI", "SHA256:", "ctsftp key add acme"):
        assert shown in sheet
    assert (await admin.get("/clients/nobody")).status_code == 404


async def test_a_gate_is_set_shown_and_removed(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    await desk.load("Gold", [2])
    fields = {"kind": "Reward", "item": 'Free <coffee> & "cake"', "segment": ["vip", "gold"]}
    text = await admin.press("/gates", "/gates/set", **fields)
    assert 'Free <coffee> & "cake"' in text
    assert "Gold , VIP" in text
    assert "Free <coffee>" in await admin.text("/segment?client=acme&name=vip")
    assert "is removed" in await admin.press("/gates", "/gates/remove")
    assert "No gates" in await admin.text("/gates")


async def test_a_gate_without_a_segment_is_refused_in_words(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", [1])
    fields = {"csrf": await admin.csrf(), "client": "acme", "kind": "reward", "item": "cake"}
    assert (await admin.post("/gates/set", fields)).status_code == 303
    assert "Choose at least one segment" in await admin.text("/gates")
    assert "printable" in await admin.press("/gates", "/gates/set", kind="a/b", item="cake", segment="vip")


async def test_a_gate_that_is_refused_keeps_what_was_typed(desk: Desk, admin: Person) -> None:
    for title in ("VIP", "Gold"):
        await desk.load(title, [1])
    fields = {"csrf": await admin.csrf(), "client": "acme", "kind": "a/b", "item": "<cake>", "segment": ["vip"]}
    answer = await admin.post("/gates/set", fields)
    page = await admin.page(answer.headers["location"])
    assert 'value="a/b"' in page
    assert 'value="&lt;cake&gt;"' in page
    assert 'value="vip" checked' in page
    assert 'value="gold" checked' not in page
    many = fields | {"segment": ["vip", *("x" * 100 for _ in range(100))]}
    place = (await admin.post("/gates/set", many)).headers["location"]
    assert len(place) < 6_000
    assert 'value="a/b"' in await admin.page(place)


async def test_a_page_that_is_not_there_keeps_the_way_to_the_others(desk: Desk, admin: Person) -> None:
    page = await admin.page_of("/nothing", 404)
    assert 'href="/uploads"' in page
    assert "There is no such page." in page
    assert 'href="/uploads"' not in await Person(desk).page_of("/nothing", 404)


async def test_a_page_that_is_not_there_is_a_page(admin: Person) -> None:
    for path in ("/nothing", "/uploads/nothing", "/segment?client=acme&name=x", "/segment", "/segment/retire"):
        answer = await admin.get(path)
        assert answer.status_code in {404, 405}
        assert "<h1>" in answer.text


async def test_software_still_gets_problem_documents(desk: Desk) -> None:
    answer = await desk.http().get("/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
