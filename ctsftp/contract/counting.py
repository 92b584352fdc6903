"""How a number of things is written: 1 member, 2 members, 0 addresses."""


def some(count: int, noun: str) -> str:
    """Write a number with its noun; of several words the last is the one that changes: 3 kept files."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"
