"""Which client a wrong user name was meant for: one letter is wrong, or a domain stands in front or behind."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from string import ascii_lowercase, digits
from typing import Final

MAX_FOUND: Final = 3
_LETTERS: Final = ascii_lowercase + digits + "-_"
_MAX_CHARS: Final = 33  # one more than a client's name may have


def close_names(typed: str, names: AbstractSet[str]) -> list[str]:
    """List the names that differ from the typed one in case, in a domain, or in one letter; a few at most.

    The names that are one letter away are made and looked up, so that a stranger's guess costs the same however many
    clients there are.
    """
    word = re.split(r"[\\/]", typed.strip().lower())[-1].partition("@")[0]
    word = re.sub(r"[^a-z0-9_-]", "-", word)
    if not word or len(word) > _MAX_CHARS:
        return []
    return sorted(names & {word, *_one_letter_away(word)})[:MAX_FOUND]


def _one_letter_away(word: str) -> Iterator[str]:
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        yield from (before + letter + after for letter in _LETTERS)
        yield from (before + letter + after[1:] for letter in _LETTERS)
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]
