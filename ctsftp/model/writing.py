"""The one writer of the JSON that scripts, the API and the control socket read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

T = TypeVar("T")


def iso(moment: datetime) -> str:
    """Write a moment as the store keeps it: ISO 8601 in UTC with milliseconds and a Z.

    ValueError for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(shape: type[T], record: object) -> T:
    """Write a record in a shape (a `TypedDict`): each field is the record's attribute of that name.

    AttributeError for a field that the record does not have.
    """
    return cast("T", {name: _written(getattr(record, name)) for name in shape.__annotations__})


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, list):
        return [_written(one) for one in value]
    return value.as_json() if hasattr(value, "as_json") else value


@dataclass(frozen=True, slots=True)
class Says:
    """What a field of a shape means, for the API's document; pydantic asks for it by this method's name."""

    text: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Describe the field."""
        return handler(schema) | {"description": self.text}
