"""Older methods, to be measured beside: what a shop could have without all this. Pure.

Each is a `Method`: for the queries of a trial, in order, one array of scores by item. They know
exactly what the product knows: a method that looks at other users does so as of each query's time.
Items with a score of 0 are not proposed; a list that is not full then is filled with what is
popular.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.metrics import TOP, Lists
from windowshop.evaluate.protocol import Query, Task, Trial
from windowshop.evaluate.trace import Places
from windowshop.evaluate.vectors import Floats, tally

DAY_MS = 86_400_000.0
FOR_EVER = float("inf")
BATCH = 64
"""Queries whose scores are computed in one product."""
HEAD = 100
"""Items that are sorted at first: mostly enough, also without those that the user has seen."""
NOTHING: Places = np.empty(0, np.intp)

Method = Callable[[Trial], Iterator[Floats]]
"""Scores [items] >= 0 for each query of a trial; an array is the caller's only until the next."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method with settings that validation may choose; `about` names them."""

    about: str
    method: Method


# --- lists ---------------------------------------------------------------------------------------


def lists_of(trial: Trial, method: Method, fill: Method) -> dict[Task, Lists]:
    """For each task the lists [queries, TOP] by a method's scores, filled up by `fill`'s. For `new`
    without what the user has seen.
    """
    count = len(trial.queries)
    barred = np.zeros(len(trial.trace.items), np.bool_)
    lists: dict[Task, Lists] = {task: np.full((count, TOP), -1, np.intp) for task in trial.tasks}
    pairs = zip(trial.queries, method(trial), fill(trial), strict=True)
    for row, (query, scores, others) in enumerate(pairs):
        ranking, spare = Ranking(scores), Ranking(others)
        for task, found in lists.items():
            seen = trial.seen(query) if task == "new" else NOTHING
            barred[seen] = True
            best = ranking.best(barred)
            if len(best) < TOP:
                barred[best] = True
                more = spare.best(barred)[: TOP - len(best)]
                barred[best] = False
                best = np.concatenate((best, more))
            barred[seen] = False
            found[row, : len(best)] = best
    return lists


class Ranking:
    """Items by falling score, of equal ones the first; those that score 0 are left out."""

    def __init__(self, scores: Floats) -> None:
        self._scores = scores
        self._head, self._whole = NOTHING, False

    def best(self, barred: NDArray[np.bool_]) -> Places:
        """The first TOP that are not barred [items]."""
        best = self._head[~barred[self._head]]
        if len(best) < TOP and not self._whole:
            self._sort(HEAD if not len(self._head) else None)
            return self.best(barred)
        return best[:TOP]

    def _sort(self, most: int | None) -> None:
        some = np.flatnonzero(self._scores)
        values = self._scores[some]
        if most is not None and len(some) > most:
            some = some[values >= np.partition(values, len(some) - most)[len(some) - most]]
        else:
            self._whole = True
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
