"""Models of a ranker, fitted to examples: two kinds of trees and a weighted sum; validation
chooses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.metrics import TOP
from windowshop.train.examples import Examples
from windowshop.train.sums import fit_sum
from windowshop.train.trees import sum_to_onnx, to_onnx

MOST_TREES = 150
PATIENCE = 25
VALIDATED = 0.2
"""The last part of the queries, which chooses."""
FEWEST = 50
"""Queries with a hit that there is anything to learn from."""
OBJECTIVES = ("lambdarank", "binary")

_GAINS = 1 / np.log2(np.arange(TOP) + 2)
_IDEALS = np.concatenate(([1.0], np.cumsum(_GAINS)))
_COMMON: dict[str, Any] = {
    "learning_rate": 0.05,
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
    """NDCG@10 on the validating queries, by method; `plain`: of the plain weights' order."""


def fit(examples: Examples, seed: int) -> Fit | None:
    """The model that validation likes best, fitted once more to all of the examples; None where
    there are too few.
    """
    if len(examples) < FEWEST:
        return None
    cut = round(len(examples) * (1 - VALIDATED))
    taught, held = examples.part(0, cut), examples.part(cut, len(examples))
    rows, hits, sizes = held.joined()
    figures: dict[str, float] = {}
    best: tuple[float, str, int] = (-1.0, "sum", 0)
    for method in OBJECTIVES:
        booster = _grown(method, taught, held, seed)
        figures[method] = ndcg(booster.predict(rows, raw_score=True), hits, sizes, held.ideals)
        best = max(best, (figures[method], method, max(int(booster.best_iteration), 1)))
    weights = fit_sum(*taught.joined()[:2])
    figures["sum"] = ndcg(rows @ weights, hits, sizes, held.ideals)
    best = max(best, (figures["sum"], "sum", 0))
    _, method, trees = best
    return Fit(
        _refitted(method, trees, examples, seed),
        examples.names,
        method,
        trees,
        {name: round(value, 5) for name, value in figures.items()},
    )


def _refitted(method: str, trees: int, examples: Examples, seed: int) -> bytes:
    width = len(examples.names)
    if method == "sum":
        return sum_to_onnx(fit_sum(*examples.joined()[:2]))
    booster = _grown(method, examples, None, seed, trees)
    return to_onnx(booster.dump_model()["tree_info"], width)


def _grown(
    method: str, taught: Examples, held: Examples | None, seed: int, trees: int = MOST_TREES
) -> Any:
    """A booster; with `held` it stops growing when those queries gain no more."""
    import lightgbm

    metric = "ndcg" if method == "lambdarank" else "binary_logloss"
    settings = {**_COMMON, "objective": method, "metric": metric, "eval_at": [TOP], "seed": seed}
    data = _dataset(taught)
    if held is None:
        return lightgbm.train(settings, data, trees)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    other = _dataset(held, data)
    return lightgbm.train(settings, data, trees, valid_sets=[other], callbacks=[stop])


def _dataset(examples: Examples, reference: Any = None) -> Any:
    import lightgbm

    rows, hits, sizes = examples.joined()
    names = list(examples.names)
    return lightgbm.Dataset(
        rows, hits.astype(np.int32), group=sizes, feature_name=names, reference=reference
    )


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
