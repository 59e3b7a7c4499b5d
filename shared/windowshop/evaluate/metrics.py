"""How good a list was, and how sure that is. Pure.

All metrics look at the first ten. NDCG: a hit at place i (from 0) gains 1 / log2(i + 2), divided by
what min(10, taken) hits at the top would gain. Recall: hits / min(10, taken).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP = 10
DEEP = 100
"""How far down what nobody had before is looked for."""
LENGTHS = ((0, 0), (1, 5), (6, 50), (51, None))
"""Spans of history lengths that are told apart, both ends included."""

Scores = NDArray[np.float64]
Lists = NDArray[np.intp]
"""Lists of items [queries, TOP], best first; -1 where a list is shorter."""

_Z = 1.959964
"""Standard errors on either side that hold 95% of a normal distribution."""
_GAINS = 1 / np.log2(np.arange(TOP) + 2)
_IDEAL = np.cumsum(_GAINS)


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The metrics of each query [n]."""

    ndcg: Scores
    recall: Scores
    hit: Scores
    mrr: Scores


class Gain(NamedTuple):
    """How many times as good as another: the ratio of means, and its 95% interval."""

    ratio: float
    low: float
    high: float


class Share(NamedTuple):
    """A share of what was there to be found, and its 95% interval."""

    value: float
    low: float
    high: float


def mark(lists: Lists, truths: Sequence[NDArray[np.integer]]) -> Marks:
    """The metrics of lists [n, TOP] for what was taken: a set of items, not empty, for each."""
    hits = np.zeros((len(truths), TOP), np.bool_)
    for row, truth in enumerate(truths):
        hits[row] = np.isin(lists[row], truth)
    most = np.array([min(TOP, len(truth)) for truth in truths], np.intp)
    first = hits.argmax(axis=1)
    hit: NDArray[np.bool_] = np.any(hits, axis=1)
    return Marks(
        ndcg=(hits @ _GAINS) / _IDEAL[most - 1],
        recall=hits.sum(axis=1) / most,
        hit=hit.astype(np.float64),
        mrr=np.where(hit, 1 / (first + 1), 0.0),
    )


def coverage(lists: Lists, items: int) -> float:
    """The share of all items that stand in any list."""
    shown = np.unique(lists[lists >= 0])
    return len(shown) / items if items else 0.0


def spans(lengths: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
    """Which queries [n] have a history of which length: "0", "1-5", "6-50", ">50"."""
    found = {}
    for least, most in LENGTHS:
        name = (
            f">{least - 1}" if most is None else f"{least}" if least == most else f"{least}-{most}"
        )
        found[name] = (lengths >= least) & (lengths <= (np.inf if most is None else most))
    return found


def gain(
    ours: Scores, theirs: Scores, users: NDArray[np.integer], seed: int, draws: int = 2_000
) -> Gain:
    """The ratio of the means of paired scores [n], by a bootstrap that draws whole users [n]:
    what one user takes today resembles what they took yesterday.
    """
    _, place = np.unique(users, return_inverse=True)
    mine, other = np.bincount(place, ours), np.bincount(place, theirs)
    random = np.random.default_rng(seed)
    ratios = np.empty(draws)
    people = len(mine)
    for draw in range(draws):
        drawn = np.bincount(random.integers(people, size=people), minlength=people)
        ratios[draw] = _ratio(float(drawn @ mine), float(drawn @ other))
    low, high = np.percentile(ratios, (2.5, 97.5), method="nearest")
    return Gain(_ratio(float(mine.sum()), float(other.sum())), float(low), float(high))


def standard_error(scores: Scores, users: NDArray[np.integer]) -> float:
    """Of the mean of scores [n], where whole users [n] are drawn: one user's scores resemble each
    other (the cluster-robust one: Cameron & Miller 2015). 0 where there are fewer than two users.
    """
    _, place = np.unique(users, return_inverse=True)
    people = int(place.max(initial=-1)) + 1
    if people < 2:
        return 0.0
    sums = np.bincount(place, scores - scores.mean())
    return float(np.sqrt(people / (people - 1) * (sums**2).sum()) / len(scores))


def share(hits: Scores, sought: Scores, users: NDArray[np.integer]) -> Share:
    """Of all that was `sought` [n] what was hit [n]: Wilson's interval, for as many independent
    trials as these are worth, as one user's go together (Korn & Graubard 1998; Dean & Pagano 2015).
    """
    count = float(sought.sum())
    if not count:
        return Share(0.0, 0.0, 1.0)
    value = float(hits.sum()) / count
    _, place = np.unique(users, return_inverse=True)
    apart = np.bincount(place, hits - value * sought)
    people, spread = len(apart), value * (1 - value) / max(count - 1, 1)
    if people > 1 and spread > 0:
        clustered = people / (people - 1) * float(apart @ apart) / count**2
        count /= max(clustered / spread, 1.0)
    middle = value + _Z**2 / (2 * count)
    half = _Z * float(np.sqrt(value * (1 - value) / count + _Z**2 / (4 * count**2)))
    whole = 1 + _Z**2 / count
    return Share(value, max((middle - half) / whole, 0.0), min((middle + half) / whole, 1.0))


def _ratio(ours: float, theirs: float) -> float:
    if theirs > 0:
        return ours / theirs
    return 1.0 if ours == 0 else float("inf")
