"""Older methods that look at other users, or at what is taken with what. Pure."""

from collections.abc import Callable, Iterator

import numpy as np

from windowshop.evaluate.baselines import DAY_MS, FOR_EVER, Method, decay
from windowshop.evaluate.protocol import Query, Trial
from windowshop.evaluate.trace import Places, Trace
from windowshop.evaluate.vectors import Floats, Row, Rows, ranges, tally

Vector = Callable[[Trace, Places], Row]
"""A user's vector from the places of their known positive events (not empty)."""


def _crowd(trial: Trial, vector: Vector) -> Iterator[tuple[Query, Rows]]:
    """For each query the vectors of all users as they were then."""
    trace, known = trial.trace, 0
    rows = Rows(len(trace.users), len(trace.items))
    for query in trial.queries:
        until = trial.until(query.time)
        for user in np.unique(trace.user[trial.crowd[known:until]]).tolist():
            rows.put(user, vector(trace, trial.own(user, query.time)))
        known = until
        yield query, rows


# --- like-minded users ---------------------------------------------------------------------------


def user_knn(
    neighbours: int = 200, memory: float = 120.0, recency: float = 10.0, window: float = 60.0
) -> Method:
    """What like-minded users took of late. A user is their log-counts, halved every `memory` days,
    normalised, and the query's multiplied by the items' IDF; of the neighbours count the events of
    the last `window` days, halved every `recency` days. Without times all events count alike.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        trace = trial.trace
        people = len(trace.users)
        for query, rows in _crowd(trial, _log_counts(memory if trace.timed else FOR_EVER)):
            own = rows[query.user]
            have = rows.having[own.at]
            idf = np.log1p((people - have + 0.5) / (have + 0.5))
            alike = rows.products(Row(own.at, own.values * idf))
            alike[query.user] = 0
            near = greatest(alike, neighbours)
            if trace.timed:
                yield _lately(trial, query, near, alike[near], recency, window)
            else:
                yield _ever(trial, near, alike[near])

    return scores


def _log_counts(memory: float) -> Vector:
    def vector(trace: Trace, own: Places) -> Row:
        weights = decay(trace.time[own[-1]] - trace.time[own], memory)
        at, place = np.unique(trace.item[own], return_inverse=True)
        values = np.log1p(np.bincount(place, weights))
        return Row(at.astype(np.intp), values / np.linalg.norm(values))

    return vector


def _lately(
    trial: Trial, query: Query, users: Places, weights: Floats, recency: float, window: float
) -> Floats:
    trace = trial.trace
    since = query.time - int(window * DAY_MS)
    places, lengths = trial.taken(users, since, query.time)
    worth = np.repeat(weights, lengths)
    worth *= decay(query.time - trace.time[places], recency)
    return tally(trace.item[places], worth, len(trace.items))


def _ever(trial: Trial, users: Places, weights: Floats) -> Floats:
    items = len(trial.trace.items)
    places, lengths = trial.taken(users, 0, 0)
    who = np.repeat(np.arange(len(users)), lengths)
    once = np.unique(who * items + trial.trace.item[places])
    return tally(once % items, weights[once // items], items)


def greatest(scores: Floats, most: int) -> Places:
    """The places of the greatest scores above 0; of equal ones the first."""
    some = np.flatnonzero(scores > 0)
    if len(some) > most:
        least = np.partition(scores[some], len(some) - most)[len(some) - most]
        some = some[scores[some] >= least]
    return some[np.argsort(-scores[some], kind="stable")][:most]


# --- TIFU-kNN ------------------------------------------------------------------------------------


def tifu_knn(neighbours: int, share: float, within: float, across: float, groups: int) -> Method:
    """TIFU-kNN (Hu et al., SIGIR 2020). A user is a mean of their baskets, those of one moment, cut
    into `groups`: older baskets of a group count `within` times the next, older groups `across`
    times the next. Of the score `share` is the own vector, the rest the mean of the nearest users'.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        for query, rows in _crowd(trial, _baskets(within, across, groups)):
            own = rows[query.user]
            far = np.where(rows.squares > 0, rows.squares - 2 * rows.products(own), np.inf)
            far[query.user] = np.inf
            near = np.argsort(far, kind="stable")[:neighbours]
            near = near[np.isfinite(far[near])]
            found = rows.total(near, np.full(len(near), (1 - share) / max(len(near), 1)))
            found[own.at] += share * own.values
            yield found

    return scores


def _baskets(within: float, across: float, groups: int) -> Vector:
    def vector(trace: Trace, own: Places) -> Row:
        moments = trace.time[own] if trace.timed else own
        basket = np.cumsum(np.diff(moments, prepend=moments[0]) != 0)
        count = int(basket[-1]) + 1
        group = np.arange(count) * min(groups, count) // count
        sizes = np.bincount(group)
        place = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        size = sizes[group]
        weights = within ** (size - 1 - place) / size * across ** (len(sizes) - 1.0 - group)
        weights /= len(sizes)
        once = np.unique(basket * len(trace.items) + trace.item[own])
        at, found = np.unique(once % len(trace.items), return_inverse=True)
        return Row(at.astype(np.intp), tally(found, weights[once // len(trace.items)], len(at)))

    return vector


# --- what is taken with what ---------------------------------------------------------------------


def item_knn(shrink: float, neighbours: int = 100) -> Method:
    """What the users of an item also took: cosine over users, with `shrink` users of doubt, the
    nearest `neighbours` of each item, added up over the user's own log-counts. The cosines are
    those of what was known when the queries began. An item is near to itself, too: people repeat.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        trace = trial.trace
        near = _Nearest(trial, shrink, neighbours)
        for query in trial.queries:
            items = trace.item[trial.own(query.user, query.time)]
            at, counts = np.unique(items, return_counts=True)
            yield near.total(at.astype(np.intp), np.log1p(counts))

    return scores


class _Nearest:
    """The items nearest to each, computed when first asked for."""

    def __init__(self, trial: Trial, shrink: float, neighbours: int) -> None:
        trace = trial.trace
        count = len(trace.items)
        known = trial.learnable
        pairs = np.unique(trace.user[known].astype(np.int64) * count + trace.item[known])
        self._item, user = pairs % count, pairs // count
        self._of_user = np.searchsorted(user, np.arange(len(trace.users) + 1))
        order = np.argsort(self._item, kind="stable")
        self._user = user[order]
        self._of_item = np.searchsorted(self._item[order], np.arange(count + 1))
        self._sizes = np.diff(self._of_item)
        self._shrink, self._neighbours = shrink, neighbours
        self._found = np.zeros(count, np.bool_)
        self._at = np.zeros((count, neighbours), np.int32)
        self._values = np.zeros((count, neighbours))

    def total(self, items: Places, weights: Floats) -> Floats:
        """The weighted sum [items] of the nearest of some items."""
        for item in items[~self._found[items]].tolist():
            self._find(item)
        values = self._values[items] * weights[:, None]
        return tally(self._at[items].ravel(), values.ravel(), len(self._found))

    def _find(self, item: int) -> None:
        users = self._user[self._of_item[item] : self._of_item[item + 1]]
        starts = self._of_user[users]
        own = self._item[ranges(starts, self._of_user[users + 1] - starts)]
        both = np.bincount(own, minlength=len(self._found))
        at = np.flatnonzero(both)
        cosines = both[at] / (np.sqrt(self._sizes[item] * self._sizes[at]) + self._shrink)
        best = greatest(cosines, self._neighbours)
        self._found[item] = True
        self._at[item, : len(best)], self._values[item, : len(best)] = at[best], cosines[best]
