"""What passes between an opened file and its readers: rows go in, one outcome a row comes out."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from windowshop.amounts import printed
from windowshop.records import flaws_of

Row = dict[str, Any]

MAX_EXCERPT = 200


class BadRow(NamedTuple):
    """A row that could not even be split into cells."""

    code: str
    reason: str
    excerpt: str


class Table(Protocol):
    """Rows with their line numbers (from 1, of the row's first line). Can be read again and again.

    `columns` are the names of the columns, in order. Where `headed` is false (JSON) later rows may
    bring others.
    """

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def headed(self) -> bool: ...

    def __iter__(self) -> Iterator[tuple[int, Row | BadRow]]: ...


class Rejected(NamedTuple):
    """A row that was not taken. `code` is stable, `reason` is for people; `item_id` is that of an
    item whose row could not be used otherwise: it is not missing.
    """

    line: int
    code: str
    reason: str
    excerpt: str
    item_id: str | None = None


class Warned(NamedTuple):
    """Something a person should know of a row that was taken, or of a column (line 0)."""

    line: int
    code: str
    reason: str


class Flawed(ValueError):
    """Why a cell or a row cannot be taken."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def cell(row: Row, column: str | None) -> Any:
    """What a row has under `column`, stripped; None where that is blank or absent."""
    if column is None:
        return None
    value = row.get(column)
    if type(value) is str:
        return value.strip() or None
    return value


def flaw_of(error: ValidationError) -> Flawed:
    """The first thing that the record's own check found."""
    entry = error.errors(include_url=False, include_input=False, include_context=False)[0]
    first = flaws_of(error, ())[0]
    where = first.pointer.lstrip("/").replace("/", " ")
    if "too_long" in entry["type"]:
        code = "too_long"
    elif where:
        code = "bad_time" if where == "timestamp" else "bad_value"
    else:
        code = "missing_text" if "needs a title" in first.detail else "bad_value"
    return Flawed(code, f"{where}: {first.detail}" if where else first.detail)


def excerpt(row: Row) -> str:
    """Enough of a row to find it again."""
    parts = []
    room = MAX_EXCERPT
    for cell in row.values():
        if room <= 0:
            break
        parts.append(("" if cell is None else cell if type(cell) is str else str(cell))[:room])
        room -= len(parts[-1]) + 2
    return printed(", ".join(parts)[:MAX_EXCERPT])
