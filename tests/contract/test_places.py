"""The folder of a file: lists are taken in `/` and where client.toml says so, and temporary folders wait."""

import pytest

from ctsftp.contract.codes import Code, Fault
from ctsftp.contract.names import SegmentFile
from ctsftp.contract.places import Elsewhere, Places, directory_notice, folder_of, is_known_folder

NAME = "VIP_20261123_0900.csv"


def elsewhere(path: str, **settings: list[str]) -> Elsewhere:
    found = Places(**settings).read(path)
    assert isinstance(found, Elsewhere), found
    return found


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/VIP.csv", "/"), ("VIP.csv", "/"), ("/in/VIP.csv", "/in"), ("/in/lists/VIP.csv", "/in/lists")],
)
def test_the_folder_of_a_path(path: str, folder: str) -> None:
    assert folder_of(path) == folder


@pytest.mark.parametrize("path", [f"/{NAME}", f"/in/{NAME}", f"/in/Liste\u0301/{NAME}"])
def test_a_list_is_taken_in_the_root_and_where_client_toml_says(path: str) -> None:
    found = Places(directories=["/in", "/in/List\u00e9/"]).read(path)
    assert isinstance(found, SegmentFile)
    assert found.title == "VIP"


@pytest.mark.parametrize("folder", ["/test", "/incoming", "/in/deeper", "/IN", "/2026/11"])
def test_a_list_elsewhere_is_refused_with_the_folders_to_set(folder: str) -> None:
    found = elsewhere(f"{folder}/{NAME}", directories=["/in", "/"])
    assert (found.file.title, found.fault.code, found.named) == ("VIP", Code.DIRECTORY, True)
    assert found.fault.reason == (
        f'The list was put into "{folder}", and lists are taken in /, /in alone.'
        " In the Connect job's form, set Directory: /."
    )
    assert not elsewhere(f"{folder}/{NAME}").named


def test_an_empty_list_of_folders_names_them_too() -> None:
    assert elsewhere(f"/test/{NAME}", directories=[]).named


@pytest.mark.parametrize(
    "folder", ["/tmp", "/TEMP", "/.tmp", "/.temp", "/in/tmp", "/tmp/deeper", "/staging", "/Weekly.TMP", "/a.temp/b"]
)
@pytest.mark.parametrize("name", [NAME, "VIP.csv", "VIP.gz", "a\\b.csv"])
def test_in_a_temporary_folder_every_file_is_ignored(folder: str, name: str) -> None:
    assert Places(temporary_names=["staging"]).read(f"{folder}/{name}") is None


def test_a_folder_that_client_toml_names_is_no_temporary_one() -> None:
    places = Places(directories=["/tmp", "/in"], temporary_names=["in"])
    for path in (f"/tmp/{NAME}", f"/in/{NAME}"):
        assert isinstance(places.read(path), SegmentFile)
    assert isinstance(places.read(f"/tmp/deeper/{NAME}"), Elsewhere)
    assert places.read(f"/tmp/tmp.{NAME}") is None, "its name is a temporary one still"


@pytest.mark.parametrize(("name", "code"), [("VIP.csv", Code.NAME), ("VIP.gz", Code.PACKED)])
def test_what_is_wrong_with_a_name_is_told_first(name: str, code: Code) -> None:
    found = Places().read(f"/test/{name}")
    assert isinstance(found, Fault)
    assert found.code == code


def test_other_files_are_ignored_in_every_folder() -> None:
    assert Places().read("/test/notes.txt") is None


@pytest.mark.parametrize(
    "path", [f"/tmp.{NAME}", f"/tmp/{NAME}", f"/temp/~{NAME}", f"/{NAME}.filepart", f"/a/.in.{NAME}"]
)
def test_what_would_be_a_list_but_for_a_temporary_name_is_known(path: str) -> None:
    found = Places().unfinished(path)
    assert found is not None
    assert found.stamp == "20261123_0900"


@pytest.mark.parametrize(
    "path", [f"/{NAME}", f"/test/{NAME}", "/tmp.VIP.csv", "/tmp/notes.txt", f"/{NAME}.ready", "/.x"]
)
def test_what_would_be_none_is_not(path: str) -> None:
    assert Places().unfinished(path) is None


@pytest.mark.parametrize(
    ("known", "taken"),
    [
        (set(), False),
        ({"/in"}, True),
        ({"/"}, False),
        ({"/other"}, False),
        ({None}, True),  # of before folders were noted
        ({None, "/other"}, True),
        ({None, "/"}, False),
        ({None, "/", "/in"}, True),
    ],
)
def test_a_folder_is_known_by_the_lists_that_came_from_there(known: set[str | None], *, taken: bool) -> None:
    assert is_known_folder("/in", known) is taken


def test_the_warning_names_the_folder_and_the_setting() -> None:
    warning = directory_notice("/in/\x1b[2J")
    assert warning.code is Code.DIRECTORY
    assert '"/in/\\x1b[2J"' in warning.text
    assert warning.text.endswith("In the Connect job's form, set Directory: /.")
