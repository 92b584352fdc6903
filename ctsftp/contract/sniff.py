"""Tell from a file's first bytes that it is no plain UTF-8 text: packed, empty, UTF-16 or UTF-32.

The signatures are those of the formats' own specifications: RFC 1952 (gzip), RFC 8878 (zstd), RFC 9580 (PGP),
PKWARE's APPNOTE (zip), and the format notes of bzip2 and xz.
"""

import re

from ctsftp.contract.codes import Code, Fault, fault

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_SIGNATURES = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip (an Excel workbook is one, too)",
    b"PK\x05\x06": "zip",
    b"PK\x07\x08": "zip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"-----BEGIN PGP ": "PGP",
}
# "BZh" alone could begin a title: a level and the magic of a block, or of the end, must follow it.
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
# What can open a PGP message: the tag of its first packet, and the octets that may follow the packet's
# length. They are the versions of a session key (1, 3) and of a signature (4), and the methods of
# compression (8); no text has such control characters, so that no text is taken for a message.
_PGP_OPENINGS = {1: b"\x03\x06", 3: b"\x04\x05\x06", 4: b"\x03\x06", 8: b"\x01\x02\x03"}
_PGP_OLD_FORMAT, _PGP_NEW_FORMAT = 0b10, 0b11  # the first two bits of a packet
_PGP_OLD_LENGTH_OCTETS = (1, 2, 4, 0)  # by the last two

# UTF-32 stands first: its little-endian mark begins with that of UTF-16.
_FOREIGN_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def sniff(head: bytes, *, window_bytes: int) -> Fault | None:
    """Return why a file that begins with `head` is no text; NULs count in the first `window_bytes`."""
    if packing := _packing(head):
        return fault(Code.PACKED, f"The file is compressed or encrypted: its first bytes are those of {packing}.")
    if not head.removeprefix(BYTE_ORDER_MARK):
        return fault(Code.EMPTY_FILE, "The file is empty: it has no header row.")
    for mark, charset in _FOREIGN_MARKS.items():
        if head.startswith(mark):
            return fault(Code.CHARSET, f"The file is {charset}, by the byte-order mark that it begins with.")
    nul = head.find(b"\0", 0, window_bytes)
    return nul_byte(head.count(b"\n", 0, nul) + 1) if nul >= 0 else None


def nul_byte(line: int) -> Fault:
    """Return the fault of a file with a NUL byte in that line."""
    return fault(Code.CHARSET, f"Line {line:,} holds a NUL byte: the file is UTF-16 or UTF-32, or no text at all.")


def _packing(head: bytes) -> str:
    """Return what a file is packed with, or ""."""
    for signature, packing in _SIGNATURES.items():
        if head.startswith(signature):
            return packing
    if _BZIP2.match(head):
        return "bzip2"
    return "PGP" if _opens_pgp_message(head) else ""


def _opens_pgp_message(head: bytes) -> bool:
    """Tell whether a file begins with a packet that opens a binary PGP message (RFC 9580, section 4.2)."""
    first, second = head[:2].ljust(2, b"\0")
    if first >> 6 == _PGP_NEW_FORMAT:
        tag = first & 0b0011_1111
        length_octets = _pgp_length_octets(second)
    elif first >> 6 == _PGP_OLD_FORMAT:
        tag = first >> 2 & 0b1111
        length_octets = _PGP_OLD_LENGTH_OCTETS[first & 0b11]
    else:
        return False
    following = head[1 + length_octets : 2 + length_octets]
    return following != b"" and following in _PGP_OPENINGS.get(tag, b"")


def _pgp_length_octets(first: int) -> int:
    """Return how many octets a packet's length has, by the first of them (RFC 9580, section 4.2.1)."""
    if first < 192:  # noqa: PLR2004 - the bounds are the RFC's
        return 1
    if first < 224:  # noqa: PLR2004
        return 2
    return 5 if first == 255 else 1  # noqa: PLR2004
