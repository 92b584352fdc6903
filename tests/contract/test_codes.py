"""The table of codes: complete, written for the person at the form, and safe to print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.codes import PAGES, Code, advised_setting, fault, harmless, notice, render_codes_page

FORM_FIELDS = (
    "Select Object",
    "Name",
    "Directory",
    "Character Set",
    "Field delimiter",
    "Field enclosure",
    "Column Header",
    "Encryption/Compression",
)
HELD = {
    *(Code.ROLLED_BACK, Code.FUTURE, Code.UNFINISHED, Code.FOOTER, Code.ID_TITLE),
    *(Code.EMPTY, Code.SHRUNK),
}
FAILED = {Code.DISK, Code.DATABASE, Code.LOADER_DIED, Code.INTERNAL}


def test_the_rejections_stand_in_the_order_in_which_they_are_looked_for() -> None:
    rejected = [code for code in Code if PAGES[code].kind == "rejected"]
    assert " ".join(rejected) == (
        "name packed directory empty_file charset line_ends delimiter no_header no_id_column second_header broken_quote"
        " line_too_long too_large too_many_rejected scattered"
    )


def test_each_code_has_a_page_of_its_kind_with_all_that_a_person_needs() -> None:
    assert set(PAGES) == set(Code)
    assert {code for code, page in PAGES.items() if page.kind == "held"} == HELD
    assert {code for code, page in PAGES.items() if page.kind == "failed"} == FAILED
    for page in PAGES.values():
        assert page.kind in {"rejected", "held", "warning", "failed"}
        assert page.meaning.endswith(".")
        assert page.sender.endswith(".")
        assert page.admin.endswith(".")


def test_each_setting_is_a_field_of_the_form_and_a_value() -> None:
    for code, page in PAGES.items():
        if page.setting or page.kind == "rejected":
            field, _, value = page.setting.partition(": ")
            assert field in FORM_FIELDS, code
            assert value, code


def test_a_fault_says_what_was_found_and_which_field_to_set() -> None:
    assert fault(Code.CHARSET, "It is UTF-16.").reason == (
        "It is UTF-16. In the Connect job's form, set Character Set: UTF-8."
    )
    assert fault(Code.CHARSET, "So.", setting="Field enclosure: None").reason == (
        "So. In the Connect job's form, set Field enclosure: None."
    )


def test_a_warning_names_a_field_only_where_one_is_at_fault() -> None:
    assert "Field enclosure: None" in notice(Code.ENCLOSURE, "Quotes.").text
    assert notice(Code.BYTE_ORDER_MARK, "A mark.").text == "A mark."
    assert notice(Code.LINE_ENDS, "CR CR LF.").text == "CR CR LF.", "the page's setting is that of the rejection"


def test_the_setting_is_the_one_that_the_reason_names() -> None:
    better = fault(Code.NAME, "The extension is missing.", setting="Name: extension .csv")
    assert advised_setting(better.reason, better.code) == "Name: extension .csv"


@pytest.mark.parametrize(
    ("reason", "code", "setting"),
    [
        ("Nothing was said.", "delimiter", "Field delimiter: Comma"),
        (" In the Connect job's form, set nothing at all", "charset", "Character Set: UTF-8"),
        (None, "a code of long ago", ""),
        (None, None, ""),
    ],
)
def test_where_the_reason_names_no_setting_the_code_s_page_does(
    reason: str | None, code: str | None, setting: str
) -> None:
    assert advised_setting(reason, code) == setting


def test_the_page_holds_each_code_once_below_its_kind() -> None:
    page = render_codes_page()
    headings = [line for line in page.splitlines() if line.startswith("##")]
    assert headings.index("## Rejected") < headings.index("### `name`") < headings.index("## Held")
    assert [heading[5:-1] for heading in headings if heading.startswith("### ")] == [
        code for kind in ("rejected", "held", "warning", "failed") for code in PAGES if PAGES[code].kind == kind
    ]
    assert "- Setting: `Encryption/Compression: None`\n" in page
    assert "- Setting: none\n" in page
    assert page.count("\nAs a warning: ") == sum(bool(one.as_warning) for one in PAGES.values()) == 3
    assert page.endswith(".\n")


def test_control_characters_and_marks_are_shown_as_escapes() -> None:
    assert harmless("a\x1b[2J\n\u202e\u200fb\udcff") == "a\\x1b[2J\\n\\u202e\\u200fb\\udcff"


def test_letters_of_every_script_are_shown_as_they_are() -> None:
    assert harmless("Été 会員 мир 🎉") == "Été 会員 мир 🎉"


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert harmless(b"caf\xe9") == "caf\ufffd"


def test_a_long_value_is_cut_and_marked() -> None:
    assert harmless("x" * 60) == "x" * 60
    assert harmless("x" * 61) == "x" * 60 + "…"
    assert harmless("🎉".encode() * 61, limit=60) == "🎉" * 60 + "…"
    assert harmless("🎉".encode() * 60, limit=60) == "🎉" * 60


@given(st.one_of(st.text(), st.binary()), st.integers(1, 20))
def test_whatever_is_shown_is_bounded_and_printable(value: str | bytes, limit: int) -> None:
    shown = harmless(value, limit=limit)
    assert shown.isprintable()
    assert len(shown) <= len("\\U0001f389") * limit + 1
