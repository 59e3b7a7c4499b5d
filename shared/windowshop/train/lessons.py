"""From a shop's past to rankers, one a task, and where it pays to a tower: trained to where the
lessons begin, so that they know it as requests will, for as long as helps to find what came next;
and, while the lessons are collected, once more to where they end.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from windowshop.errors import InvalidInput
from windowshop.evaluate.evaluation import Learning
from windowshop.evaluate.homes import Bar
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Task, Trial
from windowshop.evaluate.replay import Variant
from windowshop.rank import Scorer, Towerless
from windowshop.ranker import Ranker
from windowshop.train.examples import Examples, collect
from windowshop.train.fits import Fit, fit
from windowshop.train.placing import (
    Placed,
    fit_beside,
    fit_to,
    place,
    possible,
    start_of,
    without_space,
)

Json = dict[str, Any]
Fits = Mapping[Task, Fit]
AT_ONCE = 2
"""Models that are fitted side by side: each needs some gigabytes where there is much to learn."""
UseOfTower = Literal["with", "without", "either"]
"""Whether the rankers are to know a tower; `either`: whichever makes better lists."""


class Learned:
    """Rankers that were just learned, held in memory."""

    def __init__(self, fits: Fits) -> None:
        self.fits = fits
        self._rankers = {task: Ranker(one.model, one.features) for task, one in fits.items()}

    def get(self, store: str, task: str) -> Scorer | None:
        return self._rankers.get(task)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned: rankers, and the tower that they were learned with, now trained to where
    the lessons end and serving in the replayed shop; None where none pays. `told`: how it went.
    """

    rankers: Learned
    placed: Placed | None
    told: Json

    @property
    def variant(self) -> Variant:
        return Variant(self.rankers, self.placed.towers if self.placed else Towerless())


def train(
    past: Past,
    lessons: Trial,
    later: Trial,
    seed: int,
    bar: Bar,
    tower: UseOfTower,
    epochs: int | None = None,
    **more: Any,
) -> Lesson:
    """Replay the lessons' queries and learn from what was taken. A task with too few of them has no
    ranker. `later` is who will be asked next: the tower learns up to there. `epochs`, `more`: of
    the tower. Raises InvalidInput where too little comes before the lessons for a tower.
    """
    begin = time.perf_counter()
    past.shop.world.towers, first, second = Towerless(), None, None
    known, all_known = start_of(lessons), start_of(later)
    if tower != "without":
        fit = fit_to(past, known, seed, bar, epochs, then=all_known & ~known, **more)
        first = place(past, known, fit)
        second = fit_beside(past, all_known, seed, bar, first.epochs, **more)
    told: Json = {}
    if first is not None:
        placing = round(time.perf_counter() - begin, 1)
        told["tower"] = {"used": False, "epochs": first.epochs, "seconds": placing}
    try:
        with bar("Collecting", len(lessons.queries)) as advance:
            examples = collect(past, lessons, advance)
        both = second is not None and tower == "either"
        fits, without = _fitted(examples, seed, bar, both=both)
        if both:
            told["without_tower"] = {task: _told(one) for task, one in without.items()}
        told["tasks"] = {task: _told(one) for task, one in fits.items()}
        placed = None
        if second is not None and (not both or _pays(fits, without)):
            told["tower"]["used"] = True
            placed = place(past, all_known, second.result())
        elif second is not None:
            past.shop.world.towers, fits = Towerless(), without
    finally:
        if second is not None:
            second.close()
    told["seconds"] = round(time.perf_counter() - begin, 1)
    return Lesson(Learned(fits), placed, told)


def learn(past: Past, lessons: Trial, later: Trial, seed: int, bar: Bar) -> Learning:
    """`train` for `evaluate`: with a tower where torch is there and it pays."""
    try:
        lesson = train(past, lessons, later, seed, bar, "either" if possible() else "without")
    except InvalidInput:
        lesson = train(past, lessons, later, seed, bar, "without")
    return Learning(lesson.variant, lesson.told)


def _fitted(
    examples: dict[Task, Examples], seed: int, bar: Bar, *, both: bool
) -> tuple[dict[Task, Fit], dict[Task, Fit]]:
    """Models of each task; `both`: also as they would be without a tower."""
    ways = (False, True) if both else (False,)
    jobs = [(task, some, bare) for task, some in examples.items() for bare in ways]
    examples.clear()
    fits: dict[Task, Fit] = {}
    without: dict[Task, Fit] = {}

    def fitted(job: tuple[Task, Examples, bool]) -> Fit | None:
        _, some, bare = job
        return fit(without_space(some) if bare else some, seed)

    # Each of them uses one core, outside of Python's lock.
    with bar("Learning", len(jobs)) as advance, ThreadPoolExecutor(AT_ONCE) as pool:
        for (task, _, bare), found in zip(jobs, pool.map(fitted, jobs), strict=True):
            if found is not None:
                (without if bare else fits)[task] = found
            advance(1)
    return fits, without


def _pays(fits: Fits, without: Fits) -> bool:
    """Whether the tower makes better lists on the lessons that chose the models: over all tasks."""
    both = [task for task in fits if task in without]
    gains = [_best(fits[task]) / max(_best(without[task]), 1e-9) for task in both]
    return not gains or sum(gains) > len(gains)


def _best(one: Fit) -> float:
    return one.ndcg[one.method]


def _told(one: Fit) -> Json:
    return {"method": one.method, "trees": one.trees, "validation": one.ndcg}
