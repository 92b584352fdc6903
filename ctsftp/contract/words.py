"""The words that an admin gives to things: a token's name, a gate's kind and item."""

import unicodedata

MAX_CHARACTERS = 100
PLAIN_WORD = f"1 to {MAX_CHARACTERS} printable characters without a slash"


def is_plain_word(text: str) -> bool:
    """Tell whether a text can name a thing, in a table, a log and the path of a URL."""
    return (
        0 < len(text) <= MAX_CHARACTERS
        and text.isprintable()
        and text == text.strip()
        and "/" not in text
        and text not in {".", ".."}
    )


def fold_word(text: str) -> str:
    """Return a text as it is kept: NFC, without white space around it."""
    return unicodedata.normalize("NFC", text.strip())


def fold_kind(text: str) -> str:
    """Return a gate's kind as it is kept: the same in any case."""
    return fold_word(text).casefold()
