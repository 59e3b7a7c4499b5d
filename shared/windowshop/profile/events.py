"""One user event inside: as a row of the log, and as a packed record of a profile."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from windowshop.errors import InvalidInput
from windowshop.records import (
    KIND_CODE,
    KINDS,
    Event,
    Kind,
    derived_event_id,
    event_key,
    format_instant,
    item_key,
    new_id,
    user_name,
)

EVENT = np.dtype(
    [
        ("item", "<u8"),  # records.item_key; 0 for none
        ("event", "<u8"),  # records.event_key
        ("time", "<i8"),  # ms since the epoch
        ("row", "<u4"),  # orders equal times
        ("kind", "u1"),  # records.KIND_CODE
        ("value", "<f4"),  # rate: stars; dwell: seconds; purchase and return: quantity; else 1
    ]
)
Events = NDArray[np.void]
Keys = NDArray[np.uint64]

SEARCH = KIND_CODE["search"]
IMPRESSION = KIND_CODE["impression"]
MAX_ROW = 2**32 - 1


def of_kinds(*kinds: Kind) -> NDArray[np.bool_]:
    """A table by kind code, for masks: `of_kinds("view")[events["kind"]]`."""
    table = np.zeros(256, dtype=np.bool_)
    table[[KIND_CODE[kind] for kind in kinds]] = True
    table.flags.writeable = False
    return table


STRONG = of_kinds(
    "purchase", "return", "like", "dislike", "rate", "add_to_cart", "remove_from_cart"
)
WEAK = of_kinds("view", "click", "dwell")


class SearchEvent(NamedTuple):
    """A search; sorts like the events: by time, row, event key."""

    time: int
    row: int
    event: int
    text: str


class EventRow(NamedTuple):
    """An event as the log keeps it. `rest`: JSON of what was sent and has no column of its own."""

    user: str  # records.user_name
    event_id: str
    event_key: int
    kind: int
    time_ms: int
    row: int
    item_id: str | None
    item_key: int
    value: float
    rest: bytes | None


_REST = (
    "query",
    "item_ids",
    "value",
    "quantity",
    "price",
    "currency",
    "position",
    "request_id",
    "context",
)
_VALUED = frozenset({"rate", "dwell"})
_COUNTED = frozenset({"purchase", "return"})


def event_row(store: str, event: Event, row: int, now_ms: int, cache: dict[str, int]) -> EventRow:
    """The row of an event that was received at `now_ms`, its user named (a token resolved).

    Without a timestamp its time is that of receipt. Without an id it gets one: derived from its
    fields if it has a timestamp, so that sending it again changes nothing, else a new one.
    `cache` remembers item keys of this store between calls. Raises InvalidInput for a context that
    JSON cannot hold.
    """
    kind, item_id, time_ms, event_id = event.kind, event.item_id, event.timestamp, event.event_id
    user = user_name(event.user_id, event.anonymous_id) or ""
    key = 0
    if item_id is not None:
        key = cache.get(item_id) or cache.setdefault(item_id, item_key(store, item_id))
    value = 1.0
    if kind in _VALUED:
        value = (event.value or 0.0) + 0.0  # no negative zero: it would sort as another value
    elif kind in _COUNTED:
        value = event.quantity or 1.0
    rest = {name: sent for name in _REST if (sent := getattr(event, name)) is not None}
    if kind in _VALUED:
        del rest["value"]
    try:
        if event_id is None:
            event_id = new_id(now_ms) if time_ms is None else derived_event_id(event, user)
        body = orjson.dumps(rest) if rest else None
    except TypeError:  # what orjson raises
        detail = "context: numbers must fit in 64 bits and texts be valid Unicode"
        raise InvalidInput(detail) from None
    return EventRow(
        user,
        event_id,
        event_key(event_id),
        KIND_CODE[kind],
        now_ms if time_ms is None else time_ms,
        min(row, MAX_ROW),
        item_id,
        key,
        value,
        body,
    )


def as_sent(row: EventRow) -> dict[str, Any]:
    """The event as it was sent, with its id; the time as RFC 3339 UTC, also if none was sent."""
    kind = KINDS[row.kind]
    space, _, name = row.user.partition(":")
    event: dict[str, Any] = {
        "kind": kind,
        "user_id" if space == "u" else "anonymous_id": name,
        "item_id": row.item_id,
        "timestamp": format_instant(row.time_ms).replace(".000Z", "Z"),
        "event_id": row.event_id,
    }
    if row.item_id is None:
        del event["item_id"]
    if kind in _VALUED:
        event["value"] = row.value
    return event | (orjson.loads(row.rest) if row.rest else {})


def as_events(rows: Sequence[EventRow]) -> Events:
    """EVENT records [n] in the order given, of all kinds."""
    fields = [(r.item_key, r.event_key, r.time_ms, r.row, r.kind, r.value) for r in rows]
    return np.array(fields, dtype=EVENT)


def searches_in(rows: Iterable[EventRow]) -> list[SearchEvent]:
    """The searches among the rows."""
    return [
        SearchEvent(row.time_ms, row.row, row.event_key, query_of(row.rest))
        for row in rows
        if row.kind == SEARCH
    ]


def query_of(rest: bytes | None) -> str:
    """What was searched for, from a row's `rest`."""
    body: Mapping[str, Any] = orjson.loads(rest or b"{}")
    return str(body.get("query", ""))


def ages(times: NDArray[np.int64], now_ms: int) -> NDArray[np.float64]:
    """Days from each time to now; what lies ahead of now is as old as now."""
    return np.maximum((now_ms - times) / 86_400_000.0, 0.0)
