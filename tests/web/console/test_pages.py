"""What each page shows, and what its forms do, over HTTP."""

import re
from html import unescape
from urllib.parse import urlencode

import pytest
from markupsafe import escape

from ctsftp.contract.names import segment_key
from ctsftp.model.commands import ApproveUpload, ExpectSegment, RetireSegment, RollBackSegment
from ctsftp.web.console import segments
from tests.web.conftest import Desk

from .desk import Person, actions, forms, text_of

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
    assert "acme@127.0.0.1" in text  # by the name that led here: this machine's own may lead nowhere
    assert "connection sheet below" in text
    assert "Connection sheet" in text


async def test_the_first_page_without_a_client_begins_with_a_key_and_points_to_nothing_that_is_not_there(
    desk: Desk, admin: Person
) -> None:
    for client in ("acme", "other"):
        (desk.engine.settings.keys_dir / "clients" / client).rmdir()
    text = await admin.text("/")
    assert text.index("ssh-keygen -t ed25519") < text.index("ctsftp client add acme") < text.index("sftp -P")
    assert "below" not in text


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
    await desk.service.perform(RetireSegment(name="A", client="acme"))
    await desk.service.perform(ExpectSegment(name="D", client="acme", every_s=60, grace_s=0))
    long_ago = "UPDATE segments SET heard_at = '2026-03-10T09:00:00.000Z' WHERE title = 'D'"
    await desk.store._database.write(lambda conn: conn.exec_driver_sql(long_ago))
    await desk.store.segments.report_overdue()
    text = await admin.text("/")
    assert re.findall(r"([A-D]) Client Defined", text) == ["D", "C", "B"]
    assert "3 in use, 1 retired" in text
    assert "1 overdue 1 waits for a decision" in text
    assert re.findall(r"([A-D]) Client Defined", await admin.text("/?retired=1")) == ["A"]
    assert set(re.findall(r"([A-D]) Client Defined", await admin.text("/?q=acme"))) == set("ABCD")
    text = await admin.text(href(await admin.page("/")))
    assert "No file since 2026-03-10 09:00 UTC ; one is expected every minute" in text


async def test_the_search_finds_titles_and_clients_in_any_case(desk: Desk, admin: Person) -> None:
    await desk.load("Straße", [1])
    await desk.load("Gold", [1], client="other")
    assert "Gold" not in await admin.text("/?q=STRASSE")
    assert "Straße" not in await admin.text("/?q=OTHER")
    assert "No segment is called like that" in await admin.text("/?q=zzz")


async def test_a_segments_address_takes_its_title_too(desk: Desk, admin: Person) -> None:
    await desk.load("VIP Members", [1])
    for name in ("VIP Members", "vip_members", "vip members"):
        assert "Last change" in await admin.text(f"/segment?client=acme&name={name}")


async def test_many_segments_come_a_page_at_a_time(desk: Desk, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "PAGE_SIZE", 3)
    for title in "ABCDEFG":
        await desk.load(title, range(1, 201))
    await desk.load("G", [1])
    place, found = "/", []
    while place:
        page = await admin.page(place)
        found.append(re.findall(r"([A-G]) Client Defined", text_of(page)))
        place = unescape(link[1]) if (link := re.search(r'href="([^"]*)" rel="next"', page)) else ""
    assert found == [["G", "A", "B", "C"], ["D", "E", "F"], ["G"]]  # what needs attention is shown first, too


async def test_a_rollback_is_shown_as_it_was(desk: Desk, admin: Person) -> None:
    first = await desk.load("VIP", range(1, 301))
    second = await desk.load("VIP", range(1, 161))
    place = href(await admin.page("/"))
    assert "Make current" not in await admin.page(place)
    await admin.press(place, "/segment/rollback")
    text = await admin.text("/")
    assert "300 +140 by a rollback" in text
    page = await admin.page(place)
    assert "+140 by a rollback" in text_of(page)
    [line] = re.findall(r'<path[^>]* d="([^"]*)"', page)
    heights = re.findall(r"[ML] ?[0-9.]+[ ,]([0-9.]+)", line)
    assert heights[0] == heights[1] == heights[4] == heights[5] != heights[2] == heights[3]
    assert "Roll back…" not in page
    assert "Make current…" in page
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.search(rf"2 160 \+?0?.*?{moment} – {moment} VIP", text_of(page))
    assert re.search(rf"1 current 300 \+300 entered {moment} – {moment} {moment} – now VIP", text_of(page))
    assert re.search(rf"The segment has these members, since {moment} UTC", await admin.text(f"/uploads/{first.id}"))
    text = await admin.text(f"/uploads/{second.id}")
    assert "Ids from the column titled CTUserID" in text
    assert re.search(rf"had these members until {moment} UTC: an admin made another list current", text)


async def test_what_a_rollback_changed_is_shown_after_a_retirement_too(desk: Desk, admin: Person) -> None:
    for last in (4, 8, 6):
        await desk.load("VIP", range(2, last))
    await desk.store.segments.rollback("acme", "vip", 1)
    await desk.store.segments.retire("acme", "vip")
    await desk.store.segments.restore("acme", "vip")
    for text in (await admin.text("/"), await admin.text(href(await admin.page("/")))):
        assert "−2 by a rollback" in text
        assert "counted" not in text


async def test_one_button_rolls_back_as_the_command_line_does_without_a_number(desk: Desk, admin: Person) -> None:
    for ids in (range(1, 101), range(1, 111), range(1, 121)):
        await desk.load("VIP", ids)
    await desk.service.perform(RollBackSegment(name="VIP", client="acme"))
    held = await desk.load("VIP", range(1, 131))
    await desk.service.perform(ApproveUpload(upload_id=held.id))
    place = href(await admin.page("/"))
    page = await admin.page(place)
    assert text_of(page).count("Roll back…") == 1
    assert "It is what readers had before the current list. The segment will have 110 members immediately." in text_of(
        page
    )
    assert "old=2&amp;new=4" in page
    assert "old=3" not in page
    [number] = [fields["number"] for address, fields in forms(page) if fields.get("number") == "2"]
    text = await admin.press(place, "/segment/rollback", number=number)
    assert "is at snapshot 2 again, with 110 members." in text
    row = await desk.service.perform(RollBackSegment(name="VIP", client="acme"))
    assert row["number"] == 1


async def test_a_duplicate_says_what_has_become_of_the_same_file(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", range(1, 301))
    held, again = [await desk.load_text("VIP_20260310_0900.csv", "CTUserID\n1\n") for _ in range(2)]
    page = await admin.page(f"/uploads/{again.id}")
    assert f"It is held, and waits for the server's admin to approve it (ctsftp upload approve {held.id})" in text_of(
        page
    )
    assert f'href="/uploads/{held.id}"' in page
    await desk.service.perform(ApproveUpload(upload_id=held.id))
    assert "was applied before. The segment has these members" in await admin.text(f"/uploads/{again.id}")


async def test_a_retired_segment_has_nobody_on_every_page(desk: Desk, admin: Person) -> None:
    await desk.load("VIP", range(1, 301))
    held = await desk.load("VIP", [1])
    place = href(await admin.page("/"))
    await desk.service.perform(RetireSegment(name="VIP", client="acme"))
    for shown in (await admin.text("/?retired=1"), await admin.text(place)):
        assert "0 300 once restored" in shown
        assert "+300 entered 300" not in shown
    for where in (place, "/uploads", f"/uploads/{held.id}"):
        text = await admin.text(where)
        assert "so this cannot be approved" in text
        assert "If it is approved" not in text
    assert "1 once restored 300" in await admin.text(place)
    assert "is retired: first ctsftp segment restore" in await admin.press("/uploads", f"/uploads/{held.id}/approve")


async def test_a_list_that_was_replaced_is_not_said_to_be_the_segments(desk: Desk, admin: Person) -> None:
    first, _ = await desk.load("VIP", [1]), await desk.load("VIP", [1, 2])
    assert "another list was loaded" in await admin.text(f"/uploads/{first.id}")
    await desk.service.perform(RetireSegment(name="VIP", client="acme"))
    [upload] = await desk.store.ledger.uploads(limit=1)
    assert "the segment was retired" in await admin.text(f"/uploads/{upload.id}")


async def test_a_held_upload_shows_what_would_change_now(desk: Desk, admin: Person) -> None:
    await desk.load("Winback", range(1, 301))
    first, second = await desk.load("Winback", range(1, 21)), await desk.load("Winback", range(2, 21))
    for place in ("/uploads", f"/uploads/{second.id}", "/segment?client=acme&name=winback"):
        assert "If it is approved, 0 enter and 281 leave." in await admin.text(place)
    await desk.service.perform(ApproveUpload(upload_id=first.id))
    text = await admin.text(f"/uploads/{second.id}")
    assert "20 → then 19 −1 member (−5 %)" in text
    assert "If it is approved, 0 enter and 1 leaves." in text
    assert "has 300" not in text


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
    assert "1 is not a member." in await admin.text(place + "&member=1")
    for nonsense in ("-1", "1.5", "٣", "9" * 30, "0", "<i>"):
        assert "That is not a CTUserID" in await admin.text(f"{place}&member={nonsense}")


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
    for place in ("/uploads", f"/uploads/{upload_id}"):
        page = await admin.page(place)
        question = page[page.rindex("<details", 0, page.index(f"/uploads/{upload_id}/discard")) :]
        assert "this cannot be undone" in text_of(f"<main>{question[: question.index('</details>')]}")
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
