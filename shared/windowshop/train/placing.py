"""A learned space for a shop whose past is being replayed: from what may be known, and no more."""

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.homes import Bar
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Trial
from windowshop.features import NEVER, SIGNALS
from windowshop.learned import ITEMS, MODEL
from windowshop.rank import Space
from windowshop.records import item_key
from windowshop.tower import Tower
from windowshop.towers import placer
from windowshop.train.examples import Examples
from windowshop.train.tower import TowerFit, fit_tower

SIGNAL = "learned"
Known = NDArray[np.bool_]
MINUTES = 12.0
"""A limit for one tower, so that a large shop has all that it learns within the hour."""


class Held:
    """A tower that was just learned, in memory."""

    def __init__(self, tower: Tower) -> None:
        self.tower = tower

    def get(self, store: str, version: str) -> Space | None:
        return self.tower if version == self.tower.version else None


@dataclass(frozen=True, slots=True)
class Placed:
    """What was learned, and the seconds that it took."""

    fit: TowerFit
    towers: Held
    seconds: float

    @property
    def epochs(self) -> int:
        return int(self.fit.card["epochs"])


def possible() -> bool:
    """Whether torch is there."""
    return find_spec("torch") is not None


def start_of(trial: Trial) -> Known:
    """Which events [events] are known to all of a trial's queries."""
    if not trial.live:
        return trial.known
    return trial.trace.time < trial.queries[0].time


def fit_to(
    past: Past, known: Known, seed: int, bar: Bar, epochs: int | None = None, **more: Any
) -> TowerFit:
    """Learn a tower from the `known` events. Raises InvalidInput where that is too little."""
    names = past.trace.items
    keys = np.array([item_key(past.tenant, name) for name in names], np.uint64)
    more = {"minutes": MINUTES, **more}
    vectors = past.text_vectors()
    return fit_tower(past.trace, known, keys, vectors, seed=seed, bar=bar, epochs=epochs, **more)


def place(
    past: Past, known: Known, seed: int, bar: Bar, epochs: int | None = None, **more: Any
) -> Placed:
    """Learn a tower and have it serve in the shop that is replayed; else as `fit_to`."""
    begin = time.perf_counter()
    fit = fit_to(past, known, seed, bar, epochs, **more)
    files = {MODEL: fit.onnx, ITEMS: fit.items}
    tower = Tower(files.__getitem__, f"replayed-{int(known.sum())}")
    world = past.shop.world
    world.store.learn(past.tenant, tower.version, placer(tower))
    world.towers = held = Held(tower)
    return Placed(fit, held, time.perf_counter() - begin)


def without_space(some: Examples) -> Examples:
    """The same examples as they would be without a learned space: its features are gone, and the
    candidates that no other source proposed. A query may be left with no hit, and still counts.
    """
    names = [name for name in some.names if not name.startswith(f"{SIGNAL}_")]
    kept = [some.names.index(name) for name in names]
    ranks = [some.names.index(f"{one}_rank") for one in SIGNALS if one != SIGNAL]
    others = [(rows[:, ranks] < NEVER).any(axis=1) for rows in some.rows]
    return replace(
        some,
        names=tuple(names),
        rows=[rows[mask][:, kept] for rows, mask in zip(some.rows, others, strict=True)],
        hits=[hits[mask] for hits, mask in zip(some.hits, others, strict=True)],
    )
