"""The pages for people, as Markdown: `ctsftp help` prints them, and the console shows them under `/help`.

They stand in `deploy/docs/` of a checkout. A wheel carries them as `ctsftp/docs/` (`pyproject.toml`, force-include).
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable

from ctsftp.errors import NotFoundError

# In the order in which an admin needs them.
NAMES = (
    "install",
    "onboard",
    "connect-form",
    "held",
    "login-fails",
    "watch",
    "ask",
    "backup",
    "settings",
    "sizing",
    "nodes",
    "hardening",
    "cannot-know",
    "codes",
    "tried",
    "speed",
)
# The page that says what to do about a code, by the code's kind.
OF_KIND = {"rejected": "connect-form", "held": "held", "warning": "connect-form", "failed": "watch"}

PICTURE = re.compile(r"^ *!\[[^]]*\]\([^)]*\)\n+", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\(([^)#]*)(#[^)]*)?\)")


def title(name: str) -> str:
    """Return a page's title."""
    return text(name).partition("\n")[0].removeprefix("# ")


def text(name: str) -> str:
    """Return a page as Markdown; `NotFoundError`, with the page that was meant, for one that is not there."""
    if name not in NAMES:
        meant = get_close_matches(name, NAMES, 1)
        raise NotFoundError(f"There is no page {name!r}." + (f" Did you mean {meant[0]}?" if meant else ""))
    return (_folder() / f"{name}.md").read_text("utf-8")


def picture(name: str) -> bytes:
    """Return a picture of the pages, a PNG; `NotFoundError` for one that is not there."""
    found = {one.name: one for one in _folder().iterdir() if one.name.endswith(".png")}.get(name)
    if found is None:
        raise NotFoundError(f"There is no picture {name!r}.")
    return found.read_bytes()


def page_of(target: str) -> str | None:
    """Return the page that a link of a page leads to; None where it leads elsewhere."""
    name = target.removesuffix(".md")
    return name if target.endswith(".md") and name in NAMES else None


def replace_links(markdown: str, write: Callable[[str, str, str], str]) -> str:
    """Write each link anew: `write` is given its words, its target and its anchor ("" or "#..."); pictures stay."""
    return _LINK.sub(
        lambda link: link[0] if link.string[: link.start()].endswith("!") else write(link[1], link[2], link[3] or ""),
        markdown,
    )


def _folder() -> Traversable:
    package = resources.files("ctsftp")
    packed = package / "docs"
    return packed if packed.is_dir() else package / ".." / "deploy" / "docs"
