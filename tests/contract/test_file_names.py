"""Names of files: parsed from the right, and refused with the reason."""

import unicodedata
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ctsftp.contract.codes import Code, Fault
from ctsftp.contract.names import (
    MAX_COMPANION_BYTES,
    SegmentFile,
    companion_of,
    final_name,
    fold_title,
    holds_a_count,
    read_name,
    segment_key,
)

TITLE_CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf"], exclude_characters="/_\\")


def segment_file(path: str) -> SegmentFile:
    found = read_name(path)
    assert isinstance(found, SegmentFile), found
    return found


def fault(path: str) -> Fault:
    found = read_name(path)
    assert isinstance(found, Fault), found
    return found


def test_a_name_holds_the_title_and_the_stamp() -> None:
    assert segment_file("VIP_20260131_0900.csv") == SegmentFile("VIP", "vip", "20260131_0900")


def test_the_day_of_a_name_is_its_stamps_date() -> None:
    assert segment_file("VIP_20240229_2400.csv").day == date(2024, 2, 29)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("VIP-20260131_0900.csv", "VIP"),
        ("VIP 20260131_0900.csv", "VIP"),
        ("VIP20260131_0900.csv", "VIP"),
        ("VIP__20260131_0900.csv", "VIP"),
        ("VIP--20260131_0900.csv", "VIP-"),
        ("Tier_2_20260131_0900.csv", "Tier 2"),
        ("Tier 220260131_0900.csv", "Tier 2"),
        ("2025_20260131_0900.csv", "2025"),
        ("20250131_0800_20260131_0900.csv", "20250131 0800"),
        ("a__b \t_c_20260131_0900.CSV".replace("\t", "\u3000"), "a b c"),
        ('it\'s 100% "new"; drop table_20260131_0900.Csv', 'it\'s 100% "new"; drop table'),
        ("a.csv_20260131_0900.csv", "a.csv"),
        ("会員_20260131_0900.csv", "会員"),
        ("\u200fמועדון_20260131_0900.csv", "\u200fמועדון"),
        ("Cafe\u0301_20260131_0900.csv", "Café"),
        ("-_20260131_0900.csv", "-"),
        ("x" * 238 + "_20260131_0900.csv", "x" * 238),
    ],
)
def test_what_stands_before_the_separator_is_the_segments_name(name: str, title: str) -> None:
    assert segment_file(name).title == title


@pytest.mark.parametrize("version", ["0000", "0001", "2359", "9999"])
def test_any_four_digits_are_a_version(version: str) -> None:
    assert segment_file(f"VIP_20260131_{version}.csv").stamp == f"20260131_{version}"


def test_only_the_last_part_of_a_path_counts() -> None:
    assert segment_file("/out/2026.zip/VIP_20260131_0900.csv").title == "VIP"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("VIP.csv", "does not end in a date-time stamp"),
        ("VIP_20260131.csv", "does not end in a date-time stamp"),
        ("VIP_20260131_090.csv", "does not end in a date-time stamp"),
        ("VIP_20260131-0900.csv", "does not end in a date-time stamp"),
        ("VIP_20260131_0900.csv.csv", "does not end in a date-time stamp"),
        ("VIP_20260131_0900 (1).csv", "does not end in a date-time stamp"),
        ("VIP_２０２６０１３１_0900.csv", "does not end in a date-time stamp"),
        ("VIP_20260131_٠٩٠٠.csv", "does not end in a date-time stamp"),
        ("VIP_20261301_0900.csv", "20261301, which is not a date"),
        ("VIP_20250229_0900.csv", "20250229, which is not a date"),
        ("VIP_00000101_0900.csv", "00000101, which is not a date"),
        ("VIP_20260131_0900", "does not end in .csv"),
        ("VIP_20260131_0900.txt", "does not end in .csv"),
        ("VIP_20260131_0900.TXT", "does not end in .csv"),
        ("VIP_20261301_0900.txt", "does not end in .csv"),
        ("20260131_0900.csv", "no segment name"),
        ("_20260131_0900.csv", "no segment name"),
        ("_ __20260131_0900.csv", "no segment name"),
        ("\u200f_20260131_0900.csv", "no segment name"),
        ("VIP_20260131_20260131_0900.csv", "20260131 twice"),
        ("20260131_VIP_20260131_0900.csv", "20260131 twice"),
        ("VIP_20260131_0800_20260131_0900.csv", "20260131 twice"),
        ("VIP2026013120260131_0900.csv", "20260131 twice"),
        ("\\upload\\VIP_20260131_0900.csv", "holds a backslash: it is a Windows path"),
        ("C:\\out\\VIP_20260131_0900.csv", "holds a backslash: it is a Windows path"),
        (".\\tmp.VIP_20260131_0900.csv.part", "holds a backslash: it is a Windows path"),
        ("a\nb_20260131_0900.csv", "control characters"),
        ("a\udcffb_20260131_0900.csv", "is not UTF-8"),
    ],
)
def test_a_broken_name_is_refused_with_the_form_of_a_right_one(name: str, found: str) -> None:
    refused = fault(name)
    assert refused.code == Code.NAME
    assert found in refused.reason
    assert "Name: no prefix, your segment name, YYYYMMDD_HH24MI.csv" in refused.reason
    assert refused.reason.isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "VIP_20260131_0900.csv.gz",
        "VIP_20260131_0900.csv.PGP",
        "VIP_20260131_0900.zip",
        "VIP_20260131_0900.csv.asc",
        "VIP.csv.bz2",
        "VIP.xz",
        "VIP.zst",
        "VIP.gpg",
        "VIP.7z",
    ],
)
def test_a_packed_file_is_known_by_its_name(name: str) -> None:
    refused = fault(name)
    assert refused.code == Code.PACKED
    assert name in refused.reason
    assert "Encryption/Compression: None" in refused.reason


@pytest.mark.parametrize(
    "name",
    [
        "VIP_20260131_0900.ready",
        "VIP_20260131_0900.csv.filepart",
        "VIP_20260131_0900.csv.tmp",
        "VIP_20260131_0900.csv~",
        "VIP_20260131_0900.csv ",
        "VIP_20260131_0900.tsv",
        "VIP.txt",
        "VIP",
        "README.md",
        ".in.VIP_20260131_0900.csv",
        ".VIP_20260131_0900.csv.a1B2c3",
        "VIP_20260131_0900.cſv",
        "/out/",
        "",
    ],
)
def test_any_other_name_is_ignored(name: str) -> None:
    assert read_name(name) is None


@pytest.mark.parametrize(
    "beginning", ["tmp.", "TMP-", "inprogress-", "InProgress.", "uploading-", "~", ".", "~$", ".in."]
)
def test_a_temporary_name_is_ignored_and_known_for_the_list_that_it_is_to_become(beginning: str) -> None:
    name = "VIP_20260131_0900.csv"
    assert read_name(f"/{beginning}{name}") is None
    assert read_name(f"{beginning}{name}.gz") is None
    assert final_name(f"{beginning}{name}").endswith(name)


@pytest.mark.parametrize("title", ["tmp", "tmp_VIP", "tmpVIP", "temp.VIP", "inprogress", "inprogress_VIP", "uploading"])
def test_a_title_may_begin_like_a_temporary_name(title: str) -> None:
    assert segment_file(f"{title}_20260131_0900.csv").title == title.replace("_", " ")


def test_a_client_may_have_further_temporary_names() -> None:
    name = "NEW-VIP_20260131_0900.csv"
    assert isinstance(read_name(name), SegmentFile)
    assert read_name(name, temporary=["new-"]) is None
    assert final_name(name, temporary=["new-"]) == "VIP_20260131_0900.csv"


@pytest.mark.parametrize("ending", [".filepart", ".part", ".a1b2c3.partial", ".TMP", ".uploading", "~"])
def test_a_temporary_ending_is_known_too(ending: str) -> None:
    assert read_name(f"VIP_20260131_0900.csv{ending}") is None
    assert final_name(f"VIP_20260131_0900.csv{ending}") == "VIP_20260131_0900.csv"


@pytest.mark.parametrize("name", ["VIP_20260131_0900.csv", "VIP_20260131_0900.csv.ready", "VIP.tmp", "tmp_VIP", ""])
def test_any_other_name_stays_what_it_is(name: str) -> None:
    assert final_name(name) == name


@pytest.mark.parametrize("name", ["VIP_20260131_0900", "VIP_20260131_0900.TXT", "VIP_20260131_0900_Count.csv"])
def test_a_companion_has_the_name_of_its_list(name: str) -> None:
    assert companion_of(name) == "VIP_20260131_0900"


@pytest.mark.parametrize(
    "name",
    ["VIP_20260131_0900.csv", "VIP_count.csv", "_count.csv", "VIP_count_20260131_0900.csv", "VIP.txt", "VIP", ""],
)
def test_no_other_file_is_a_companion(name: str) -> None:
    assert companion_of(name) is None


@pytest.mark.parametrize(
    ("content", "is_count"),
    [
        (b"", True),
        (b"30\n", True),
        (b"\xef\xbb\xbfrows: 30\r\n", True),
        (b"ready", True),
        (b" " * MAX_COMPANION_BYTES, True),
        (b" " * (MAX_COMPANION_BYTES + 1), False),
        (b"1001\n1002\n", False),
        (b"1,234", False),
    ],
)
def test_a_companion_holds_one_number_at_most(content: bytes, *, is_count: bool) -> None:
    assert holds_a_count(content) is is_count


def test_a_long_name_is_shown_whole_and_a_longer_one_is_cut() -> None:
    assert "x" * 251 + ".csv" in fault("x" * 251 + ".csv").reason
    assert "x" * 255 + "…" in fault("x" * 300 + ".csv").reason


def test_titles_that_differ_in_case_or_form_are_one_segment() -> None:
    spellings = ["Straße_Café", "STRASSE CAFÉ", "strasse__cafe\u0301"]
    assert len({segment_key(spelling) for spelling in spellings}) == 1
    assert segment_key("VIP") != segment_key("V I P")


@given(st.text(TITLE_CHARACTERS, min_size=1), st.dates(), st.integers(0, 9999), st.sampled_from(["_", "-", " "]))
def test_every_title_date_and_version_is_read_back(title: str, day: date, version: int, separator: str) -> None:
    digits = f"{day.year:04}{day:%m%d}"
    assume(digits not in title and final_name(f"{title}_") == f"{title}_")
    file = segment_file(f"{title}{separator}{digits}_{version:04}.csv")
    assert file == SegmentFile(unicodedata.normalize("NFC", title), segment_key(title), f"{digits}_{version:04}")
    assert file.day == day


@given(st.text())
def test_every_name_gets_an_answer_that_can_be_printed(name: str) -> None:
    found = read_name(name + "_20260131_0900.csv")
    assert found is None or isinstance(found, SegmentFile) or found.reason.isprintable()


@given(st.text())
def test_folding_a_title_twice_changes_nothing_more(text: str) -> None:
    title = fold_title(text)
    assert fold_title(title) == title
    assert segment_key(title) == segment_key(text)


@given(st.text())
def test_a_key_is_its_own_key_and_does_not_depend_on_the_unicode_form(text: str) -> None:
    key = segment_key(text)
    assert segment_key(key) == key
    assert segment_key(unicodedata.normalize("NFD", text)) == key


def test_a_stamp_with_seconds_is_told_from_a_missing_one() -> None:
    found = read_name("VIP_20261123_090000.csv")
    assert isinstance(found, Fault)
    assert "six digits of time (HH24MISS)" in found.reason
    assert "YYYYMMDD_HH24MI" in found.reason
    assert read_name("VIP_20261123_090000.bak") is None
