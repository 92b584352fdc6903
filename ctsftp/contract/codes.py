"""Every code that an upload can end with, and the words for it: one table, read by people and programs.

A code is short and never changes, since scripts and tickets hold it. Its page says what it means, which
field of the Connect job's form to change, and who does what. A `Fault` carries a code and the reason told
to the sender; `fault()` writes that reason so that it always names the field and the value to choose.
Whatever came from the file is shown through `harmless()`: bounded, and without control characters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

SHOWN_CHARACTERS = 60  # of a value that a reason quotes: enough to find it, too little to flood a log


class Code(StrEnum):
    """Why an upload was rejected, held or failed, or what to know about one that was accepted.

    The rejections stand in the order in which they are looked for; the first that holds decides.
    """

    NAME = "name"
    PACKED = "packed"
    DIRECTORY = "directory"  # also a warning
    EMPTY_FILE = "empty_file"
    CHARSET = "charset"
    LINE_ENDS = "line_ends"  # also a warning
    DELIMITER = "delimiter"
    NO_HEADER = "no_header"
    NO_ID_COLUMN = "no_id_column"
    SECOND_HEADER = "second_header"
    BROKEN_QUOTE = "broken_quote"
    LINE_TOO_LONG = "line_too_long"
    TOO_LARGE = "too_large"
    TOO_MANY_REJECTED = "too_many_rejected"
    SCATTERED = "scattered"

    ROLLED_BACK = "rolled_back"
    FUTURE = "future"
    UNFINISHED = "unfinished"
    FOOTER = "footer"
    ID_TITLE = "id_title"  # also a warning
    EMPTY = "empty"
    SHRUNK = "shrunk"

    BYTE_ORDER_MARK = "byte_order_mark"
    NOT_UTF8 = "not_utf8"
    NO_LAST_NEWLINE = "no_last_newline"
    ENCLOSURE = "enclosure"
    TITLE_SPELLING = "title_spelling"
    MOSTLY_CHANGED = "mostly_changed"

    DISK = "disk"
    DATABASE = "database"
    LOADER_DIED = "loader_died"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Page:
    """What a person needs to know about one code.

    `setting` is a field of the Connect job's form and the value to choose ("" where no field is at fault);
    `sender` and `admin` say what each of them does; `as_warning` says what the code means on a file that was
    accepted, where it can be a warning as well.
    """

    kind: str
    meaning: str
    setting: str
    sender: str
    admin: str
    as_warning: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, in words for the person at the Connect job's form.

    `setting` is the field to change and its right value, which `reason` names, too; "" where none is at fault.
    """

    code: Code
    reason: str
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: the file is accepted, and somebody should know this."""

    code: Code
    text: str


def harmless(value: str | bytes, *, limit: int = SHOWN_CHARACTERS) -> str:
    """Return at most `limit` characters of a value, its unprintable ones escaped.

    Bytes are decoded as UTF-8 with replacement. Line breaks, terminal sequences, invisible and
    right-to-left marks come out as Python's escapes, so that the text can be printed, logged and sent
    as it is; an escape counts as one character. A cut is marked by "…".
    """
    # No UTF-8 character has more than four bytes: a huge value is never decoded whole.
    text = value if isinstance(value, str) else value[: limit * 4 + 4].decode("utf-8", "replace")
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:limit]
    )
    return f"{shown}…" if len(text) > limit else shown


def fault(code: Code, found: str, *, setting: str = "") -> Fault:
    """Return the fault of a file: what was found in it, and which field of the form to set to what.

    `setting` stands in for the one on the code's page, where what was found shows a better one.
    """
    right = setting or PAGES[code].setting
    return Fault(code, _advise(found, right), right)


def notice(code: Code, found: str) -> Notice:
    """Return a warning: what was found, and which field of the form to set to what, if one is at fault."""
    page = PAGES[code]
    return Notice(code, _advise(found, page.setting if page.kind == WARNING else ""))


def advised_setting(reason: str | None, code: str | None) -> str:
    """Return the field and the value that a reason names, else those of its code's page; "" where there is none.

    The ledger keeps the reason, and it outlives the codes of its time.
    """
    _, advice, setting = (reason or "").rpartition(_ADVICE)
    if advice and setting.endswith("."):
        return setting[:-1]
    return PAGES[Code(code)].setting if code in set(Code) else ""


_ADVICE = " In the Connect job's form, set "


def _advise(found: str, setting: str) -> str:
    return f"{found}{_ADVICE}{setting}." if setting else found


def render_codes_page() -> str:
    """Return the page `deploy/docs/codes.md`: every code by kind, as Markdown with one heading a code."""
    return "\n".join(_page_lines()) + "\n"


def _page_lines() -> Iterator[str]:
    yield "# The codes of an upload"
    yield ""
    yield "`ctsftp upload show ID` tells the code of an upload, and the reason. *Setting* is a field of the Connect"
    yield "job's form and the value to choose; where the file shows a better value, the reason names that one."
    for kind, introduction in _KINDS.items():
        yield from ("", f"## {kind.capitalize()}", "", introduction)
        for code, page in PAGES.items():
            if page.kind == kind:
                yield from ("", f"### `{code}`", "", page.meaning, "")
                if page.as_warning:
                    yield from (f"As a warning: {page.as_warning}", "")
                yield f"- Setting: {f'`{page.setting}`' if page.setting else 'none'}"
                yield f"- Sender: {page.sender}"
                yield f"- Admin: {page.admin}"


REJECTED, HELD, WARNING, FAILED = "rejected", "held", "warning", "failed"

_KINDS = {
    REJECTED: "The file breaks the contract. It is kept, and the segment does not change. The codes are checked in this"
    " order; the first match wins.",
    HELD: "The file is complete, but applying it could do harm: it waits for an admin.",
    WARNING: "The file was accepted. Somebody should know this.",
    FAILED: "The fault is the server's. The file is safe, and loading it is retried automatically.",
}

_NOTHING = "Nothing."
_CORRECT_AND_RUN = "Change the setting and run the job again."
_TELL_SENDER = "Tell the sender the reason, if the job's own notification did not."
_CHECK_AND_DECIDE = "Apply the file with `ctsftp upload approve ID`, or drop it with `ctsftp upload discard ID`."
_ID_COLUMN = "Select Object: your data source with one column titled CTUserID"

PAGES: dict[Code, Page] = {
    Code.NAME: Page(
        REJECTED,
        "The file's name has no date-time stamp or an impossible date, does not end in `.csv`, has no segment"
        " name, or holds its stamp's date twice, which would make a new segment every day.",
        "Name: no prefix, your segment name, YYYYMMDD_HH24MI.csv",
        _CORRECT_AND_RUN,
        _TELL_SENDER,
    ),
    Code.PACKED: Page(
        REJECTED,
        "The file is compressed or encrypted: gzip, zip (an Excel workbook is one), bzip2, xz, zstd or PGP.",
        "Encryption/Compression: None",
        _CORRECT_AND_RUN,
        _TELL_SENDER,
    ),
    Code.DIRECTORY: Page(
        REJECTED,
        "The list was put into a folder. Put lists into `/`, or into a folder that the server's admin named.",
        "Directory: /",
        _CORRECT_AND_RUN,
        "If the sender cannot change it, name the folder in the client's `client.toml` (`directories`), then run"
        " `ctsftp upload retry ID`.",
        as_warning="the list was taken from a folder, because lists of this segment came from there before. Set the"
        " job's Directory to /, or ask the admin to name the folder (`directories`).",
    ),
    Code.EMPTY_FILE: Page(
        REJECTED,
        "The file is empty. Even an export without members has a header row.",
        "Column Header: True",
        "Check that the job ran to its end, and run it again.",
        _TELL_SENDER,
    ),
    Code.CHARSET: Page(
        REJECTED,
        "The file is UTF-16 or UTF-32, or holds NUL bytes.",
        "Character Set: UTF-8",
        _CORRECT_AND_RUN,
        _TELL_SENDER,
    ),
    Code.LINE_ENDS: Page(
        REJECTED,
        "The lines end in a carriage return (CR) alone, as old Macintosh programs write them, or in another character"
        " that is no line feed, such as U+2028. Other programs see one long line.",
        "Select Object: the data source itself, without a spreadsheet in between",
        "Let the job write the file, or save it as CSV UTF-8 (not CSV Macintosh), with lines that end in LF or CR LF.",
        _TELL_SENDER,
        as_warning="lines end in CR CR LF, as in a file that was sent in text mode twice. They were read as CR LF.",
    ),
    Code.DELIMITER: Page(
        REJECTED,
        "The columns are separated by tabs, semicolons or vertical bars.",
        "Field delimiter: Comma",
        _CORRECT_AND_RUN,
        _TELL_SENDER,
    ),
    Code.NO_HEADER: Page(
        REJECTED,
        "The first line is a row, not the titles: it holds an id, and no title is CTUserID.",
        "Column Header: True",
        _CORRECT_AND_RUN,
        _TELL_SENDER,
    ),
    Code.NO_ID_COLUMN: Page(
        REJECTED,
        "No column is titled CTUserID (or id), or two are. If RIID_ is the only column, no field was selected for the"
        " export. Lists of e-mail addresses, third-party ids, user names or mobile numbers cannot be read: export the"
        " numeric CrowdTwist user id.",
        _ID_COLUMN,
        "Select one column titled CTUserID for the export, and run the job again.",
        "If the sender cannot change the title, add it to the client's `client.toml` (`id_columns`).",
    ),
    Code.SECOND_HEADER: Page(
        REJECTED,
        "A later line holds column titles again, in a different order than the first line: two exports were joined"
        " into one file, and the ids of the second are in another column.",
        "Select Object: one data source, one export a file",
        "Send each export as its own file, straight from the job.",
        _TELL_SENDER,
    ),
    Code.BROKEN_QUOTE: Page(
        REJECTED,
        "A value opens with a quote that is not closed correctly within 100 lines and 1 MiB, so nobody can tell where"
        " the rows end. Or, in a file whose titles are not all enclosed, more than 10,000 lines stand between such"
        " quotes.",
        "Field enclosure: None",
        "Change the setting, and leave out columns whose values hold line breaks.",
        _TELL_SENDER,
    ),
    Code.LINE_TOO_LONG: Page(
        REJECTED,
        "A line is longer than 1 MiB. A list has one member on each line.",
        "Select Object: a data source with the CTUserID column and few others",
        "Leave long columns out, and run the job again.",
        _TELL_SENDER,
    ),
    Code.TOO_LARGE: Page(
        REJECTED,
        "The file has more rows than this client may send.",
        "Select Object: a data source with fewer rows",
        "Narrow the audience, or ask the admin for a higher limit.",
        "Raise the client's limit (`max_rows`), then run `ctsftp upload retry ID`.",
    ),
    Code.TOO_MANY_REJECTED: Page(
        REJECTED,
        "More than 10 % of the rows were rejected, not counting rows with an empty id.",
        "Select Object: a data source whose CTUserID column holds whole numbers only",
        "Correct the column, without a spreadsheet in between, and run the job again.",
        "Send the sender the list that `ctsftp upload rejects ID` prints.",
    ),
    Code.SCATTERED: Page(
        REJECTED,
        "The ids are not CTUserIDs. Those are given out one after another; these are spread over more than 1.5 million"
        " ranges of 65,536 ids, like hashes or the ids of another system.",
        _ID_COLUMN,
        "Choose the column that holds CTUserIDs, and run the job again.",
        _TELL_SENDER,
    ),
    Code.ROLLED_BACK: Page(
        HELD,
        "An admin rolled the segment back. New uploads wait until one is approved.",
        "",
        "Correct the list, and tell the admin when it is right.",
        _CHECK_AND_DECIDE,
    ),
    Code.FUTURE: Page(
        HELD,
        "The date in the file's name is too far ahead. If the file were applied, every correctly dated file would count"
        " as older.",
        "",
        "Check the clock of the exporting system and the date in the name.",
        f"{_CHECK_AND_DECIDE} Afterwards, `ctsftp segment rollback` lets correctly dated files count again.",
    ),
    Code.UNFINISHED: Page(
        HELD,
        "The last line does not end with a line break, while every applied list of this client did: the file was"
        " probably cut off, and the id in its last row may have lost digits.",
        "",
        "Run the job again, and check that it runs to its end.",
        f"{_CHECK_AND_DECIDE} If you approve it, this client's files may end like this.",
    ),
    Code.FOOTER: Page(
        HELD,
        "The id in the last row is the number of rows before it (or one more): the row may be a footer with a count,"
        " not a member. If the row's other cells are empty, or a blank line stands before it, it is rejected as a"
        " footer and the list is loaded.",
        "",
        "Tell the admin whether the export adds a count of its rows, and leave the count out.",
        f"{_CHECK_AND_DECIDE} If you approve it, the last row is a member like all others.",
    ),
    Code.ID_TITLE: Page(
        HELD,
        "The segment's list came with a column CTUserID, and this file has none: its ids are under another title, and"
        " may be those of another system.",
        "",
        "Check that the column holds CrowdTwist user ids, and title it CTUserID.",
        f"{_CHECK_AND_DECIDE} If you approve it, the segment's files may have that title.",
        as_warning="the ids were read from the column titled `id`, since no column is titled CTUserID.",
    ),
    Code.EMPTY: Page(
        HELD,
        "The file has no members, and the segment has some.",
        "",
        "Check that the audience really is empty; if not, find out what went wrong in the export.",
        _CHECK_AND_DECIDE,
    ),
    Code.SHRUNK: Page(
        HELD,
        "The file has far fewer members than the segment.",
        "",
        "Check that the audience really is that small; if not, find out what went wrong in the export.",
        _CHECK_AND_DECIDE,
    ),
    Code.BYTE_ORDER_MARK: Page(
        WARNING, "The file begins with a UTF-8 byte-order mark. It was skipped.", "", _NOTHING, _NOTHING
    ),
    Code.NOT_UTF8: Page(
        WARNING,
        "The file holds bytes that are not UTF-8. No id was misread, since ids are digits.",
        "Character Set: UTF-8",
        "Change the setting when you next edit the job.",
        _NOTHING,
    ),
    Code.NO_LAST_NEWLINE: Page(
        WARNING,
        "The last line does not end with a line break. The file may have been cut off.",
        "",
        "If the number of members is unexpected, check that the export ran to its end.",
        _NOTHING,
    ),
    Code.ENCLOSURE: Page(
        WARNING,
        "Values are enclosed in quotes, and were read without them. If some quotes may enclose line breaks and others"
        " are part of the text, or enclose no row, the rows between such quotes were rejected, or each of their lines"
        " was read as a row; the warning says which.",
        "Field enclosure: None",
        "Change the setting when you next edit the job.",
        _NOTHING,
    ),
    Code.TITLE_SPELLING: Page(
        WARNING,
        "The segment's name differs from before in upper and lower case. It is the same segment.",
        "Name: your segment name, spelled as before",
        "Spell the name as before.",
        _NOTHING,
    ),
    Code.MOSTLY_CHANGED: Page(
        WARNING,
        "More than half of the old members left, or more than half of the members are new.",
        "",
        "Check that the job exports the data source of this segment.",
        "See the change with `ctsftp segment diff NAME`; take it back with `ctsftp segment rollback NAME`.",
    ),
    Code.DISK: Page(
        FAILED,
        "The disk could not be read or written.",
        "",
        _NOTHING,
        "Free or repair the disk that `ctsftp doctor` names.",
    ),
    Code.DATABASE: Page(
        FAILED,
        "The database could not be reached or written.",
        "",
        _NOTHING,
        "Repair the database. `ctsftp doctor` says what is wrong.",
    ),
    Code.LOADER_DIED: Page(
        FAILED,
        "The server died while it loaded this file. After three such deaths the file waits for an admin.",
        "",
        _NOTHING,
        "Find the cause in the log (memory, disk), then run `ctsftp upload retry ID`.",
    ),
    Code.INTERNAL: Page(
        FAILED,
        "Something happened that ctsftp did not expect.",
        "",
        _NOTHING,
        "Report the log's lines about this upload to the engineers.",
    ),
}
