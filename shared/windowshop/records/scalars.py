"""Scalar fields: ids, texts, times, categories; checked once, at the edge."""

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

MAX_ID = 128
MAX_TEXT = 20_000
MAX_SECONDS = 1e11  # the contract's line between seconds and milliseconds
MIN_SECONDS = -62_135_596_800  # year 1: what datetime can hold


def _printable(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("must be printable and must not begin or end with a space")
    return value


Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID, strict=True),
    AfterValidator(_printable),
]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT, strict=True)]
StoreName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]

_RFC3339 = re.compile(
    r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)$",
    re.ASCII,
)


def parse_instant(value: object) -> int:
    """Milliseconds since the epoch from RFC 3339 with a zone, or from unix seconds.

    Raises ValueError with a message for people.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a time is RFC 3339 with a zone (2026-11-24T08:00:00Z) or unix seconds")
    if isinstance(value, str):
        if not _RFC3339.match(value):
            raise ValueError(
                "a time is RFC 3339 with a zone (2026-11-24T08:00:00Z) or unix seconds"
            )
        try:
            ms = round(datetime.fromisoformat(value.upper()).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise ValueError("no such date or time") from None
        if not MIN_SECONDS * 1000 <= ms < MAX_SECONDS * 1000:
            raise ValueError("no such date or time")
        return ms
    if not math.isfinite(value):
        raise ValueError("must be finite")
    if abs(value) >= MAX_SECONDS:
        raise ValueError("looks like milliseconds: send unix seconds")
    if value < MIN_SECONDS:
        raise ValueError("no such date or time")
    return round(value * 1000)


def format_instant(ms: int) -> str:
    """RFC 3339 UTC with milliseconds."""
    seconds, rest = divmod(ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:03d}Z".rjust(24, "0")


Instant = Annotated[
    int,
    BeforeValidator(parse_instant),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
            "description": "RFC 3339 with a zone, or unix seconds.",
        }
    ),
]

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Scalar = Annotated[str, StringConstraints(max_length=2000)] | bool | Whole | Finite
AttributeValue = (
    Scalar
    | Annotated[list[Annotated[str, StringConstraints(max_length=500)]], Field(max_length=100)]
)


def _flat_names(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name or len(name) > 64 or not name.isprintable() or any(c in name for c in '."[]$'):
            raise ValueError(
                f'{name[:70]!r}: a name has 1-64 printable characters, none of . " [ ] $'
            )
    return value


Attributes = Annotated[
    dict[str, AttributeValue], Field(max_length=100), AfterValidator(_flat_names)
]
ContextName = Annotated[str, StringConstraints(max_length=200)]
Context = Annotated[dict[ContextName, Scalar | None], Field(max_length=50)]


def split_category(value: object) -> object:
    """`a > b > c` or a list of names: the path from the root."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(">") if part.strip()] or None
    return value


Category = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]],
    Field(min_length=1, max_length=20),
    BeforeValidator(split_category),
    WithJsonSchema(
        {
            "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}],
            "description": "The path from the root: a list, or `a > b > c`.",
        }
    ),
]


class Record(BaseModel):
    """Base of everything that is read from outside: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
