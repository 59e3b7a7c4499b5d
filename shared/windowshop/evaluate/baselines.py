"""Older methods, to be measured beside: what a shop could have without all this. Pure.

Each is a `Method`: for the queries of a trial, in order, one array of scores by item. They know
exactly what the product knows: a method that looks at other users does so as of each query's time.
Items with a score of 0 are not proposed; a list that is not full then is filled with what is
popular.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.metrics import DEEP, TOP, Lists
from windowshop.evaluate.protocol import Query, Task, Trial
from windowshop.evaluate.trace import Places
from windowshop.evaluate.vectors import Floats, tally

DAY_MS = 86_400_000.0
FOR_EVER = float("inf")
BATCH = 64
"""Queries whose scores are computed in one product."""
HEAD = 100
"""Items that are sorted at first: mostly enough, also without those that the user has seen."""
MORE = 10
"""How many times as many are sorted next."""
NOTHING: Places = np.empty(0, np.intp)

Method = Callable[[Trial], Iterator[Floats]]
"""Scores [items] >= 0 for each query of a trial; an array is the caller's only until the next. What
is learned for good is learned before the first is asked for.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method with settings that validation may choose; `about` names them."""

    about: str
    method: Method


# --- lists ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """What a method showed: by task its lists [queries, TOP], and for the queries in which
    something cold was taken (by row) the first DEEP of `new`.
    """

    lists: Mapping[Task, Lists]
    deep: Mapping[int, Places]


def shown(
    trial: Trial, scores: Iterable[Floats], others: Iterable[Floats], *, deep: bool = False
) -> Shown:
    """Lists by scores of each query, filled up by `others`; for `new` without what the user has
    seen. `deep`: the longer ones, too.
    """
    count = len(trial.queries)
    barred = np.zeros(len(trial.trace.items), np.bool_)
    lists: dict[Task, Lists] = {task: np.full((count, TOP), -1, np.intp) for task in trial.tasks}
    longer: dict[int, Places] = {}
    ranking = spare = Ranking(np.zeros(len(barred)))
    pairs = zip(trial.queries, scores, others, strict=True)
    for row, (query, ours, theirs) in enumerate(pairs):
        ranking, spare = Ranking(ours, ranking.cut), Ranking(theirs, spare.cut)
        sought = deep and len(trial.cold_taken(query)) > 0
        for task, found in lists.items():
            seen = trial.seen(query) if task == "new" else NOTHING
            most = DEEP if sought and task == "new" else TOP
            barred[seen] = True
            best = ranking.best(barred, most)
            if len(best) < most:
                barred[best] = True
                more = spare.best(barred, most - len(best))
                barred[best] = False
                best = np.concatenate((best, more))
            barred[seen] = False
            found[row, : len(best[:TOP])] = best[:TOP]
            if most > TOP:
                longer[row] = best
    return Shown(lists, longer)


class Ranking:
    """Items by falling score, of equal ones the first; those that score 0 are left out. `cut`: a
    score that the best may well be above, as those of the query before were: a guess saves time.
    """

    def __init__(self, scores: Floats, cut: float = 0.0) -> None:
        self._scores, self.cut = scores, cut
        self._head, self._size, self._whole = NOTHING, HEAD, False

    def best(self, barred: NDArray[np.bool_], most: int = TOP) -> Places:
        """The first `most` that are not barred [items]."""
        best = self._head[~barred[self._head]]
        while len(best) < most and not self._whole:
            self._sort(self._size)
            self._size *= MORE
            best = self._head[~barred[self._head]]
        return best[:most]

    def _sort(self, most: int) -> None:
        some = np.flatnonzero(self._scores > self.cut)
        if len(some) < most:
            some = np.flatnonzero(self._scores)
        values = self._scores[some]
        if len(some) > most:
            least = np.partition(values, len(some) - most)[len(some) - most]
            some = some[values >= least]
            self.cut = float(least) / 2
        else:
            self._whole = len(some) < most or self.cut == 0
            self.cut = 0.0
        self._head = some[np.argsort(-self._scores[some], kind="stable")]


# --- popularity and habit ------------------------------------------------------------------------


def popularity(half_life: float) -> Method:
    """What everybody takes, to the second: counts that halve every `half_life` days."""

    def scores(trial: Trial) -> Iterator[Floats]:
        trace, known = trial.trace, 0
        counts, base = np.zeros(len(trace.items)), 0
        for query in trial.queries:
            until = trial.until(query.time)
            fresh = trial.crowd[known:until]
            if len(fresh):
                newest = int(trace.time[fresh[-1]])
                counts *= decay(np.array(newest - base if known else 0), half_life)
                np.add.at(counts, trace.item[fresh], decay(newest - trace.time[fresh], half_life))
                known, base = until, newest
            yield counts

    return scores


def frequency(half_life: float) -> Method:
    """What this user takes again and again: own counts that halve every `half_life` days."""

    def scores(trial: Trial) -> Iterator[Floats]:
        trace = trial.trace
        for query in trial.queries:
            own = trial.own(query.user, query.time)
            weights = decay(query.time - trace.time[own], half_life)
            yield tally(trace.item[own], weights, len(trace.items))

    return scores


def decay(ages_ms: NDArray[np.int64], half_life: float) -> Floats:
    return np.exp2(-np.maximum(ages_ms, 0) / (half_life * DAY_MS))


# --- text ----------------------------------------------------------------------------------------


def text_only(vectors: NDArray[np.float32], half_life: float) -> Method:
    """Nearness (cosine) to the mean of what the user took, by the items' text alone. `vectors`
    [items, dim] are unit rows, or 0; each step back in the history counts less, half after
    `half_life` steps.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        for start in range(0, len(trial.queries), BATCH):
            part = trial.queries[start : start + BATCH]
            tastes = np.array([_taste(trial, query, vectors, half_life) for query in part])
            for cosines in tastes @ vectors.T:
                yield np.maximum(cosines, 0).astype(np.float64)

    return scores


def _taste(
    trial: Trial, query: Query, vectors: NDArray[np.float32], half_life: float
) -> NDArray[np.float32]:
    items = trial.trace.item[trial.own(query.user, query.time)]
    steps = np.arange(len(items))[::-1]
    weights = np.exp2(-steps / half_life).astype(np.float32)
    mean: NDArray[np.float32] = weights @ vectors[items]
    return mean / max(float(np.linalg.norm(mean)), 1e-9)
