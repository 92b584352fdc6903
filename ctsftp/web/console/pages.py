"""The templates, and how they write what they are given: names, numbers, moments, sizes, spans of time.

Everything is text: Jinja2 escapes whatever is not `Markup`, a missing value is an error, and a name that
somebody else chose stands in `<bdi>`, so that its right-to-left letters turn nothing around it.
"""

import unicodedata
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.filesize import decimal

from ctsftp.contract.codes import harmless

NONE = "–"
MINUS = "−"
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def render(template: str, **values: object) -> str:
    return _TEMPLATES.get_template(template).render(**values)


def number(value: int | None) -> str:
    """Write a count; a dash where it is not known."""
    return NONE if value is None else f"{value:,}"


def signed(value: int) -> str:
    """Write a difference with its sign."""
    return f"+{value:,}" if value > 0 else f"{MINUS}{-value:,}" if value < 0 else "0"


def moment(iso: str | None, *, zone: bool = False) -> Markup:
    """Write a moment of the store to the minute; with `zone` where nothing else says that it is UTC."""
    if iso is None:
        return Markup(NONE)  # noqa: S704  a constant
    shown = datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M") + (" UTC" if zone else "")
    return Markup('<time datetime="{}">{}</time>').format(iso, shown)


def name(text: str) -> Markup:
    """Write a name that somebody else chose: isolated, with control characters shown as escapes."""
    return Markup("<bdi>{}</bdi>").format("".join(map(_visible, text)))


def file(text: str) -> Markup:
    """Write a file's name: as `name`, but always from the left, since its stamp and `.csv` are; it wraps at a `_`."""
    parts = "".join(map(_visible, text)).split("_")
    return Markup('<bdi dir="ltr">{}</bdi>').format(Markup("_<wbr>").join(parts))


def value(text: str) -> Markup:
    """Write a value from a file, with everything in it that could not be seen."""
    return Markup("<bdi>{}</bdi>").format(harmless(text, limit=200))


def size(count: int) -> str:
    """Write a number of bytes."""
    return decimal(count)


def span(seconds: int, *, bare: bool = False) -> str:
    """Write a length of time in its largest whole unit; `bare` is for what follows "every"."""
    for length, unit in _UNITS:
        if seconds % length == 0 and seconds >= length:
            count = seconds // length
            return unit if bare and count == 1 else f"{count:,} {unit}" + ("s" if count > 1 else "")
    return "0 seconds"


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _visible(character: str) -> str:
    """Show a control character or a half of a surrogate pair as its escape; all else is text."""
    hidden = unicodedata.category(character) in {"Cc", "Cs"}
    return character.encode("unicode_escape").decode("ascii") if hidden else character


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("ctsftp.web.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = (number, signed, moment, name, file, value, size, span, plural)
    templates.filters.update({one.__name__: one for one in filters})
    return templates


_TEMPLATES = _templates()
