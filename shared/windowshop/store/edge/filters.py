"""Filters in the words of Qdrant Edge."""

from typing import Any

import qdrant_edge as q

from windowshop.filters import (
    And,
    AnyOf,
    Exists,
    Filter,
    NoneOf,
    Not,
    Or,
    Range,
    TimeRange,
    Value,
)
from windowshop.store.schema import MARKS, json_path, mark

Condition = q.FieldCondition | q.Filter | q.IsEmptyCondition | q.HasIdCondition


def to_edge(where: Filter) -> q.Filter:
    return q.Filter(must=[_condition(where)])


def marked(value: str) -> q.FieldCondition:
    """Items that carry a mark."""
    return q.FieldCondition(MARKS, match=q.MatchValue(value))


def _condition(where: Filter) -> Condition:
    match where:
        case And(parts):
            return q.Filter(must=[_condition(part) for part in parts])
        case Or(parts):
            return _either([_condition(part) for part in parts])
        case Not(part):
            return q.Filter(must_not=[_condition(part)])
        case AnyOf(field, values):
            return _any_of(field, values)
        case NoneOf(field, values):
            return q.Filter(must_not=[_any_of(field, values)])
        case Range(field, gte, gt, lte, lt):
            return q.FieldCondition(json_path(field), range=q.RangeFloat(gte, gt, lte, lt))
        case TimeRange(field, gte, gt, lte, lt):
            return q.FieldCondition(json_path(field), range=q.RangeDateTime(gte, gt, lte, lt))
        case Exists(field, yes):
            empty = q.IsEmptyCondition(json_path(field))
            return q.Filter(must_not=[empty]) if yes else empty


def _either(parts: list[Any]) -> Condition:
    # An empty `should` would let everything pass; no point has an id from the empty set.
    return q.Filter(should=parts) if parts else q.HasIdCondition(set())


def _any_of(field: str, values: tuple[Value, ...]) -> Condition:
    path = json_path(field)
    parts: list[Any] = []
    words = [value for value in values if isinstance(value, str)]
    if words:
        parts.append(q.FieldCondition(path, match=q.MatchAny(words)))
    for value in values:
        if isinstance(value, bool):
            # MatchValue(True) reaches the engine as the integer 1, which equals no boolean.
            parts.append(marked(mark(field, value)))
        elif isinstance(value, int):
            parts.append(q.FieldCondition(path, match=q.MatchValue(value)))
        elif isinstance(value, float):
            parts.append(q.FieldCondition(path, range=q.RangeFloat(gte=value, lte=value)))
    return parts[0] if len(parts) == 1 else _either(parts)
