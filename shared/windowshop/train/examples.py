"""What a ranker learns from: for each query of the past its candidates, as they were then, and
which of them were taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.metrics import TOP
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Task, Trial
from windowshop.evaluate.replay import Advance, request_of
from windowshop.rank import EMPTY_KEYS, Floats, Keys, Scorer
from windowshop.records import item_key

KEPT = 400
"""Candidates of a query that are learned from: those that were taken, and the first by the plain
weights of those that were not."""


@dataclass(slots=True)
class Examples:
    """Queries in order of time; of each that has any hit the rows of its candidates."""

    names: tuple[str, ...] = ()
    rows: list[Floats] = field(default_factory=list)  # of each query [n, f]
    hits: list[NDArray[np.bool_]] = field(default_factory=list)  # of each query [n]
    ideals: list[int] = field(default_factory=list)  # min(TOP, taken) of each query
    queries: int = 0
    """All that were asked, also those without a hit among their candidates."""

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, begin: int, end: int) -> "Examples":
        return Examples(
            self.names,
            self.rows[begin:end],
            self.hits[begin:end],
            self.ideals[begin:end],
            round(self.queries * (end - begin) / max(len(self), 1)),
        )

    def joined(self) -> tuple[Floats, NDArray[np.bool_], NDArray[np.intp]]:
        """All rows [n, f], their hits [n], and how many rows each query has."""
        sizes = np.array([len(hits) for hits in self.hits], np.intp)
        return np.concatenate(self.rows), np.concatenate(self.hits), sizes


class Witness:
    """In the place of a ranker: keeps what it is asked to score, and puts it in any order."""

    def __init__(self) -> None:
        self.keys: Keys = EMPTY_KEYS
        self.names: tuple[str, ...] = ()
        self.rows: Floats = np.empty((0, 0), np.float32)

    def get(self, store: str, task: str) -> Scorer | None:
        return self

    def score(self, keys: Keys, names: Sequence[str], rows: Floats) -> Floats:
        self.keys, self.names, self.rows = keys, tuple(names), rows
        return -np.arange(len(keys), dtype=np.float32)


def collect(past: Past, trial: Trial, advance: Advance = lambda _: None) -> dict[Task, Examples]:
    """Ask for the queries of a trial, through the shop itself, and keep what its ranker is told."""
    trace, shop, tenant = trial.trace, past.shop, past.tenant
    keys = np.array([item_key(tenant, name) for name in trace.items], np.uint64)
    found: dict[Task, Examples] = {task: Examples() for task in trial.tasks}
    shop.world.rankers = witness = Witness()
    for query in trial.queries:
        past.advance(trial, query)
        for task, examples in found.items():
            truth = query.new if task == "new" else query.truth
            if not len(truth):
                continue
            witness.keys = EMPTY_KEYS
            shop.recommend(tenant, request_of(trace.users[query.user], task, limit=1))
            examples.queries += 1
            hits = np.isin(witness.keys, keys[truth])
            if not hits.any():
                continue
            examples.names = witness.names
            examples.rows.append(witness.rows)
            examples.hits.append(hits)
            examples.ideals.append(min(TOP, len(truth)))
        advance(1)
    return found
