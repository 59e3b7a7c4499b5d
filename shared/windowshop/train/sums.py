"""A plain weighted sum of features, by the logistic loss: for shops with a short past."""

import numpy as np
from numpy.typing import NDArray

from windowshop.rank import Floats

RIDGE = 10.0
STEPS = 12
MOST = 200_000
"""Rows that are enough for one weight a feature."""


def fit_sum(rows: Floats, hits: NDArray[np.bool_]) -> Floats:
    """Weights [f] whose sum tells hits from the rest, by Newton's method; columns that never
    change weigh 0.
    """
    every = max(len(rows) // MOST, 1)
    some = rows[::every].astype(np.float64)
    mean, spread = some.mean(axis=0), some.std(axis=0)
    spread[spread < 1e-9] = np.inf
    x = np.concatenate(((some - mean) / spread, np.ones((len(some), 1))), axis=1)
    y = hits[::every].astype(np.float64)
    weights = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], RIDGE)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (chance - y) + penalty * weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    found: Floats = (weights[:-1] / spread).astype(np.float32)
    return found
