"""Which column of a file is which field: by a mapping first, then by its usual names. Pure."""

import difflib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Literal

from windowshop.amounts import printed
from windowshop.errors import InvalidInput
from windowshop.headings import normal
from windowshop.records import Event, Item, Kind

FieldKind = Literal["keyword", "integer", "float", "bool", "datetime"]

DELETED = "deleted"  # a column that is no field: its row removes the item
KNOWN: tuple[str, ...] = tuple(dict.fromkeys((*Item.model_fields, *Event.model_fields, DELETED)))
_SHARED = frozenset(Item.model_fields) & frozenset(Event.model_fields) - {"item_id"}


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is written, where that is known; None means: find out."""

    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True
    timezone: tzinfo = UTC
    order: str | int | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A person's word on a file. Keys are ours: a field, `attributes.colour` or `context.page`."""

    columns: ReadOnly[str, str | int] = field(default_factory=dict)
    constants: ReadOnly[str, Any] = field(default_factory=dict)
    lists: ReadOnly[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    kinds: ReadOnly[str, Kind] = field(default_factory=dict)
    filterable: ReadOnly[str, FieldKind] = field(default_factory=dict)

    @classmethod
    def default(cls) -> "Mapping":
        """Nothing said: everything is found out or recognised."""
        return cls()


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'title'?`, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def listed(names: Sequence[str], most: int = 30) -> str:
    """Column names for a message."""
    shown = ", ".join(name[:60] for name in names[:most])
    return printed(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


# --- the plan for one file ---------------------------------------------------------------------


@dataclass(slots=True)
class Plan:
    """Our field -> their column, attribute (or context) -> their column, and the rest of theirs."""

    fields: dict[str, str]
    nested: dict[str, str]
    rest: list[str]
    notes: list[str]


def find(theirs: str | int, columns: Sequence[str], headed: bool) -> str | None:
    """Their column by its name or by its place, or None."""
    if isinstance(theirs, int):
        if not headed:
            raise InvalidInput(
                f"the mapping names column {theirs} by its place, and JSON has none: write its name"
            )
        return columns[theirs] if theirs < len(columns) else None
    if theirs in columns or not headed:
        return theirs
    wanted = normal(theirs)
    return next((name for name in columns if wanted and normal(name) == wanted), None)


def plan(
    columns: Sequence[str],
    headed: bool,
    mapping: Mapping,
    names: ReadOnly[str, tuple[str, ...]],
    nested: str,
) -> Plan:
    """Who is who in a file with these `columns`. `names` are the fields of the record read from it.

    Raises InvalidInput where the mapping names a column that the file has not. A field that items
    and events share (price, currency) is only noted: one mapping may serve a pair of files.
    """
    made = Plan({}, {}, [], [])
    taken = set()
    if mapping.options.order is not None and (
        order := find(mapping.options.order, columns, headed)
    ):
        taken.add(order)
    for ours, theirs in mapping.columns.items():
        inner = ours.removeprefix(nested + ".")
        if ours not in names and inner == ours:
            continue
        column = find(theirs, columns, headed)
        if column is None:
            wanted = f"column {theirs}" if isinstance(theirs, int) else repr(theirs)
            problem = f"the mapping reads {ours} from {wanted}, which the file does not have"
            if ours in _SHARED:
                made.notes.append(problem)
                continue
            hint = nearest(str(theirs), columns) or "."
            raise InvalidInput(f"{problem}{hint} It has: {listed(columns)}")
        taken.add(column)
        (made.fields if inner == ours else made.nested)[inner] = column
    recognise(columns, mapping, names, made.fields, taken)
    made.rest = [name for name in columns if name not in taken]
    if headed:
        there = {*made.fields, *made.nested, *columns, *KNOWN}
        for name in mapping.lists:
            if name.removeprefix(nested + ".") not in there:
                hint = nearest(name, there)
                made.notes.append(f"[lists] {name} is no field and no column of this file{hint}")
    return made


def recognise(
    columns: Sequence[str],
    mapping: Mapping,
    names: ReadOnly[str, tuple[str, ...]],
    fields: dict[str, str],
    taken: set[str],
) -> None:
    """Add to `fields` (and `taken`) what columns' usual names say and the mapping leaves open."""
    by_name: dict[str, str] = {}
    for name in columns:
        if name not in taken:
            by_name.setdefault(normal(name), name)
    for ours, usual in names.items():
        if ours in fields or ours in mapping.constants:
            continue
        for name in usual:
            column = by_name.get(name)
            if column is not None and column not in taken:
                fields[ours] = column
                taken.add(column)
                break
