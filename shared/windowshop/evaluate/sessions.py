"""Session-kNN (Ludewig & Jannach, UMUAI 2018): what others took in sessions like a user's last one.
Pure.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.baselines import Method
from windowshop.evaluate.neighbours import greatest
from windowshop.evaluate.protocol import Query, Trial
from windowshop.evaluate.trace import Places
from windowshop.evaluate.vectors import Floats, ranges, tally

GAP_MS = 30 * 60_000
"""Events of a user that are no further apart are of one session."""
SAMPLE = 1_000
"""Sessions that are compared with the query's: the newest that share an item with it,
where times tell."""


def session_knn(neighbours: int, fading: bool) -> Method:
    """V-SkNN and S-kNN. The query is the user's last session before it; of the sessions with which
    it shares an item the newest are compared with it by cosine, and the items of the nearest add up
    by it. `fading` (V-SkNN): the query's items weigh less the older they are, linearly. A session
    is known up to the query's time. Without times a user's whole history is one.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        sessions = _Sessions(trial)
        for query in trial.queries:
            yield sessions.scores(query, neighbours, fading)

    return scores


class _Sessions:
    """All sessions of a trial, numbered by their beginnings."""

    def __init__(self, trial: Trial) -> None:
        self._trial, trace = trial, trial.trace
        self._items = len(trace.items)
        session = _numbered(trial)
        item, time = trace.item[trial.crowd], trace.time[trial.crowd]
        count = int(session.max(initial=-1)) + 1
        # What a session has again, it has from the first time on.
        _, first = np.unique(session * self._items + item, return_index=True)
        self._item, self._time = item[first], time[first]
        self._starts = np.searchsorted(session[first], np.arange(count + 1))
        self._ends = np.full(count, -1)
        np.maximum.at(self._ends, session, time)
        order = np.lexsort((self._time, self._item))
        self._with = session[first][order]  # by item, then time: the sessions with it
        self._since = self._time[order]
        self._bounds = np.searchsorted(self._item[order], np.arange(self._items + 1))
        self._session: NDArray[np.int64] = np.full(len(trace), -1)  # of each event
        self._session[trial.crowd] = session

    def scores(self, query: Query, neighbours: int, fading: bool) -> Floats:
        own = self._trial.own(query.user, query.time)
        if not len(own):
            return np.zeros(self._items)
        mine = int(self._session[own[-1]])
        own = own[self._session[own] == mine]
        items, last = np.unique(self._trial.trace.item[own][::-1], return_index=True)
        weights = self._weights(own)[::-1][last] if fading else np.ones(len(items))
        near, cosines = self._nearest(items, weights, mine, query, neighbours)
        found, lengths = self._known(near, query)
        return tally(found, np.repeat(cosines, lengths), self._items)

    def _weights(self, own: Places) -> Floats:
        """1 for the last moment of a session, less in equal steps for those before."""
        trace = self._trial.trace
        moments = trace.time[own] if trace.timed else own
        step = np.cumsum(np.diff(moments, prepend=moments[0]) != 0) + 1
        weights: Floats = step / step[-1]
        return weights

    def _nearest(
        self, items: Places, weights: Floats, mine: int, query: Query, most: int
    ) -> tuple[Places, Floats]:
        starts, ends = self._bounds[items], self._bounds[items + 1]
        if self._trial.live:
            spans = zip(starts.tolist(), ends.tolist(), strict=True)
            until = [np.searchsorted(self._since[a:b], query.time) for a, b in spans]
            ends = starts + np.array(until, np.intp)
        sharing = self._with[ranges(starts, ends - starts)]
        products = tally(sharing, np.repeat(weights, ends - starts), len(self._ends))
        products[mine] = 0
        some = np.flatnonzero(products)
        if self._trial.trace.timed:
            some = some[-SAMPLE:]
        _, sizes = self._known(some, query)
        cosines = products[some] / np.sqrt(sizes * float(weights @ weights))
        best = greatest(cosines, most)
        return some[best], cosines[best]

    def _known(self, sessions: Places, query: Query) -> tuple[Places, Places]:
        """The items of some sessions [n], one after another, and how many each has: as of then."""
        starts = self._starts[sessions]
        lengths = self._starts[sessions + 1] - starts
        places = ranges(starts, lengths)
        if self._trial.live and (self._ends[sessions] >= query.time).any():
            kept = self._time[places] < query.time
            lengths = np.bincount(
                np.repeat(np.arange(len(sessions)), lengths)[kept], minlength=len(sessions)
            )
            places = places[kept]
        return self._item[places].astype(np.intp), lengths.astype(np.intp)


def _numbered(trial: Trial) -> NDArray[np.int64]:
    """The session of each event of `crowd`."""
    user, time = trial.trace.user[trial.crowd], trial.trace.time[trial.crowd]
    order = np.argsort(user, kind="stable")
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(user[order]) != 0) | (np.diff(time[order]) > GAP_MS)
    begun = np.cumsum(new) - 1
    rank = np.empty(int(new.sum()), np.int64)
    rank[np.argsort(time[order][new], kind="stable")] = np.arange(len(rank))
    found = np.empty(len(order), np.int64)
    found[order] = rank[begun]
    return found
