"""Lines: where they end, and what else breaks them.

A line ends in LF, and the carriage returns right before it belong to its end. Any other CR stands inside the
data, as do the breaks that only some programs know: vertical tab, form feed, NEL, U+2028 and their kin.
"""

import re

from ctsftp.contract.reasons import visible
from ctsftp.contract.sniff import BYTE_ORDER_MARK

CTRL_Z = b"\x1a"  # what DOS programs end a text with: white space

# In UTF-8: VT, FF, FS, GS, RS; NEL; U+2028 and U+2029.
LINE_BREAKS = (b"\r", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
JOINTS = (BYTE_ORDER_MARK, CTRL_Z)  # what is left between two files that were joined
BREAKS = re.compile(b"|".join((*LINE_BREAKS, *JOINTS)))

_WHITE_SPACE = b" \t\n\r\x0b\x0c" + CTRL_Z
_LINE_END = re.compile(rb"(?<!\r)\r++\n")
_SHOWN = re.compile(rb"[!#-+\--~]")  # ASCII that is seen, but for commas and quotes: a quick look
_EMPTY_QUOTES = re.compile('" *"')


def end_lines(block: bytes) -> tuple[bytes, int]:
    """Return a block with each line ended by LF alone, and how many lines stand before the first that ends in CR CR LF.

    That is -1 where there is none.
    """
    if b"\r" not in block:
        return block, -1
    doubled = block.find(b"\r\r\n")
    ended = block.replace(b"\r\n", b"\n") if doubled < 0 else _LINE_END.sub(b"\n", block)
    return ended, block.count(b"\n", 0, doubled) if doubled >= 0 else -1


def is_blank(line: bytes) -> bool:
    """Tell whether a line holds nothing but white space, breaks, and marks that joined files leave."""
    text = line.strip(_WHITE_SPACE)
    return not text or (BREAKS.match(text) is not None and not BREAKS.sub(b"", text).strip(_WHITE_SPACE))


def is_empty(line: bytes) -> bool:
    """Tell whether a line holds nothing but commas, empty quotes, and what nobody sees."""
    if not line or _SHOWN.search(line):
        return not line
    return not _EMPTY_QUOTES.sub("", visible(line.decode("utf-8", "replace"))).strip(" ,")


def pieces(line: bytes) -> list[bytes]:
    """Return what stands between the breaks of a line, blank pieces left out."""
    return [piece for piece in BREAKS.split(line) if not is_blank(piece)]


def without_ctrl_z(end: bytes) -> bytes:
    """Return the end of a file, which has no line end, without a Ctrl-Z; b"" if nothing else stands there."""
    stripped = end.rstrip(_WHITE_SPACE) if CTRL_Z in end else end
    return b"" if is_blank(end) else stripped


def without_mark(line: bytes) -> bytes:
    """Return a line without the byte-order marks and Ctrl-Zs that joined files leave at its beginning."""
    while line.startswith((BYTE_ORDER_MARK, CTRL_Z)):
        line = line.removeprefix(BYTE_ORDER_MARK).removeprefix(CTRL_Z)
    return line
