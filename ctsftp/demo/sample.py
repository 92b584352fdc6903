"""A small loyalty program to export from: contacts as Responsys keeps them, an audience, and a guest list.

`CONTACTS` is the profile list, with Responsys' own columns (they end in "_") and the program's. Not all
contacts are members of the loyalty program: some have no CTUserID, and a few share one, since a person
can have two addresses. Cities and nicknames hold the commas, quotes and letters that real ones hold.

`GOLD_MEMBERS` is a view, an audience as a marketer would choose it: the contacts of the gold tier who are
members and have opted in; who has two addresses is in it twice. `VIP_GUESTS` is a supplemental table, a
guest list. Both have the column that the feed wants.
"""

import sqlite3
from collections.abc import Iterator, Sequence

CONTACTS = 3000

_NO_MEMBER_EVERY = 13  # contacts: these have an address, and no CTUserID
_SAME_PERSON_EVERY = 97  # contacts: these have the CTUserID of the contact before
_GUEST_EVERY = 29  # members

_FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Esra", "Femi", "Grace", "Hiroshi", "Inés", "Jamal", "Kim", "Łucja")
_NICKNAMES = (None, None, None, 'The "Boss"', "Mr. 5%", "O'Neill", "Lucky; Star")
_CITIES = ("Berlin", "Washington, D.C.", "São Paulo", "Kraków", "東京", "Lagos", "Reykjavík", "New York")
_PERMISSIONS = ("I", "I", "I", "I", "O")  # opted in, opted out
_TIERS = ("Bronze", "Bronze", "Bronze", "Bronze", "Silver", "Silver", "Silver", "Gold", "Gold", "Platinum")

_TABLES = """
CREATE TABLE CONTACTS (
    RIID_ INTEGER PRIMARY KEY,
    EMAIL_ADDRESS_ TEXT NOT NULL,
    EMAIL_PERMISSION_STATUS_ TEXT NOT NULL CHECK (EMAIL_PERMISSION_STATUS_ IN ('I', 'O')),
    CITY_ TEXT NOT NULL,
    FIRST_NAME TEXT NOT NULL,
    NICKNAME TEXT,
    TIER TEXT NOT NULL,
    POINTS INTEGER NOT NULL,
    CTUserID INTEGER
);
CREATE TABLE VIP_GUESTS (
    CTUserID INTEGER PRIMARY KEY,
    GUEST_OF TEXT NOT NULL
);
CREATE VIEW GOLD_MEMBERS AS
    SELECT CTUserID, TIER, CITY_
    FROM CONTACTS
    WHERE TIER = 'Gold' AND EMAIL_PERMISSION_STATUS_ = 'I' AND CTUserID IS NOT NULL
    ORDER BY RIID_;
"""


def open_sample() -> sqlite3.Connection:
    """Return a fresh database in memory that holds the sample, the same each time; the caller closes it."""
    connection = sqlite3.connect(":memory:")
    with connection:
        connection.executescript(_TABLES)
        connection.executemany("INSERT INTO CONTACTS VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _contacts())
        connection.execute(
            "INSERT INTO VIP_GUESTS SELECT DISTINCT CTUserID, TIER || ' lounge' FROM CONTACTS"
            " WHERE CTUserID IS NOT NULL AND RIID_ % ? = 0",
            (_GUEST_EVERY,),
        )
    return connection


def _contacts() -> Iterator[tuple[object, ...]]:
    """Yield the rows of CONTACTS.

    Chances are drawn by arithmetic rather than by `random`, whose draws may differ between versions of Python.
    """
    draws = _draws()
    member = 20_000_000
    person: tuple[object, ...] = ()
    for number in range(1, CONTACTS + 1):
        if number % _SAME_PERSON_EVERY:
            member += 1 + next(draws) % 1_000
            person = (
                _one_of(_FIRST_NAMES, draws),
                _one_of(_NICKNAMES, draws),
                _one_of(_TIERS, draws),
                next(draws) % 50_000,
            )
        yield (
            7_000_000 + number,
            f"contact{number}@example.com",
            _one_of(_PERMISSIONS, draws),
            _one_of(_CITIES, draws),
            *person,
            member if number % _NO_MEMBER_EVERY else None,
        )


def _one_of(choices: Sequence[object], draws: Iterator[int]) -> object:
    return choices[next(draws) % len(choices)]


def _draws() -> Iterator[int]:
    """Yield evenly spread numbers: the generator of Park, Miller and Stockmeyer (CACM 36:7, 1993)."""
    state = 2_026
    while True:
        state = state * 48_271 % 2_147_483_647
        yield state
