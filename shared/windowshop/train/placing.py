"""A learned space for a shop whose past is being replayed: from what may be known, and no more."""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.homes import Bar
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Trial
from windowshop.evaluate.trace import Trace
from windowshop.features import NEVER, SIGNALS
from windowshop.learned import ITEMS, MODEL
from windowshop.rank import Floats, Keys, Space
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
    """What was learned, and serves."""

    fit: TowerFit
    towers: Held

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
    """Learn a tower from the `known` events; `more` as for `fit_tower`. Raises InvalidInput where
    that is too little.
    """
    return fit_tower(*_told(past, known), seed=seed, bar=bar, epochs=epochs, **_with_limit(more))


def fit_beside(
    past: Past, known: Known, seed: int, epochs: int, **more: Any
) -> Callable[[], TowerFit]:
    """As `fit_to`, in a process of its own, on one core. What comes back waits for it."""
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    made: Future[TowerFit] = pool.submit(
        _fit_alone, *_told(past, known), seed=seed, epochs=epochs, **_with_limit(more)
    )
    pool.shutdown(wait=False)
    return made.result


def _fit_alone(*told: Any, **options: Any) -> TowerFit:
    import torch

    torch.set_num_threads(1)
    return fit_tower(*told, bar=_Silent(), **options)


class _Silent:
    """A bar that nobody sees."""

    def __call__(self, label: str, total: int | None = None) -> nullcontext[Callable[[int], None]]:
        return nullcontext(lambda _: None)


def _with_limit(more: dict[str, Any]) -> dict[str, Any]:
    return {"minutes": MINUTES, **more}


def _told(past: Past, known: Known) -> tuple[Trace, Known, Keys, Floats]:
    """What a tower is learned from."""
    trace = replace(past.trace, searches={})
    keys = np.array([item_key(past.tenant, name) for name in trace.items], np.uint64)
    return trace, known, keys, past.text_vectors()


def place(past: Past, known: Known, fit: TowerFit) -> Placed:
    """Have a tower that was learned from the `known` events serve in the shop that is replayed."""
    files = {MODEL: fit.onnx, ITEMS: fit.items}
    tower = Tower(files.__getitem__, f"replayed-{int(known.sum())}")
    world = past.shop.world
    world.store.learn(past.tenant, tower.version, placer(tower))
    world.towers = held = Held(tower)
    return Placed(fit, held)


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
