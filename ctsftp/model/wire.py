"""How what is asked goes over the control socket: a value by its name and its fields, and back."""

from collections.abc import Mapping
from dataclasses import fields
from types import GenericAlias, UnionType
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from ctsftp.errors import UsageError


class Asked(Protocol):
    """A frozen dataclass with a name of its own on the wire; its fields are words, numbers or tuples of words."""

    wire: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


A = TypeVar("A", bound=Asked)


def encode(asked: Asked, *, by: str) -> dict[str, object]:
    """Write what is asked: `{by: name, "with": fields}`."""
    return {by: asked.wire, "with": {one.name: getattr(asked, one.name) for one in fields(asked)}}


def decode(kinds: Mapping[str, type[A]], wire: object, values: object) -> A:
    """Read what is asked; `UsageError` for what this version does not know, or whose fields it does not."""
    kind = kinds.get(wire) if isinstance(wire, str) else None
    if kind is None or not isinstance(values, dict):
        raise _unknown(repr(wire))
    hints = get_type_hints(kind)
    known = {one.name: hints[one.name] for one in fields(kind)}
    read = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    if wrong := [name for name, value in read.items() if name not in known or not _fits(value, known[name])]:
        raise _unknown(f"{wire!r} with {wrong[0]!r}")
    try:
        return kind(**read)
    except TypeError as exc:  # a field is missing
        raise _unknown(f"{wire!r} so ({exc})") from exc


def _fits(value: object, hint: type | UnionType | GenericAlias) -> bool:
    """Tell whether a value is of a field's type; a bool is no int."""
    if isinstance(hint, GenericAlias):
        return isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, hint)


def _unknown(what: str) -> UsageError:
    return UsageError(f"The running server does not know {what}: restart it with this version of ctsftp.")
