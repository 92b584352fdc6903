import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from ctsftp.demo.connect import ExportJob, Filter, SupplementalTable
from ctsftp.demo.sample import CONTACTS, open_sample

AT = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample() -> Iterator[sqlite3.Connection]:
    with closing(open_sample()) as connection:
        yield connection


def ask(sample: sqlite3.Connection, sql: str) -> Any:
    return sample.execute(sql).fetchone()[0]


def test_the_sample_is_the_same_each_time(sample: sqlite3.Connection) -> None:
    with closing(open_sample()) as another:
        assert list(another.iterdump()) == list(sample.iterdump())


def test_the_sample_is_the_same_on_every_machine(sample: sqlite3.Connection) -> None:
    exported = ExportJob(SupplementalTable("CONTACTS"), "All").export(sample, AT).data

    # After a deliberate change of the sample, this changes with it.
    assert hashlib.sha256(exported).hexdigest() == "eea23e549f4b9e981f3ce53f65139a2d9188732af5df9dd4a2a27fc139539263"


def test_the_sample_is_committed_and_open_for_more(sample: sqlite3.Connection) -> None:
    assert not sample.in_transaction


def test_some_contacts_are_no_members_and_some_share_an_id(sample: sqlite3.Connection) -> None:
    assert ask(sample, "SELECT count(*) FROM CONTACTS") == CONTACTS
    no_members = ask(sample, "SELECT count(*) FROM CONTACTS WHERE CTUserID IS NULL")
    members = ask(sample, "SELECT count(DISTINCT CTUserID) FROM CONTACTS")

    assert 0.05 * CONTACTS < no_members < 0.1 * CONTACTS
    assert 0 < CONTACTS - no_members - members < 50


def test_every_tier_and_both_permissions_have_contacts(sample: sqlite3.Connection) -> None:
    counts = dict(sample.execute("SELECT TIER, count(*) FROM CONTACTS GROUP BY TIER"))
    opted_in = ask(sample, "SELECT count(*) FROM CONTACTS WHERE EMAIL_PERMISSION_STATUS_ = 'I'")

    assert counts["Bronze"] > counts["Silver"] > counts["Gold"] > counts["Platinum"] > 200
    assert 0.7 * CONTACTS < opted_in < 0.9 * CONTACTS


def test_a_person_with_two_addresses_is_one_member_of_one_tier(sample: sqlite3.Connection) -> None:
    people = "SELECT count(DISTINCT TIER || POINTS || FIRST_NAME) AS people FROM CONTACTS GROUP BY CTUserID"

    assert ask(sample, f"SELECT max(people) FROM ({people} HAVING CTUserID IS NOT NULL)") == 1  # noqa: S608


def test_the_audience_is_the_gold_members_who_have_opted_in(sample: sqlite3.Connection) -> None:
    gold = "FROM CONTACTS WHERE TIER = 'Gold' AND EMAIL_PERMISSION_STATUS_ = 'I'"
    audience = list(sample.execute("SELECT CTUserID FROM GOLD_MEMBERS"))

    assert audience == list(sample.execute(f"SELECT CTUserID {gold} AND CTUserID IS NOT NULL ORDER BY RIID_"))
    assert 300 < len(set(audience)) < len(audience)


def test_the_guest_list_holds_members_alone(sample: sqlite3.Connection) -> None:
    guests = {row[0] for row in sample.execute("SELECT CTUserID FROM VIP_GUESTS")}

    assert len(guests) > 50
    assert guests <= {row[0] for row in sample.execute("SELECT CTUserID FROM CONTACTS")}


def test_exports_from_the_sample_hold_what_real_ones_trip_over(sample: sqlite3.Connection) -> None:
    lines = ExportJob(Filter("CONTACTS", "TIER", "Gold"), "Gold").export(sample, AT).data.splitlines()
    columns = lines[0].count(b",")

    assert any(line.count(b",") > columns for line in lines)
    assert any(line.endswith(b",") for line in lines)
    assert any(b'"' in line for line in lines)
