"""What like-minded shoppers took near what this shopper took: pure arithmetic on their tails.

A neighbour's event counts by how alike the two histories are, how long ago it was, and how near it
stands to an item that both have: after such an item first of all (user-kNN with order; see Ludewig
& Jannach 2018 for the family, docs/quality.md for what each part is worth).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.profile import TAIL
from windowshop.rank import EMPTY_KEYS, EMPTY_SCORES, Floats, Keys

MOST = 300
FROM_AFAR = 0.14
"""The weight of what stands near no shared item: as if 50 steps after one of the last step."""
BEFORE = 2.0
"""What came before the shared item lies so many times as far from it as what came after."""


class Taken(NamedTuple):
    """Neighbours' events [n]: the item, the shared item it stands nearest to (0: none), and the
    weight; likewise its parts: how alike the neighbour is, how lately it was, and how near the
    shared item stands; and whose it is (a number).
    """

    items: Keys
    via: Keys
    weights: NDArray[np.float64]
    alike: NDArray[np.float64]
    lately: NDArray[np.float64]
    near: NDArray[np.float64]
    whose: NDArray[np.intp]
    distinct: Keys
    """The items, each once, ascending [m]."""
    place: NDArray[np.intp]
    """Where in these each event's item stands [n]."""


_NONE = np.empty(0)
_NOWHERE = np.empty(0, np.intp)
NOTHING = Taken(EMPTY_KEYS, EMPTY_KEYS, _NONE, _NONE, _NONE, _NONE, _NOWHERE, EMPTY_KEYS, _NOWHERE)


class Own(NamedTuple):
    """What a shopper has done: item keys [n], each once, ascending, and how many steps ago [n].

    A step is a moment, such as a basket; where all events have one time, as in a file that only has
    an order, it is an event.
    """

    items: Keys
    steps: NDArray[np.int64]


class Neighbourhood(NamedTuple):
    """A shopper and those with a like history [n], the nearest first: how alike, and their tails
    (the bytes of `profile.TAIL` records, oldest first).
    """

    mine: Own
    alike: Sequence[float]
    tails: Sequence[bytes]


def own(items: Keys, times: NDArray[np.int64]) -> Own:
    """From the shopper's events, oldest first."""
    moments = np.cumsum(np.diff(times, prepend=times[:1]) != 0)
    step = moments if len(moments) and moments[-1] else np.arange(len(items))
    keys, newest = np.unique(items[::-1], return_index=True)
    return Own(keys, (step[-1] - step[::-1][newest]).astype(np.int64) if len(step) else newest)


def fading(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much something still says that many steps later."""
    worth: NDArray[np.float64] = 1.0 / np.sqrt(1.0 + steps)
    return worth


def taken(
    mine: Own, alike: Sequence[float], tails: Sequence[bytes], now_ms: int, days: float
) -> Taken:
    """Weigh the events of neighbours, given their likeness and their tails, as in `Neighbourhood`.
    `days`: after so many an event says half as much; after ten times as many a 26th.
    """
    sizes = np.array([len(tail) // TAIL.itemsize for tail in tails], np.intp)
    if not sizes.sum() or not len(mine.items):
        return NOTHING
    tail = np.frombuffer(b"".join(tails), TAIL)
    items = np.ascontiguousarray(tail["item"])
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    end = start + np.repeat(sizes, sizes)
    at = np.arange(len(items))
    step = _steps(tail["time"], start, end)
    distinct, which = np.unique(items, return_inverse=True)
    place = np.minimum(np.searchsorted(mine.items, distinct), len(mine.items) - 1)
    worth = np.where(mine.items[place] == distinct, fading(mine.steps[place]), 0.0)
    counts = worth[which]
    shared = counts > 0
    # The nearest shared item on either side, never the event itself: what both have already must
    # not outshine what it leads to.
    before = np.maximum.accumulate(np.where(shared, at, -1))
    before = np.concatenate(([-1], before[:-1]))
    after = np.minimum.accumulate(np.where(shared, at, len(at))[::-1])[::-1]
    after = np.minimum(np.concatenate((after[1:], [len(at)])), len(at))
    follows = np.where(
        before >= start, counts[before] / np.sqrt(np.maximum(step - step[before], 1)), 0
    )
    last = np.minimum(after, len(at) - 1)
    leads = np.where(
        after < end, counts[last] / np.sqrt(BEFORE * np.maximum(step[last] - step, 1)), 0
    )
    near = np.maximum(follows, leads)
    via = np.where(near > 0, items[np.where(follows >= leads, before, last)], 0)
    age = np.maximum(now_ms / 1000 - tail["time"].astype(np.float64), 0) / 86_400
    # Only ratios matter, and the newest of very old events still tell more than the rest. Halved
    # again and again, a slow shop's events would soon say nothing: a power fades ever more slowly.
    recency = (1 + (np.sqrt(2) - 1) * (age - age.min()) / days) ** -2.0
    likeness = np.repeat(np.asarray(alike, np.float64), sizes)
    weights = likeness * recency * np.maximum(near, FROM_AFAR)
    whose = np.repeat(np.arange(len(sizes)), sizes)
    return Taken(
        items, via.astype(np.uint64), weights, likeness, recency, near, whose, distinct, which
    )


def _steps(
    times: NDArray[np.uint32], start: NDArray[np.intp], end: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Numbers [n] that grow by one with each step of a tail, which begins and ends at `start` and
    `end` [n]: what is bought together has no order.
    """
    at = np.arange(len(times))
    fresh = at == start
    fresh[1:] |= times[1:] != times[:-1]
    moment = np.cumsum(fresh)
    return np.where(moment[start] == moment[end - 1], at, moment)


def proposals(some: Taken) -> tuple[Keys, Floats]:
    """The items with the greatest sums of weights, best first."""
    if not len(some.items):
        return EMPTY_KEYS, EMPTY_SCORES
    sums = np.bincount(some.place, some.weights)
    rows = np.arange(len(sums))
    if len(sums) > MOST:
        rows = np.flatnonzero(sums >= np.partition(sums, -MOST)[-MOST])
    best = rows[np.argsort(-sums[rows], kind="stable")][:MOST]
    return some.distinct[best], (sums[best] / max(sums[best[0]], 1e-300)).astype(np.float32)


def strongest_via(some: Taken, key: int) -> int:
    """The shared item that led to an item most; 0 where none did."""
    rows = np.flatnonzero(some.items == np.uint64(key))
    rows = rows[(some.via[rows] != 0) & (some.via[rows] != np.uint64(key))]
    if not len(rows):
        return 0
    sums: dict[int, float] = {}
    for via, weight in zip(some.via[rows].tolist(), some.weights[rows].tolist(), strict=True):
        sums[via] = sums.get(via, 0.0) + weight
    return max(sorted(sums), key=sums.__getitem__)
