"""Filters in the words of a Qdrant server."""

from qdrant_client import models as m

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
from windowshop.store.schema import json_path


def of_store(tenant: str, *more: m.Condition, where: Filter | None = None) -> m.Filter:
    """Points of one store, and of no other, that also meet the conditions."""
    must: list[m.Condition] = [equals("store", tenant), *more]
    if where is not None:
        must.append(_condition(where))
    return m.Filter(must=must)


def equals(field: str, value: str | int | bool) -> m.FieldCondition:
    return m.FieldCondition(key=field, match=m.MatchValue(value=value))


def one_of(field: str, words: list[str]) -> m.FieldCondition:
    return m.FieldCondition(key=field, match=m.MatchAny(any=words))


def among(ids: list[m.ExtendedPointId]) -> m.HasIdCondition:
    return m.HasIdCondition(has_id=ids)


def _condition(where: Filter) -> m.Condition:
    match where:
        case And(parts):
            return m.Filter(must=[_condition(part) for part in parts])
        case Or(parts):
            return _either([_condition(part) for part in parts])
        case Not(part):
            return m.Filter(must_not=[_condition(part)])
        case AnyOf(field, values):
            return _any_of(field, values)
        case NoneOf(field, values):
            return m.Filter(must_not=[_any_of(field, values)])
        case Range(field, gte, gt, lte, lt):
            limits = m.Range(gte=gte, gt=gt, lte=lte, lt=lt)
            return m.FieldCondition(key=json_path(field), range=limits)
        case TimeRange(field, gte, gt, lte, lt):
            times = m.DatetimeRange.model_validate({"gte": gte, "gt": gt, "lte": lte, "lt": lt})
            return m.FieldCondition(key=json_path(field), range=times)
        case Exists(field, yes):
            empty = _empty(json_path(field))
            return m.Filter(must_not=[empty]) if yes else empty


def _empty(path: str) -> m.IsEmptyCondition:
    return m.IsEmptyCondition(is_empty=m.PayloadField(key=path))


def _either(parts: list[m.Condition]) -> m.Condition:
    # An empty `should` would let everything pass; no point has an id from the empty list.
    return m.Filter(should=parts) if parts else among([])


def _any_of(field: str, values: tuple[Value, ...]) -> m.Condition:
    path = json_path(field)
    parts: list[m.Condition] = []
    words = [value for value in values if isinstance(value, str)]
    if words:
        parts.append(one_of(path, words))
    for value in values:
        if isinstance(value, bool | int):
            parts.append(equals(path, value))
        elif isinstance(value, float):
            parts.append(m.FieldCondition(key=path, range=m.Range(gte=value, lte=value)))
    return parts[0] if len(parts) == 1 else _either(parts)
