"""How often a page asks the database."""

from sqlalchemy import event

from tests.web.conftest import Desk

from .desk import Person

DATABASE_KINDS = ("sqlite",)  # a node of several asks by itself, now and then


async def test_the_segments_page_asks_the_database_as_often_for_many_segments_as_for_one(
    desk: Desk, admin: Person
) -> None:
    asked: list[str] = []
    event.listen(desk.store._database._readers.sync_engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    await desk.load("A", [1])
    counts = []
    for titles in ([], ["B", "C", "D", "E"]):
        for title in titles:
            await desk.load(title, [1])
        asked.clear()
        await admin.page("/")
        counts.append(len(asked))
    assert counts[0] == counts[1] > 2
