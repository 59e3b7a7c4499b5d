"""A user's profile: their newest events, folded from the log.

Folding is the join of a semilattice: the union of two sets of events, cut to the newest of each
class. So the order, the batching and the repetition of events change nothing, exactly, and merging
two users is the same operation. Everything else (tastes, habit, history) is computed on reading.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from windowshop.profile.events import (
    EVENT,
    IMPRESSION,
    STRONG,
    WEAK,
    EventRow,
    Events,
    Keys,
    SearchEvent,
    as_events,
    searches_in,
)

FOLDED = STRONG | WEAK
TAIL = np.dtype([("item", "<u8"), ("time", "<u4"), ("kind", "u1")])  # time in seconds
TAIL_EVENTS = 50


class Limits(NamedTuple):
    """How many of the newest events of each class a profile keeps."""

    strong: int = 4096
    weak: int = 1024
    searches: int = 10


LIMITS = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """`events`: EVENT records sorted by (time, row, event key), distinct by event key; of each
    class (strong kinds, weak kinds) the newest. `searches`: the newest, oldest first. `counted`:
    how many of the log's events (impressions apart) were folded in: bookkeeping that only adds up,
    so that a profile which missed or doubled any disagrees with the log and is folded again.
    `newest`: ms of the newest event (impressions apart), None for none.
    """

    events: Events
    searches: tuple[SearchEvent, ...] = ()
    counted: int = 0
    newest: int | None = None

    EMPTY: ClassVar["Profile"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and (
            self.events.tobytes() == other.events.tobytes()
            and self.searches == other.searches
            and self.counted == other.counted
            and self.newest == other.newest
        )

    __hash__ = None  # type: ignore[assignment]


Profile.EMPTY = Profile(np.empty(0, dtype=EVENT))


# --- folding -----------------------------------------------------------------------------------


def fold(profile: Profile, rows: Sequence[EventRow], limits: Limits = LIMITS) -> Profile:
    """The profile with rows that are new to it. Impressions are ignored."""
    return fold_events(profile, as_events(rows), searches_in(rows), limits)


def fold_events(
    profile: Profile,
    events: Events,
    searches: Sequence[SearchEvent] = (),
    limits: Limits = LIMITS,
) -> Profile:
    """As `fold`; `events` holds all kinds, `searches` the texts of those that are searches."""
    events = events[events["kind"] != IMPRESSION]
    newest = int(events["time"].max()) if len(events) else None
    folded = events[FOLDED[events["kind"]]]
    return merge(profile, Profile(folded, tuple(searches), len(events), newest), limits)


def merge(a: Profile, b: Profile, limits: Limits = LIMITS) -> Profile:
    """Both users' events as one user's."""
    times = [time for time in (a.newest, b.newest) if time is not None]
    return Profile(
        _join(a.events, b.events, limits),
        _join_searches(a.searches, b.searches, limits.searches),
        a.counted + b.counted,
        max(times, default=None),
    )


def _join(a: Events, b: Events, limits: Limits) -> Events:
    """`a` is sorted and within the limits, `b` need not be."""
    if not len(b):
        return a
    b = b[np.lexsort(_ranks(b))]
    both = np.concatenate((a, b))
    keys = np.sort(both["event"])
    distinct = not (keys[1:] == keys[:-1]).any()
    if not distinct:
        both = _distinct(both)
    if not distinct or (len(a) and _rank(b[0]) < _rank(a[-1])):  # late ones came: sort it all
        both = both[np.lexsort(_ranks(both))]
    if len(both) <= min(limits.strong, limits.weak):
        return both
    strong = STRONG[both["kind"]]
    keep = np.ones(len(both), dtype=np.bool_)
    for mask, limit in ((strong, limits.strong), (~strong, limits.weak)):
        places = np.flatnonzero(mask)
        keep[places[: max(len(places) - limit, 0)]] = False
    return both[keep]


def _ranks(events: Events) -> tuple[NDArray[Any], ...]:
    return events["event"], events["row"], events["time"]


def _rank(event: np.void) -> tuple[int, int, int]:
    return int(event["time"]), int(event["row"]), int(event["event"])


def _distinct(events: Events) -> Events:
    """One event a key and class: of two that differ (a user's and a guest's), the later one.

    Within a class, because only there does it commute with keeping the newest. The order is total
    over all fields, so that it does not matter which came first; sorting by rank then keeps it.
    """
    strong = STRONG[events["kind"]]
    value = np.ascontiguousarray(events["value"]).view(np.uint32)
    fields = (value, events["kind"], events["item"], events["row"], events["time"])
    order = np.lexsort((*fields, events["event"], strong))
    events, strong = events[order], strong[order]
    last = np.ones(len(events), dtype=np.bool_)
    last[:-1] = (events["event"][1:] != events["event"][:-1]) | (strong[1:] != strong[:-1])
    return events[last]


def _join_searches(
    a: Iterable[SearchEvent], b: Iterable[SearchEvent], limit: int
) -> tuple[SearchEvent, ...]:
    newest: dict[int, SearchEvent] = {}
    for search in (*a, *b):
        known = newest.get(search.event)
        newest[search.event] = search if known is None else max(known, search)
    return tuple(sorted(newest.values())[-limit:])


# --- storing -----------------------------------------------------------------------------------


def pack(profile: Profile) -> dict[str, str | int]:
    """A profile as a flat payload. `tail` is all of it that other users' requests may read."""
    payload: dict[str, str | int] = {
        "events": base64.b64encode(profile.events.tobytes()).decode("ascii"),
        "searches": orjson.dumps([tuple(search) for search in profile.searches]).decode(),
        "counted": profile.counted,
        "tail": _pack_tail(profile.events[-TAIL_EVENTS:]),
    }
    if profile.newest is not None:
        payload["newest"] = profile.newest
    return payload


def unpack(payload: Mapping[str, Any]) -> Profile:
    """The profile in a payload. One that cannot be read comes back empty, having counted nothing:
    it then disagrees with the log and is folded again.
    """
    try:
        events = np.frombuffer(base64.b64decode(payload["events"]), dtype=EVENT)
        searches = tuple(SearchEvent(*fields) for fields in orjson.loads(payload["searches"]))
        return Profile(events, searches, int(payload["counted"]), payload.get("newest"))
    except (KeyError, TypeError, ValueError):  # also binascii's and orjson's
        return Profile.EMPTY


def _pack_tail(events: Events) -> str:
    tail = np.empty(len(events), dtype=TAIL)
    tail["item"], tail["kind"] = events["item"], events["kind"]
    tail["time"] = np.clip(events["time"] // 1000, 0, 2**32 - 1)
    return base64.b64encode(tail.tobytes()).decode("ascii")


def check_tail(tail: bytes) -> bytes:
    """The newest events of a neighbour as the bytes of TAIL records, oldest first; none from what
    is no tail.
    """
    return b"" if len(tail) % TAIL.itemsize else tail


# --- reading -----------------------------------------------------------------------------------


def seen(profile: Profile) -> Keys:
    """Keys of all items with any event, each once, sorted."""
    keys: Keys = np.unique(profile.events["item"])
    return keys


def recently_viewed(profile: Profile) -> Keys:
    """Keys of the items that were viewed, clicked or dwelt on, each once, newest first."""
    items = profile.events["item"][WEAK[profile.events["kind"]]][::-1]
    _, first = np.unique(items, return_index=True)
    keys: Keys = items[np.sort(first)]
    return keys


def last_kind(profile: Profile, item: int) -> int | None:
    """Kind code of the newest event on an item."""
    places = np.flatnonzero(profile.events["item"] == np.uint64(item))
    return int(profile.events["kind"][places[-1]]) if len(places) else None
