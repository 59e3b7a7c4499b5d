"""What a tower learns from: each user's events in order, and what was taken at their next moment.

Events of one moment (a basket) have no order: each of them leads to what was taken at the next one,
and their order is drawn anew each epoch. Where times say nothing, every event is a moment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.trace import Places, Trace
from windowshop.profile.events import STRONG, WEAK, of_kinds
from windowshop.rank import Floats
from windowshop.tower import NEWEST, tower_kinds

MOST_QUERIES = 3_000
_DAY_MS = 86_400_000.0

Numbers = NDArray[np.int64]


class Query(NamedTuple):
    """A user's events up to `end` (a place), and the items that were taken next."""

    end: int
    truth: Places
    seen: Places


class Batch(NamedTuple):
    """Windows [b, l], the newest event at the right; `there` is False where a window has none.

    `days`: before the newest event of the window. `targets`: what came next, at each place.
    """

    items: Numbers
    kinds: Numbers
    days: Floats
    there: NDArray[np.bool_]
    targets: Numbers


@dataclass(frozen=True, eq=False)
class Sequences:
    """Events [n], user after user, each user's in order. `moment` never falls; `early`: whether an
    event may be learned from, or only looked at for what came next.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    kind: NDArray[np.uint8]
    day: NDArray[np.float64]
    moment: Numbers
    positive: NDArray[np.bool_]
    early: NDArray[np.bool_]
    timed: bool

    def __len__(self) -> int:
        return len(self.user)

    def part(self, mask: NDArray[np.bool_]) -> "Sequences":
        return Sequences(
            self.user[mask],
            self.item[mask],
            self.kind[mask],
            self.day[mask],
            self.moment[mask],
            self.positive[mask],
            self.early[mask],
            self.timed,
        )

    @cached_property
    def starts(self) -> Places:
        """Where each user's events begin, and the end."""
        cuts = np.flatnonzero(np.diff(self.user)) + 1
        return np.concatenate(([0], cuts, [len(self)])).astype(np.intp)

    @cached_property
    def taken(self) -> tuple[Places, Places, Places]:
        """Items of the positive events, and from where to where in them those of the next moment
        lie, for each event; nowhere (equal) where none follows.
        """
        goals = np.flatnonzero(self.positive)
        moments = self.moment[goals]
        begin = np.searchsorted(moments, self.moment, side="right")
        inside = np.minimum(begin, len(goals) - 1)
        follows = (begin < len(goals)) & (self.user[goals[inside]] == self.user)
        end = np.searchsorted(moments, moments[inside], side="right")
        return self.item[goals].astype(np.intp), begin, np.where(follows, end, begin)

    @cached_property
    def followed(self) -> NDArray[np.bool_]:
        """After which events [n] something was taken: the first so many of each user's."""
        _, begin, end = self.taken
        found: NDArray[np.bool_] = end > begin
        return found


def sequences(
    trace: Trace,
    known: NDArray[np.bool_],
    usable: NDArray[np.bool_],
    then: NDArray[np.bool_] | None = None,
) -> Sequences:
    """The known events and those that came `then`, on `usable` items [items]; of nothing else is
    anything read.
    """
    told = known if then is None else known | then
    places = np.flatnonzero(told & (trace.item >= 0) & (STRONG | WEAK)[trace.kind])
    places = places[usable[trace.item[places]]]
    places = places[np.argsort(trace.user[places], kind="stable")]
    user, time, kind = trace.user[places], trace.time[places], trace.kind[places]
    timed = len(time) > 0 and bool(time.min() != time.max())
    positive, early = trace.positive[places], known[places]
    if not positive[early].any():  # what counts may have begun after what is known
        positive = of_kinds("view", "click")[kind]
    fresh = np.ones(len(places), np.bool_)
    if timed:
        fresh[1:] = (np.diff(user) != 0) | (np.diff(time) != 0)
    return Sequences(
        user,
        trace.item[places],
        tower_kinds(kind, trace.value[places]),
        (time - time.min(initial=0)) / _DAY_MS,
        np.cumsum(fresh),
        positive,
        early,
        timed,
    )


# --- windows ----------------------------------------------------------------------------------


def windows(of: Sequences, most: int, chance: np.random.Generator) -> Places:
    """Windows [n, 2] of at most NEWEST events that something follows; cut at places that are drawn,
    and so many of them that they hold about `most` events.
    """
    followed = np.concatenate(([0], np.cumsum(of.followed)))
    starts, lengths = of.starts[:-1], np.diff(followed[of.starts])
    first = np.where(lengths <= NEWEST, lengths, chance.integers(1, NEWEST + 1, len(lengths)))
    counts = 1 + np.ceil((lengths - first) / NEWEST).astype(np.intp)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    base, cut = np.repeat(starts, counts), np.repeat(first, counts)
    stop = np.minimum(cut + number * NEWEST, np.repeat(lengths, counts))
    start = np.where(number == 0, 0, cut + (number - 1) * NEWEST)
    found = np.stack((base + start, base + stop), axis=1)
    found = found[stop > start][chance.permutation(int((stop > start).sum()))]
    kept = np.searchsorted(np.cumsum(found[:, 1] - found[:, 0]), most, side="right") + 1
    some: Places = found[:kept]
    return some


def batches(
    of: Sequences, cut: Places, size: int, events: int, chance: np.random.Generator
) -> Iterator[Batch]:
    """Windows of like length together: at most `size`, of at most about `events` events."""
    order = np.argsort(cut[:, 1] - cut[:, 0], kind="stable")
    cut = cut[order]
    reach = np.maximum.accumulate(cut[:, 1] - cut[:, 0])
    bounds = [0]
    while bounds[-1] < len(cut):
        begin = bounds[-1]
        stop = min(begin + size, len(cut))
        while stop > begin + 1 and (stop - begin) * reach[stop - 1] > events:
            stop -= max((stop - begin) // 8, 1)
        bounds.append(stop)
    for at in chance.permutation(len(bounds) - 1):
        some = cut[bounds[at] : bounds[at + 1]]
        yield batch(of, some, chance)


def batch(of: Sequences, cut: Places, chance: np.random.Generator | None = None) -> Batch:
    """Windows [n, 2] side by side. With `chance` events of one moment come in an order that is
    drawn, and targets are; without, in their own, and targets are all 0.
    """
    length = int((cut[:, 1] - cut[:, 0]).max())
    places = cut[:, 1:] - length + np.arange(length)
    there = places >= cut[:, :1]
    places = np.maximum(places, cut[:, :1])
    targets = np.zeros(places.shape, np.int64)
    if chance is not None:
        moments = np.where(there, of.moment[places], -1)
        order = np.lexsort((chance.random(places.shape), moments))
        places = np.take_along_axis(places, order, axis=1)
        items, begin, end = of.taken
        share = chance.random(places.shape)
        drawn = begin[places] + (share * (end - begin)[places]).astype(np.intp)
        targets = items[drawn].astype(np.int64)
    return Batch(
        of.item[places].astype(np.int64),
        of.kind[places].astype(np.int64),
        (of.day[cut[:, 1:] - 1] - of.day[places]).astype(np.float32),
        there,
        targets,
    )


# --- what early stopping looks at -------------------------------------------------------------


def what_came_next(of: Sequences, seed: int) -> Sequence[Query]:
    """The first that each user took after what is learned from, by users of whom something is
    known.
    """
    late = np.flatnonzero(of.positive & ~of.early)
    _, firsts = np.unique(of.user[late], return_index=True)
    chance = np.random.default_rng(seed)
    found = []
    for place in np.sort(chance.permutation(late[firsts])[:MOST_QUERIES]):
        start = int(of.starts[np.searchsorted(of.starts, place, side="right") - 1])
        begin, end = np.searchsorted(of.moment, of.moment[place] + np.array([0, 1]))
        if begin > start:
            group = np.arange(begin, end)
            truth = np.unique(of.item[group[of.positive[group]]]).astype(np.intp)
            found.append(Query(int(begin), truth, np.unique(of.item[start:begin]).astype(np.intp)))
    return found


def query_windows(of: Sequences, queries: Sequence[Query]) -> Places:
    """The newest events [n, 2] that each query knows."""
    ends = np.array([query.end for query in queries], np.intp)
    starts = of.starts[np.searchsorted(of.starts, ends - 1, side="right") - 1]
    return np.stack((np.maximum(starts, ends - NEWEST), ends), axis=1)
