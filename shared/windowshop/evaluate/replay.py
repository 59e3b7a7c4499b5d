"""The product itself, asked as it would have been: its log, profiles, counts and slates, in a home
that is thrown away, on a clock that is moved from query to query.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from windowshop import slates
from windowshop.errors import Unavailable
from windowshop.evaluate.contest import Entry
from windowshop.evaluate.freshness import Freshness, Late
from windowshop.evaluate.metrics import DEEP, TOP, Lists
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Query, Task, Trial
from windowshop.evaluate.trace import Places
from windowshop.rank import Rankers, Towerless, Towers, Unlearned
from windowshop.records import Request

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask the same shop for the same lists.

    `blend`: weights in the place of the world's own; interests that are folded already stay as they
    were folded. `profile`, `counts`: how fresh these are; all else is live. `rows`: the queries
    that are asked, None for all.
    """

    rankers: Rankers = field(default_factory=Unlearned)
    towers: Towers = field(default_factory=Towerless)
    blend: Mapping[str, Any] | None = None
    profile: Freshness = "live"
    counts: Freshness = "live"
    rows: frozenset[int] | None = None


def replay(
    past: Past,
    trial: Trial,
    variants: Mapping[str, Variant],
    advance: Advance = lambda _: None,
    *,
    deep: Collection[str] = (),
) -> dict[str, Entry]:
    """The product's lists for a trial, under the given names once in each way; no list where one
    was not asked. `deep`: the names of those that are asked for the longer lists, too, where
    something cold was taken. Raises Unavailable where a slate is not whole.
    """
    count = len(trial.queries)
    lists: dict[str, dict[Task, Lists]] = {
        name: {task: np.full((count, TOP), -1, np.intp) for task in trial.tasks}
        for name in variants
    }
    longer: dict[str, dict[int, Places]] = {name: {} for name in variants}
    spent = dict.fromkeys(variants, 0.0)
    clerk = _Clerk(past, trial)
    for row, query in enumerate(trial.queries):
        past.advance(trial, query)
        past.fold_all()  # so that the first variant does not pay for all
        for name, variant in variants.items():
            if variant.rows is not None and row not in variant.rows:
                continue
            for task, found in lists[name].items():
                if task == "new" and not len(query.new):
                    continue
                numbers, seconds = clerk.ask(query, task, variant)
                spent[name] += seconds
                found[row, : len(numbers)] = numbers
            if name in deep and len(trial.cold_taken(query)):
                numbers, _ = clerk.ask(query, "new", variant, DEEP)
                longer[name][row] = np.array(numbers, np.intp)
        advance(1)
    return {
        name: Entry(found, {}, spent[name] * 1000 / max(_asked(found), 1), longer[name])
        for name, found in lists.items()
    }


def _asked(lists: Mapping[Task, Lists]) -> int:
    return sum(int((found[:, 0] >= 0).sum()) for found in lists.values())


def request_of(user: str, task: Task, limit: int = TOP) -> Request:
    """What a replayed user (`records.user_name`) asks for."""
    space, _, name = user.partition(":")
    return Request(
        scenario="for_you",
        user_id=name if space == "u" else None,
        anonymous_id=name if space == "a" else None,
        limit=limit,
        seen="drop" if task == "new" else "keep",
        fields=[],
    )


class _Clerk:
    """Asks the shop in one way or another, and leaves it as it was."""

    def __init__(self, past: Past, trial: Trial) -> None:
        self._past, self._trial = past, trial
        self._numbers = {name: number for number, name in enumerate(trial.trace.items)}
        self._late: Late | None = None

    def ask(
        self, query: Query, task: Task, variant: Variant, limit: int = TOP
    ) -> tuple[list[int], float]:
        """The items' numbers, and the CPU seconds that it took."""
        world = self._past.shop.world
        before = world.rankers, world.towers, world.blend
        world.rankers, world.towers = variant.rankers, variant.towers
        world.blend = world.blend if variant.blend is None else variant.blend
        try:
            if variant.profile == variant.counts == "live":
                names, seconds = self._told(query, task, limit)
            else:
                names, seconds = self._told_late(query, task, limit, variant)
        finally:
            world.rankers, world.towers, world.blend = before
        return [self._numbers[name] for name in names], seconds

    def _told_late(
        self, query: Query, task: Task, limit: int, variant: Variant
    ) -> tuple[list[str], float]:
        if self._late is None:
            self._late = Late(self._past, self._trial)
        # What is masked is masked for everybody alike, or a late profile would lose by that alone.
        barred = self._late.since(query, variant.profile) if task == "new" else ()
        held = self._late.held(query, variant.profile)
        with self._late.counting(query, variant.counts):
            return self._told(query, task, limit, held, barred)

    def _told(
        self,
        query: Query,
        task: Task,
        limit: int,
        held: slates.Held | None = None,
        barred: Sequence[str] = (),
    ) -> tuple[list[str], float]:
        world = self._past.shop.world
        request = request_of(self._trial.trace.users[query.user], task, limit)
        begin = time.process_time()
        slate = slates.recommend(world, self._past.tenant, request, barred, held)
        seconds = time.process_time() - begin
        if slate.degraded is not None:
            raise Unavailable(f"a slate was not whole: {slate.degraded.detail}")
        return [item.item_id for item in slate.items], seconds
