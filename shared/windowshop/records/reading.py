"""Reading decoded JSON as a record, with errors for people."""

import difflib
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from windowshop.errors import Flaw, InvalidInput

SHOWN = 200
"""So much of a name that was sent comes back in an answer."""


def flaws_of(error: ValidationError, known: Iterable[str]) -> list[Flaw]:
    """A pydantic error as flaws: JSON pointers, and the nearest known name for an unknown field."""
    names = list(known)
    flaws = []
    for entry in error.errors(include_url=False, include_input=False, include_context=False):
        at = [str(part)[:SHOWN].replace("~", "~0").replace("/", "~1") for part in entry["loc"]]
        detail = entry["msg"].removeprefix("Value error, ")
        if entry["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(entry["loc"][-1]), names, n=1, cutoff=0.5)
            detail = f"unknown field; did you mean {close[0]!r}?" if close else "unknown field"
        flaws.append(Flaw("/" + "/".join(at) if at else "", detail))
    return flaws


R = TypeVar("R", bound=BaseModel)


def read(record: type[R], value: object) -> R:
    """`value` (decoded JSON) as a `record`. Raises InvalidInput with flaws."""
    try:
        return record.model_validate(value)
    except ValidationError as error:
        flaws = flaws_of(error, record.model_fields)
        first = flaws[0]
        where = f"{first.pointer.lstrip('/')}: " if first.pointer else ""
        raise InvalidInput(where + first.detail, flaws) from None
