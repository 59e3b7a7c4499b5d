"""A learned space for a shop whose past is being replayed: from what may be known, and no more."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
Told = tuple[Trace, Known, Keys, Floats]
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


class Beside:
    """A tower that is learned in a process of its own, on one core, while others work here."""

    def __init__(self, again: Callable[[], TowerFit], told: Told, options: dict[str, Any]) -> None:
        """`again` learns the same here, where the process came to nothing."""
        context = get_context("spawn")
        self._again = again
        self._made, there = context.Pipe(duplex=False)
        work = (there, os.getpid(), told, options)
        self._process = context.Process(target=_fit_alone, args=work, daemon=True)
        self._process.start()
        there.close()

    def result(self) -> TowerFit:
        """Wait for it. Raises what learning raises."""
        try:
            made: TowerFit = self._made.recv()
        except EOFError:  # it failed, or it was killed, for want of memory perhaps
            return self._again()
        return made

    def close(self) -> None:
        """It is no longer wanted."""
        self._process.terminate()
        self._process.join()
        self._made.close()


def fit_beside(past: Past, known: Known, seed: int, bar: Bar, epochs: int, **more: Any) -> Beside:
    """As `fit_to`, meanwhile."""

    def again() -> TowerFit:
        return fit_to(past, known, seed, bar, epochs, **more)

    options = {"seed": seed, "epochs": epochs, **_with_limit(more)}
    return Beside(again, _told(past, known), options)


def _fit_alone(out: Connection, parent: int, told: Told, options: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(1)
    out.send(fit_tower(*told, bar=_Orphanable(parent), **options))


class _Orphanable:
    """A bar that nobody sees; where the parent is gone, nobody waits for what is made either."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def __call__(self, label: str, total: int | None = None) -> nullcontext[Callable[[int], None]]:
        return nullcontext(self._advance)

    def _advance(self, count: int) -> None:
        if os.getppid() != self._parent:
            raise SystemExit


def _with_limit(more: dict[str, Any]) -> dict[str, Any]:
    return {"minutes": MINUTES, **more}


def _told(past: Past, known: Known) -> Told:
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
