"""The sources of the shop itself, asked about the past: each with every half-life and size that a
search may choose from.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from windowshop import crowd, retrieve, slates
from windowshop import profile as profiles
from windowshop.ask import Ask
from windowshop.blend import COUNTED, Blend, span_of
from windowshop.errors import Unavailable
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Query, Task, Trial
from windowshop.evaluate.replay import Advance, request_of
from windowshop.evaluate.trace import Trace
from windowshop.rank import Floats, Keys, Source
from windowshop.records import item_key
from windowshop.train.tuning.sheets import SCENARIO, Column, Proposals, Said, Sheet, Sheets
from windowshop.world import World

VARIED = ("habit", "popular", "like_minded")
"""Signals whose sources have half-lives and sizes; of the others there is one form."""
TRIED = ("trend",)
"""Signals that are tried beside those that have a weight."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What half-lives (days) and sizes may be chosen."""

    habit: Sequence[float]
    popular: Sequence[float]
    popular_items: Sequence[int]
    like_minded: Sequence[float]
    neighbours: Sequence[int]

    def columns(self, signal: str) -> list[Column]:
        """All forms of one varied source."""
        if signal == "habit":
            return [Column(signal, days) for days in self.habit]
        some: tuple[Sequence[float], Sequence[int]] = (self.popular, self.popular_items)
        if signal == "like_minded":
            some = self.like_minded, self.neighbours
        return [Column(signal, days, size) for days in some[0] for size in some[1]]


def grid_of(present: Blend, default: Blend, *, timed: bool) -> Grid:
    """What is tried beside the present numbers and the defaults; without times half-lives say
    nothing.
    """

    def days(name: str, *others: float) -> list[float]:
        return sorted({float(present[name]), float(default[name]), *(others if timed else ())})

    def sizes(name: str, *others: int) -> list[int]:
        return sorted({int(present[name]), int(default[name]), *others})

    return Grid(
        days("habit_half_life", 30.0, 60.0, 90.0, 180.0),
        days("popular_half_life", *COUNTED),
        sizes("popular_items", 50, 100, 300),
        days("like_minded_half_life", 1.0, 2.0, 4.0, 8.0, 24.0),
        sizes("neighbours", 100, 200, 400),
    )


def capture(past: Past, trial: Trial, grid: Grid, advance: Advance = lambda _: None) -> Sheets:
    """Ask for the queries of a trial, and write down what every source says. Raises Unavailable."""
    book = _Book(past, trial.trace, grid)
    said: dict[tuple[Task, str], list[Said]] = {}
    for query in trial.queries:
        past.advance(trial, query)
        found: dict[Column, Source] = {}
        for task in trial.tasks:
            if len(query.new if task == "new" else query.truth):
                one = book.said(query, task, found)
                said.setdefault((task, span_of(one.events)), []).append(one)
        advance(1)
    return {key: Sheet(some) for key, some in said.items()}


class _Book:
    def __init__(self, past: Past, trace: Trace, grid: Grid) -> None:
        self._past, self._trace, self._grid = past, trace, grid
        keys = np.array([item_key(past.tenant, name) for name in trace.items], np.uint64)
        self._number = np.argsort(keys)
        self._keys = keys[self._number]

    def said(self, query: Query, task: Task, found: dict[Column, Source]) -> Said:
        """What all sources say; `found` holds those that say the same whatever the task."""
        world, tenant = self._past.shop.world, self._past.shop.world.tenant(self._past.tenant)
        request = request_of(self._trace.users[query.user], task)
        ask, degraded = slates.ask_of(world, tenant, request, world.now(tenant), {})
        if degraded is not None:
            raise Unavailable(f"a request was not whole: {degraded.detail}")
        if not found:
            found |= self._varied(ask)
        seen = profiles.seen(ask.profile) if task == "new" else np.empty(0, np.uint64)
        columns = {column: [source] for column, source in found.items()}
        for source in _others(ask):
            columns.setdefault(Column(source.signal), []).append(source)
        truth = query.new if task == "new" else query.truth
        told = {column: self._proposals(some, seen) for column, some in columns.items()}
        return Said(query.user, query.time, len(ask.profile.events), truth, told)

    def _varied(self, ask: Ask) -> dict[Column, Source]:
        """The sources that depend on half-lives and sizes, in all their forms."""
        grid, world, found = self._grid, ask.world, {}
        for column in grid.columns("habit"):
            with _blended(world, habit_half_life=column.half_life):
                found[column] = retrieve.habit(ask)
        most = {"popular_items": max(grid.popular_items), "neighbours": max(grid.neighbours)}
        for column in grid.columns("popular"):
            with _blended(world, **(most | {"popular_half_life": column.half_life})):
                source = retrieve.popular(ask)
            size = max(column.size, ask.request.limit * 3)
            found[column] = Source("popular", source.keys[:size], source.scores[:size])
        if not len(ask.profile.events):
            return found
        with _blended(world, **most):
            mine, alike, tails = retrieve.neighbourhood(ask)
        for column in grid.columns("like_minded"):
            some = alike[: column.size], tails[: column.size]
            taken = crowd.taken(mine, *some, ask.now, column.half_life)
            found[column] = Source("like_minded", *crowd.proposals(taken))
        return found

    def _proposals(self, sources: Sequence[Source], seen: Keys) -> Proposals:
        """One signal's sources as one, in numbers of items that exist and may be shown."""
        keys, where = np.unique(np.concatenate([s.keys for s in sources]), return_inverse=True)
        scores: Floats = np.zeros(len(keys), np.float32)
        np.maximum.at(scores, where, np.concatenate([s.scores for s in sources]))
        top = float(scores.max(initial=0))
        at = np.minimum(np.searchsorted(self._keys, keys), max(len(self._keys) - 1, 0))
        numbers = self._number[at]
        shown = (self._keys[at] == keys) & self._trace.listed[numbers] & ~np.isin(keys, seen)
        order = np.argsort(numbers[shown])
        return Proposals(numbers[shown][order], scores[shown][order], top)


def _others(ask: Ask) -> list[Source]:
    """The sources that have one form, as the shop asks for them when all of them count."""
    table = {**ask.world.blend[SCENARIO], **dict.fromkeys(TRIED, 1.0)}
    wanted = {name: 1.0 for name in table if name not in VARIED}
    with _blended(ask.world, **{SCENARIO: wanted}):
        retrieve.set_intent(ask)
        return [source for source in retrieve.retrieve(ask) if len(source.keys)]


@contextmanager
def _blended(world: World, **numbers: Any) -> Iterator[None]:
    """While these stand in the place of the world's own."""
    own = world.blend
    changed: Mapping[str, Any] = {**own, **numbers}
    world.blend = changed
    try:
        yield
    finally:
        world.blend = own
