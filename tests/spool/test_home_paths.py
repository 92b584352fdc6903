"""A path that a client sends is read so that it never leads out of the home."""

import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctsftp.errors import PathRefusedError
from ctsftp.spool.paths import MAX_DEPTH, MAX_PATH_BYTES, HomePath, check_name, read_path

ANY_PART = st.sampled_from(["..", ".", "", "a", "...", " ", "~", "-", "\\", "\x00", "\n", "é", "\udcff", "x" * 256])
ANY_PATH = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(ANY_PART, max_size=40).map(lambda parts: "/".join(parts).encode("utf-8", "surrogateescape")),
)


@given(ANY_PATH)
@example(b"//etc/passwd")
@example(b"/a/../../etc/passwd")
@example(b"a/./b//../../..")
def test_a_path_is_refused_or_stays_in_the_home(raw: bytes) -> None:
    try:
        path = read_path(raw)
    except PathRefusedError:
        return
    on_disk = posixpath.join("/home", *path.parts)
    assert posixpath.normpath(on_disk) == on_disk
    assert on_disk == "/home" or on_disk.startswith("/home/")
    assert "\x00" not in on_disk
    assert len(path.parts) <= MAX_DEPTH
    assert all(len(name.encode()) <= 255 for name in path.parts)


@given(ANY_PATH)
def test_what_is_shown_of_a_path_reads_as_the_same_path(raw: bytes) -> None:
    try:
        path = read_path(raw)
    except PathRefusedError:
        return
    assert read_path(str(path).encode()) == path
    assert str(path) == posixpath.normpath("/" + raw.decode().lstrip("/"))


@pytest.mark.parametrize("raw", [b"", b"/", b".", b"//", b"/./", b"a/.."])
def test_the_root_has_many_spellings(raw: bytes) -> None:
    assert read_path(raw) == HomePath(())


def test_the_root_is_its_own_parent_and_has_no_name() -> None:
    root = read_path(b"/")
    assert (root.name, root.parent, str(root)) == ("", root, "/")


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (b"..", "out of your home"),
        (b"/a/../..", "out of your home"),
        (b"a\x00b", "control character"),
        (b"a\nb", "control character"),
        (b"caf\xe9.csv", "UTF-8"),
        (b"x" * 256, "255 bytes"),
        ("é".encode() * 128, "255 bytes"),
        (b"/a" * (MAX_DEPTH + 1), f"deeper than {MAX_DEPTH}"),
        (b"/" * (MAX_PATH_BYTES + 1), f"longer than {MAX_PATH_BYTES}"),
    ],
)
def test_a_refusal_says_what_is_wrong(raw: bytes, hint: str) -> None:
    with pytest.raises(PathRefusedError, match=hint):
        read_path(raw)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a b'\"%;", "\u200fעברית.csv", "...", "-rf", "~", "C:\\x"])
def test_a_name_that_a_disk_takes_is_taken(name: str) -> None:
    check_name(name)
    assert read_path(name.encode()).parts == (name,)
