"""Older methods that learn once, from what was known when the queries began. What a user did since
is known to them when they are asked. They need the extra `train`. Pure.
"""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.baselines import BATCH, Method
from windowshop.evaluate.protocol import Query, Trial
from windowshop.evaluate.trace import Places
from windowshop.evaluate.vectors import Floats

MOST_ITEMS = 15_000
"""Items of which EASE's matrix is held (900 MB) and inverted (a minute)."""
BLOCK = 1_024
"""Rows of that matrix that are worked on at once."""

Matrix = NDArray[np.float32]


def missing(package: str) -> str | None:
    """Why a method that needs a package cannot run here; None where it can."""
    if find_spec(package) is None:
        return f"it needs the extra `train` ({package} is missing): pip install 'windowshop[train]'"
    return None


def items_of(trial: Trial) -> Places:
    """The items that there is something to learn about, ascending."""
    return np.unique(trial.trace.item[trial.learnable]).astype(np.intp)


class _Histories:
    """Who took what how often: over the items that were learned about, by their places there."""

    def __init__(self, trial: Trial) -> None:
        self.items = items_of(trial)
        self._trial = trial
        self._place = np.full(len(trial.trace.items), -1, np.intp)
        self._place[self.items] = np.arange(len(self.items))

    def learnable(self) -> tuple[Places, Places, Floats]:
        """Users, items and counts of what may be learned from; each pair once."""
        trace, known = self._trial.trace, self._trial.learnable
        width = len(self.items)
        pairs = trace.user[known].astype(np.int64) * width + self._place[trace.item[known]]
        pairs, counts = np.unique(pairs, return_counts=True)
        return pairs // width, pairs % width, counts.astype(np.float64)

    def of(self, query: Query) -> tuple[Places, Floats]:
        """The items of a query's user as of then, and their counts."""
        own = self._place[self._trial.trace.item[self._trial.own(query.user, query.time)]]
        items, counts = np.unique(own[own >= 0], return_counts=True)
        return items, counts.astype(np.float64)

    def spread(self, scores: Matrix) -> Floats:
        """Scores of these items, at least 0, as scores of all [items]."""
        found = np.zeros(len(self._place))
        found[self.items] = np.maximum(scores, 0)
        return found


# --- EASE ----------------------------------------------------------------------------------------


def ease(penalty: float) -> Method:
    """EASE (Steck, WWW 2019): the linear model without itself that predicts who took what from who
    took what, in closed form. Scores are the user's row times it, as of the query's time.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        histories = _Histories(trial)
        model = _ease(histories, penalty)
        return (
            histories.spread(model[histories.of(query)[0]].sum(axis=0)) for query in trial.queries
        )

    return scores


def _ease(histories: _Histories, penalty: float) -> Matrix:
    """The model [items, items]: of the inverse P of the Gram matrix plus `penalty` on its diagonal
    -P[i, j] / P[j, j], and 0 on the diagonal.
    """
    import scipy.linalg.lapack

    gram = _gram(histories)
    gram[np.diag_indices_from(gram)] += penalty
    # LAPACK reads columns where these are rows: the lower half there is the upper one here.
    factor, failed = scipy.linalg.lapack.spotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    inverse, wrong = scipy.linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or wrong:
        raise ArithmeticError(f"EASE's matrix with a penalty of {penalty:g} has no inverse")
    model: Matrix = inverse.T
    _mirror(model)
    model /= -np.diagonal(model).copy()
    np.fill_diagonal(model, 0)
    return model


def _gram(histories: _Histories) -> Matrix:
    """In how many users' histories two items are together [items, items]."""
    import scipy.sparse

    width = len(histories.items)
    users, items, _ = histories.learnable()
    ones = np.ones(len(items), np.float32)
    shape = (int(users.max(initial=-1)) + 1, width)
    taken = scipy.sparse.csr_matrix((ones, (users, items)), shape)
    takers = taken.T.tocsr()
    gram: Matrix = np.empty((width, width), np.float32)
    for start in range(0, width, BLOCK):  # the whole would be held as a sparse one, too
        gram[start : start + BLOCK] = (takers[start : start + BLOCK] @ taken).toarray()
    return gram


def _mirror(matrix: Matrix) -> None:
    """Copy the upper half onto the lower one, in place."""
    for start in range(0, len(matrix), BLOCK):
        block = matrix[start : start + BLOCK, start : start + BLOCK]
        block[:] = np.triu(block) + np.triu(block, 1).T
        matrix[start + BLOCK :, start : start + BLOCK] = matrix[
            start : start + BLOCK, start + BLOCK :
        ].T


# --- iALS ----------------------------------------------------------------------------------------


def ials(factors: int, confidence: float, penalty: float, rounds: int, seed: int) -> Method:
    """iALS (Hu, Koren & Volinsky, ICDM 2008) by `implicit`: what was taken n times has a weight of
    1 + `confidence` * log(1 + n), what was not has 1. The user's factors are solved for at each
    query, from what they had taken until then.
    """

    def scores(trial: Trial) -> Iterator[Floats]:
        histories = _Histories(trial)
        if not len(histories.items):
            return (np.zeros(len(trial.trace.items)) for _ in trial.queries)
        items = _ials(histories, factors, confidence, penalty, rounds, seed)
        return _folded_in(trial, histories, items, confidence, penalty)

    return scores


def _ials(
    histories: _Histories, factors: int, confidence: float, penalty: float, rounds: int, seed: int
) -> Matrix:
    """The items' factors [items, factors]."""
    import warnings

    import scipy.sparse
    from implicit.cpu.als import AlternatingLeastSquares

    users, items, counts = histories.learnable()
    with warnings.catch_warnings():
        # It wants BLAS held to one thread beside its own threads; it has one of its own here.
        warnings.simplefilter("ignore", RuntimeWarning)
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=penalty,
            iterations=rounds,
            num_threads=1,
            random_state=seed,
        )
    shape = (int(users.max()) + 1, len(histories.items))
    # It takes these for the whole weight of what was taken, the 1 of all else included.
    weights = 1 + confidence * np.log1p(counts)
    taken = scipy.sparse.csr_matrix((weights.astype(np.float32), (users, items)), shape)
    model.fit(taken, show_progress=False)
    found: Matrix = model.item_factors
    return found


def _folded_in(
    trial: Trial, histories: _Histories, items: Matrix, confidence: float, penalty: float
) -> Iterator[Floats]:
    factors = items.shape[1]
    base = items.T @ items + penalty * np.eye(factors, dtype=np.float32)
    for start in range(0, len(trial.queries), BATCH):
        part = trial.queries[start : start + BATCH]
        users = np.zeros((len(part), factors), np.float32)
        for row, query in enumerate(part):
            own, counts = histories.of(query)
            more = (confidence * np.log1p(counts)).astype(np.float32)
            theirs = items[own]
            normal = base + (theirs * more[:, None]).T @ theirs
            users[row] = np.linalg.solve(normal, (1 + more) @ theirs)
        for scores in users @ items.T:
            yield histories.spread(scores)
