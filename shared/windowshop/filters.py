"""Filters: the contract's JSON as a small tree; adapters translate it, `matches` evaluates it."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from windowshop.errors import Flaw, InvalidInput
from windowshop.records import format_instant, parse_instant, split_category

Value = str | bool | int | float


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Filter"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field, or one element of it where it is a list, equals one of the values."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No element of the field equals any of the values; an absent field passes."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers; a bound that is None does not bind."""

    field: str
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times, as RFC 3339 UTC strings."""

    field: str
    gte: str | None = None
    gt: str | None = None
    lte: str | None = None
    lt: str | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    field: str
    yes: bool


Filter = And | Or | Not | AnyOf | NoneOf | Range | TimeRange | Exists

FieldType = Literal["keyword", "integer", "float", "bool", "datetime"]

NAMED: Mapping[str, FieldType] = {
    "item_id": "keyword",
    "title": "keyword",
    "description": "keyword",
    "category": "keyword",
    "brand": "keyword",
    "price": "float",
    "currency": "keyword",
    "image_url": "keyword",
    "url": "keyword",
    "available": "bool",
    "group_id": "keyword",
    "created_at": "datetime",
}
"""Fields of an item that every store can filter on."""

MAX_DEPTH = 5
MAX_CONDITIONS = 200
MAX_VALUES = 1000
NOTHING: Filter = Or(())
"""What no item passes."""

_BOUNDS = ("gte", "gt", "lte", "lt")
_OPERATORS = ("any_of", "none_of", *_BOUNDS, "exists")

Resolve = Callable[[str], object]


def category_paths(category: Sequence[str]) -> list[str]:
    """["a", "b"] -> ["a", "a > b"]: what an item's category is filtered by."""
    return [" > ".join(category[: end + 1]) for end in range(len(category))]


def parse(
    where: Mapping[str, Any],
    declared: Mapping[str, FieldType],
    resolve: Resolve | None = None,
    pointer: str = "/filters",
) -> Filter:
    """The contract's filter JSON as a tree; `resolve` gives the values of `$item.*` and `$user.*`.

    A placeholder without a value matches nothing. Raises InvalidInput with pointers.
    """
    return _Parser(declared, resolve).filter(where, pointer, 1)


def mentions(where: Mapping[str, Any] | None, field: str) -> bool:
    """Whether the filter says anything about `field`, at any depth."""
    if not where:
        return False
    for name, value in where.items():
        if name == field:
            return True
        inner = value if name == "any" else [value] if name == "not" else []
        if any(isinstance(part, Mapping) and mentions(part, field) for part in inner):
            return True
    return False


class _Parser:
    def __init__(self, declared: Mapping[str, FieldType], resolve: Resolve | None) -> None:
        self._declared = declared
        self._resolve = resolve
        self._conditions = 0

    def filter(self, where: object, pointer: str, depth: int) -> Filter:
        if not isinstance(where, Mapping):
            raise _bad(pointer, "a filter is an object of field: condition")
        if depth > MAX_DEPTH:
            raise _bad(pointer, f"filters nest at most {MAX_DEPTH} deep")
        parts = [self._entry(name, value, pointer, depth) for name, value in where.items()]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _entry(self, name: str, value: object, pointer: str, depth: int) -> Filter:
        here = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _bad(here, f"a filter has at most {MAX_CONDITIONS} conditions")
        if name == "any":
            if not isinstance(value, list) or not value:
                raise _bad(here, "any takes a list of filters")
            return Or(
                tuple(self.filter(part, f"{here}/{i}", depth + 1) for i, part in enumerate(value))
            )
        if name == "not":
            return Not(self.filter(value, here, depth + 1))
        return self._condition(name, self._type_of(name, here), value, here)

    def _type_of(self, name: str, here: str) -> FieldType:
        if name in NAMED:
            return NAMED[name]
        short = name.removeprefix("attributes.")
        if short != name and short in self._declared:
            return self._declared[short]
        if short != name:
            raise _bad(
                here,
                f"attribute {short!r} is not declared filterable: run `windowshop fields add "
                f"{short} keyword` (or integer, float, bool, datetime)",
            )
        if short in self._declared:
            raise _bad(here, f"did you mean 'attributes.{short}'?")
        known = [*NAMED, *(f"attributes.{field}" for field in self._declared), "any", "not"]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "attributes are attributes.<name>"
        raise _bad(here, f"no such field; {hint}")

    def _condition(self, name: str, kind: FieldType, value: object, here: str) -> Filter:
        if not isinstance(value, Mapping):
            return self._any_of(name, kind, [value], here)
        if not value:
            raise _bad(here, f"an empty condition; use one of {', '.join(_OPERATORS)}")
        parts: list[Filter] = []
        for operator in value:
            _check_operator(operator, here)
        for operator in ("any_of", "none_of"):
            if operator in value:
                values = value[operator]
                if not isinstance(values, list) or len(values) > MAX_VALUES:
                    raise _bad(f"{here}/{operator}", f"takes a list of up to {MAX_VALUES} values")
                some = self._any_of(name, kind, values, f"{here}/{operator}")
                if operator == "any_of":
                    parts.append(some)
                elif isinstance(some, AnyOf):
                    parts.append(NoneOf(some.field, some.values))
                else:
                    parts.append(Not(some))
        if "exists" in value:
            if not isinstance(value["exists"], bool):
                raise _bad(f"{here}/exists", "takes true or false")
            parts.append(Exists("path" if name == "category" else name, value["exists"]))
        if any(bound in value for bound in _BOUNDS):
            parts.append(self._range(name, kind, value, here))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _any_of(self, name: str, kind: FieldType, values: Sequence[object], here: str) -> Filter:
        found: list[Any] = []
        for value in values:
            if isinstance(value, str) and value.startswith("$"):
                meant = self._placeholder(value, here)
                found += meant if isinstance(meant, list) and name != "category" else [meant]
            else:
                found.append(value)
        found = [value for value in found if value is not None]
        if not found:
            return NOTHING
        if name == "category":
            return AnyOf("path", tuple(_category(value, here) for value in found))
        if kind == "float":
            return _one_of([Range(name, gte=n, lte=n) for n in (_number(v, here) for v in found)])
        if kind == "datetime":
            return _one_of([TimeRange(name, gte=t, lte=t) for t in (_time(v, here) for v in found)])
        return AnyOf(name, tuple(_plain(value, kind, here) for value in found))

    def _placeholder(self, value: str, here: str) -> object:
        if self._resolve is None or not value.startswith(("$item.", "$user.")):
            raise _bad(here, "a value that begins with $ is $item.<field> or $user.last_category")
        return self._resolve(value)

    def _range(self, name: str, kind: FieldType, value: Mapping[str, Any], here: str) -> Filter:
        bounds = {bound: value[bound] for bound in _BOUNDS if bound in value}
        for bound, limit in bounds.items():
            if isinstance(limit, str) and limit.startswith("$"):
                bounds[bound] = self._placeholder(limit, here)
        if any(limit is None for limit in bounds.values()):
            return NOTHING
        if kind == "datetime":
            return TimeRange(name, **{b: _time(v, f"{here}/{b}") for b, v in bounds.items()})
        if kind in ("float", "integer"):
            return Range(name, **{b: _number(v, f"{here}/{b}") for b, v in bounds.items()})
        raise _bad(here, f"{name} is a {kind}: ranges are for numbers and times")


def _bad(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput(f"{pointer.lstrip('/')}: {detail}", [Flaw(pointer, detail)])


def _check_operator(operator: object, here: str) -> None:
    if operator not in _OPERATORS:
        close = difflib.get_close_matches(str(operator), _OPERATORS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(_OPERATORS)}"
        raise _bad(f"{here}/{operator}", f"unknown operator; {hint}")


def _one_of(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _category(value: object, here: str) -> str:
    parts = split_category(value)
    if isinstance(parts, list) and parts and all(isinstance(part, str) for part in parts):
        return " > ".join(part.strip() for part in parts)
    raise _bad(here, "a category is a list of names or `a > b > c`")


def _number(value: object, here: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _bad(here, "must be a finite number")
    return float(value)


def _time(value: object, here: str) -> str:
    try:
        return format_instant(parse_instant(value))
    except ValueError as error:
        raise _bad(here, str(error)) from None


def _plain(value: object, kind: FieldType, here: str) -> Value:
    wanted = {"keyword": str, "bool": bool, "integer": int}[kind]
    if type(value) is not wanted or (wanted is int and abs(int(str(value))) >= 2**63):
        raise _bad(here, f"must be a {'string' if kind == 'keyword' else kind}")
    return value  # type: ignore[return-value]


# --- evaluation ----------------------------------------------------------------------------------


def values_at(payload: Mapping[str, Any], field: str) -> Sequence[Any]:
    """The values of a field as a list: absent, null and [] are []."""
    value: Any = payload
    for part in field.split(".", 1):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def matches(where: Filter, payload: Mapping[str, Any]) -> bool:
    """Whether a payload passes, by the same rules as Qdrant's (a contract test compares them)."""
    match where:
        case And(parts):
            return all(matches(part, payload) for part in parts)
        case Or(parts):
            return any(matches(part, payload) for part in parts)
        case Not(part):
            return not matches(part, payload)
        case AnyOf(field, values):
            return any(
                _equal(held, wanted) for held in values_at(payload, field) for wanted in values
            )
        case NoneOf(field, values):
            return not any(
                _equal(held, wanted) for held in values_at(payload, field) for wanted in values
            )
        case Range(field):
            return any(
                not isinstance(held, bool)
                and isinstance(held, int | float)
                and _within(held, where)
                for held in values_at(payload, field)
            )
        case TimeRange(field):
            return any(_time_within(held, where) for held in values_at(payload, field))
        case Exists(field, yes):
            return bool(values_at(payload, field)) == yes


def _equal(held: object, wanted: Value) -> bool:
    return type(held) is type(wanted) and held == wanted


def _within(held: float, bounds: Range) -> bool:
    return (
        (bounds.gte is None or held >= bounds.gte)
        and (bounds.gt is None or held > bounds.gt)
        and (bounds.lte is None or held <= bounds.lte)
        and (bounds.lt is None or held < bounds.lt)
    )


def _time_within(held: object, bounds: TimeRange) -> bool:
    if not isinstance(held, str):
        return False
    try:
        moment = datetime.fromisoformat(held)
    except ValueError:
        return False
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    limits = {
        bound: datetime.fromisoformat(limit).timestamp()
        for bound in _BOUNDS
        if (limit := getattr(bounds, bound)) is not None
    }
    return _within(seconds, Range(bounds.field, **limits))
