"""Which requests are replayed, what was known then, and what was taken next. Pure.

`time`: positive events sorted by time; the split is the time at the place of 80%. A query is what
one user took at one moment at or after it, the first ten of each user; known is what happened
before that moment, to the millisecond. `leave-last-out`: a query is a user's last positive event;
known is all that every user did before theirs.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import InvalidInput
from windowshop.evaluate.trace import Places, Trace
from windowshop.evaluate.vectors import ranges

Protocol = Literal["time", "leave-last-out"]
Task = Literal["all", "new"]

SPLIT, VALIDATION, EARLY = 0.8, 0.6, 0.4
PER_USER = 10
MOST_QUERIES = 20_000
LESSONS = 7_000
MORE_LESSONS = 12_000
"""Queries that a ranker learns from: by time, and of last events, of which fewer are found."""

T = TypeVar("T")


class Query(NamedTuple):
    """One request of the past: its user, its time (ms), and what was taken: distinct items, and
    those among them that were `new` to the user. `before`: how many of the user's events are known.
    """

    user: int
    time: int
    truth: Places
    new: Places
    before: int


@dataclass(frozen=True, eq=False)
class Trial:
    """Queries, by time, and what may be known to answer them.

    `live`: everything before a query's own time; else all of `known` [events] from the start.
    `begin`: the moment (ms) from which on queries were looked for, where they are by time.
    """

    trace: Trace
    queries: Sequence[Query]
    live: bool
    known: NDArray[np.bool_]
    begin: int = 0

    @property
    def tasks(self) -> tuple[Task, ...]:
        return ("all", "new") if self.live else ("new",)

    @cached_property
    def crowd(self) -> Places:
        """Places of the positive events that are known, some time, by time."""
        return np.flatnonzero(self.trace.positive & self.known)

    @cached_property
    def _times(self) -> NDArray[np.int64]:
        return self.trace.time[self.crowd]

    @cached_property
    def _own(self) -> tuple[Places, Places]:
        user = self.trace.user[self.crowd]
        order = np.argsort(user, kind="stable")
        bounds = np.searchsorted(user[order], np.arange(len(self.trace.users) + 1))
        return self.crowd[order], bounds

    @cached_property
    def learnable(self) -> Places:
        """Those of `crowd` that were known when the queries began: parameters may come of them."""
        return self.crowd[: self.until(self.begin)]

    @cached_property
    def _debut(self) -> NDArray[np.float64]:
        """When the first known event was on each item (ms) [items], of whichever kind."""
        found = np.full(len(self.trace.items), np.inf)
        on = np.flatnonzero(self.known & (self.trace.item >= 0))
        np.minimum.at(found, self.trace.item[on], self.trace.time[on])
        return found

    def cold(self, query: Query, items: Places) -> NDArray[np.bool_]:
        """Which of some items [n] no event had been on when the query came."""
        debut = self._debut[items]
        return debut >= query.time if self.live else np.isinf(debut)

    def cold_taken(self, query: Query) -> Places:
        """What a query took that was cold, where what is known has times; else nothing."""
        return query.new[self.cold(query, query.new)] if self.live else query.new[:0]

    def until(self, time: int) -> int:
        """How many of `crowd` are known at `time`."""
        if not self.live:
            return len(self.crowd)
        return int(np.searchsorted(self._times, time))

    def own(self, user: int, time: int) -> Places:
        """Places of a user's positive events that are known at `time`, in order."""
        order, bounds = self._own
        places: Places = order[bounds[user] : bounds[user + 1]]
        if self.live:
            places = places[: np.searchsorted(self.trace.time[places], time)]
        return places

    @cached_property
    def _moments(self) -> tuple[NDArray[np.int64], int, int]:
        """By user, then time: one ascending number of each event of `_own`, how far apart the users
        are in it, and the earliest time.
        """
        order, _ = self._own
        times = self.trace.time[order]
        first = int(times.min(initial=0))
        apart = int(times.max(initial=0)) - first + 2
        return self.trace.user[order] * np.int64(apart) + (times - first), apart, first

    def taken(self, users: Places, since: int, time: int) -> tuple[Places, Places]:
        """Places of the positive events of some users [n], one user's after another's, and how many
        each has [n]: those known at `time` that are not from before `since`, where times count.
        """
        order, bounds = self._own
        starts, ends = bounds[users], bounds[users + 1]
        if self.live:
            numbers, apart, first = self._moments
            base = users.astype(np.int64) * apart
            starts = np.searchsorted(numbers, base + np.clip(since - first, 0, apart - 1))
            ends = np.searchsorted(numbers, base + np.clip(time - first, 0, apart - 1))
        lengths = np.maximum(ends - starts, 0)
        return order[ranges(starts, lengths)], lengths

    def seen(self, query: Query) -> Places:
        """Items for which the query's user has any known event but impression; some repeat."""
        return seen(self.trace, query.user, query.before)

    def history(self, query: Query) -> int:
        """How many known events the query's user has, impressions apart."""
        return int(self.trace.counts[self.trace.of(query.user)[: query.before]].sum())


def seen(trace: Trace, user: int, before: int) -> Places:
    """Items on which the user's first `before` events are, impressions apart; some repeat."""
    places = trace.of(user)[:before]
    items: Places = trace.item[places[trace.counts[places]]].astype(np.intp)
    return items


def trial_of(trace: Trace, protocol: Protocol, most: int | None, seed: int) -> Trial:
    """The test: what figures are quoted for. Raises InvalidInput where there is none."""
    if protocol == "time":
        return by_time(trace, SPLIT, 1.0, MOST_QUERIES if most is None else most, seed)
    return leave_last_out(trace, 1, most, seed)


def validation_of(trace: Trace, protocol: Protocol, most: int | None, seed: int) -> Trial:
    """What settings may be chosen by: nothing in it is part of the test."""
    if protocol == "time":
        return by_time(trace, VALIDATION, SPLIT, most, seed)
    return leave_last_out(trace, 2, most, seed)


def lessons_of(trace: Trace, protocol: Protocol, seed: int, *, early: bool = False) -> Trial:
    """What may be learned from: all of it comes before the test; `early`: before the validation."""
    if protocol == "time":
        begin, end = (EARLY, VALIDATION) if early else (VALIDATION, SPLIT)
        return by_time(trace, begin, end, LESSONS, seed)
    return leave_last_out(trace, 3 if early else 2, MORE_LESSONS, seed)


def by_time(trace: Trace, begin: float, end: float, most: int | None, seed: int) -> Trial:
    """Queries from the share `begin` of the positive events to the share `end`."""
    positive = _positive(trace)
    times = trace.time[positive]
    starts = int(times[int(begin * len(times))])
    ends = int(times[int(end * len(times))]) if end < 1 else int(times[-1]) + 1
    if starts == times[0]:
        raise InvalidInput(
            "nothing comes before the split: these events carry no times, or all the same; "
            "use --protocol leave-last-out"
        )
    chosen = positive[(times >= starts) & (times < ends)]
    order = np.lexsort((trace.time[chosen], trace.user[chosen]))
    moments: list[tuple[int, int, Places]] = []
    for user, own in _runs(trace.user[chosen[order]], chosen[order]):
        groups = islice(_runs(trace.time[own], own), PER_USER)
        moments += [(user, time, group) for time, group in groups]
    if not moments:
        raise InvalidInput(f"no positive events between {begin:.0%} and {end:.0%} of the time")
    queries = [_taken(trace, *moment) for moment in _drawn(moments, most, seed)]
    return Trial(trace, _in_order(queries), live=True, known=trace.time < ends, begin=starts)


def leave_last_out(trace: Trace, last: int, most: int | None, seed: int) -> Trial:
    """Queries are the users' last positive events (`last` 2: the last but one)."""
    positive = _positive(trace)
    known = np.ones(len(trace), np.bool_)
    targets: list[int] = []
    order = positive[np.argsort(trace.user[positive], kind="stable")]
    for user, own in _runs(trace.user[order], order):
        place = own[max(len(own) - last, 0)]
        places = trace.of(user)
        known[places[np.searchsorted(places, place) :]] = False
        if len(own) >= last:
            targets.append(int(place))
    queries = [_missing(trace, place) for place in _drawn(targets, most, seed)]
    return Trial(trace, _in_order(queries), live=False, known=known)


def _positive(trace: Trace) -> Places:
    positive = np.flatnonzero(trace.positive)
    if not len(positive):
        raise InvalidInput(
            "there is nothing to replay: no purchases, likes or ratings of four stars, "
            "and no views or clicks either"
        )
    return positive


def _runs(labels: NDArray[np.integer], places: Places) -> Iterator[tuple[int, Places]]:
    """The places of each run of equal labels [n], with the label."""
    cuts = np.flatnonzero(np.diff(labels)) + 1
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(labels)], strict=True):
        yield int(labels[start]), places[start:stop]


def _drawn(found: list[T], most: int | None, seed: int) -> list[T]:
    """At most so many of what comes by user id, then time."""
    if most is None or most >= len(found):
        return found
    return random.Random(seed).sample(found, most)  # noqa: S311 - no secret


def _taken(trace: Trace, user: int, time: int, group: Places) -> Query:
    truth = np.unique(trace.item[group]).astype(np.intp)
    before = int(np.searchsorted(trace.time[trace.of(user)], time))
    return Query(user, time, truth, _unseen(trace, user, before, truth), before)


def _missing(trace: Trace, place: int) -> Query:
    user = int(trace.user[place])
    before = int(np.searchsorted(trace.of(user), place))
    truth = trace.item[place : place + 1].astype(np.intp)
    new = _unseen(trace, user, before, truth)
    return Query(user, int(trace.time[place]), truth, new, before)


def _unseen(trace: Trace, user: int, before: int, truth: Places) -> Places:
    return truth[~np.isin(truth, seen(trace, user, before))]


def _in_order(queries: list[Query]) -> list[Query]:
    return sorted(queries, key=lambda query: (query.time, query.user))
