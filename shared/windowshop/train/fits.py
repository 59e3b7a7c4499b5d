"""Models of a ranker, fitted to examples: trees of two kinds, whose scores are added, or a weighted
sum; validation chooses.

Where few requests tell one model from another, which kind of trees does better is mostly luck; what
both agree on is less so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.metrics import TOP
from windowshop.train.examples import Examples
from windowshop.train.sums import fit_sum
from windowshop.train.trees import sum_to_onnx, to_onnx, weighed

MOST_TREES = 75
"""Of each kind."""
PATIENCE = 25
VALIDATED = 0.2
"""The last part of the queries, which chooses."""
FEWEST = 50
"""Queries with a hit that there is anything to learn from."""
OBJECTIVES = ("lambdarank", "binary")
TREES, SUM = "trees", "sum"
"""What may serve."""

_GAINS = 1 / np.log2(np.arange(TOP) + 2)
_IDEALS = np.concatenate(([1.0], np.cumsum(_GAINS)))
_COMMON: dict[str, Any] = {
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "lambdarank_truncation_level": 20,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # many wait for each other longer than they work, where others work too
    "verbose": -1,
}


@dataclass(frozen=True, slots=True)
class Fit:
    """A model that can be served, and how it was chosen."""

    model: bytes  # ONNX: rows [n, features] -> scores [n, 1]
    features: tuple[str, ...]
    method: str
    trees: int
    ndcg: dict[str, float]
    """NDCG@10 on the validating queries, by method, and of each kind of trees alone."""


def fit(examples: Examples, seed: int) -> Fit | None:
    """The model that validation likes best, fitted once more to all of the examples; None where
    there are too few.
    """
    if len(examples) < FEWEST:
        return None
    cut = round(len(examples) * (1 - VALIDATED))
    taught, held = examples.part(0, cut), examples.part(cut, len(examples))
    rows, hits, sizes = held.joined()

    def figure(scores: NDArray[Any]) -> float:
        return round(ndcg(scores, hits, sizes, held.ideals), 5)

    figures: dict[str, float] = {}
    trees: dict[str, int] = {}
    shares: dict[str, float] = {}
    added = np.zeros(len(rows))
    data = _dataset(taught)
    other = _dataset(held, data)
    for objective in OBJECTIVES:
        booster = _grown(objective, data, seed, MOST_TREES, other)
        scores = booster.predict(rows, raw_score=True)
        trees[objective] = max(int(booster.best_iteration), 1)
        shares[objective] = 1 / max(_spread(scores, sizes), 1e-12)
        figures[objective] = figure(scores)
        added += shares[objective] * scores
    figures[TREES] = figure(added)
    del data, other
    figures[SUM] = figure(rows @ fit_sum(*taught.joined()[:2]))
    if figures[SUM] > figures[TREES]:
        model = sum_to_onnx(fit_sum(*examples.joined()[:2]))
        return Fit(model, examples.names, SUM, 0, figures)
    data, forest = _dataset(examples), []
    for objective in OBJECTIVES:
        booster = _grown(objective, data, seed, trees[objective])
        dump = booster.dump_model()["tree_info"]
        forest += [weighed(tree, shares[objective]) for tree in dump]
    model = to_onnx(forest, len(examples.names))
    return Fit(model, examples.names, TREES, len(forest), figures)


def _grown(objective: str, data: Any, seed: int, trees: int, held: Any = None) -> Any:
    """A booster of so many trees; with `held` it stops growing when those queries gain no more."""
    import lightgbm

    metric = "ndcg" if objective == "lambdarank" else "binary_logloss"
    settings = {**_COMMON, "objective": objective, "metric": metric, "eval_at": [TOP], "seed": seed}
    if held is None:
        return lightgbm.train(settings, data, trees)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(settings, data, trees, valid_sets=[held], callbacks=[stop])


def _dataset(examples: Examples, reference: Any = None) -> Any:
    import lightgbm

    rows, hits, sizes = examples.joined()
    return lightgbm.Dataset(
        rows,
        hits.astype(np.int32),
        group=sizes,
        feature_name=list(examples.names),
        reference=reference,
        params=_COMMON,
        free_raw_data=False,
    ).construct()


def _spread(scores: NDArray[Any], sizes: NDArray[np.intp]) -> float:
    """How far apart scores lie within a query: the root of their mean variance."""
    starts = np.cumsum(sizes) - sizes
    means = np.add.reduceat(scores, starts) / sizes
    return float(np.sqrt(np.mean((scores - np.repeat(means, sizes)) ** 2)))


def ndcg(
    scores: NDArray[Any], hits: NDArray[np.bool_], sizes: NDArray[np.intp], ideals: Sequence[int]
) -> float:
    """Mean NDCG@10 of queries whose rows lie one after another."""
    total, start = 0.0, 0
    for size, ideal in zip(sizes.tolist(), ideals, strict=True):
        order = np.argsort(-scores[start : start + size], kind="stable")[:TOP]
        hit = hits[start : start + size][order]
        total += float(hit @ _GAINS[: len(hit)]) / float(_IDEALS[ideal])
        start += size
    return total / max(len(ideals), 1)
