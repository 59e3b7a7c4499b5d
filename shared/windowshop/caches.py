"""Dicts as caches: what is looked up stays found, whoever makes room in them meanwhile. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Any = object()


def look_up(held: Mapping[K, V], wanted: Iterable[K]) -> tuple[dict[K, V], list[K]]:
    """What a cache holds of what is wanted, and what is missing, each once."""
    found: dict[K, V] = {}
    missing: dict[K, None] = {}
    for key in wanted:
        value = held.get(key, _ABSENT)
        if value is _ABSENT:
            missing[key] = None
        else:
            found[key] = value
    return found, list(missing)


def make_room(held: dict[Any, Any], more: int, limit: int) -> None:
    """Drop the oldest quarter of a full cache (dicts keep the order of insertion)."""
    if len(held) + more > limit:
        for key in list(held)[: limit // 4 + more]:
            held.pop(key, None)
