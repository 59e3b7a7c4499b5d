"""The search for a blend, on what was captured: tree-structured Parzen estimators (Bergstra et al.
2011) by optuna, first of half-lives, sizes and the weights of all, then of the weights of shoppers
with a shorter or longer history.

What is sought is the greatest mean, over the tasks, of NDCG@10 as a share of what is reached now:
one percent more of a small figure is worth as much as one percent more of a great one. From it is
taken PULL for every squared doubling by which a number lies from the default, since some hundreds
of queries say little.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.blend import SPANS, Blend
from windowshop.evaluate.metrics import gain
from windowshop.evaluate.protocol import Task
from windowshop.train.tuning.capture import Grid
from windowshop.train.tuning.sheets import SCENARIO, Sheets

PULL = 0.0005
FAINT = 0.02
"""Is added to weights before their distance is measured: below it they all do next to nothing."""
SLIGHT = 0.002
"""What differs from the default for a lesser gain is set back."""
LEAST, GREATEST = 0.005, 4.0
"""Of a weight. None becomes 0: a slight one still serves who has nothing else."""
DIGITS = 2
ENOUGH = 150
"""Queries of a span from which on it gets weights of its own."""
SPANNED = 0.4
"""Share of the trials that the spans together get."""

STARTUP = 30
"""Trials at random, before the sampler knows anything."""
UPHILL = 0.4
"""Share of the trials that start from the best found."""
FACTORS = (2.0, 1.3)

Point = dict[str, Any]
"""Of each number the place among its choices, of each signal the weight."""
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """The best blend, and the mean NDCG@10 of each task with it, on what it was chosen by."""

    blend: Blend
    ndcg: Mapping[Task, float]
    trials: int


@dataclass(frozen=True)
class Aim:
    """What a blend is judged by: some of the sheets, and by task what all of them sum up to now.
    Blends are pulled to the defaults.
    """

    sheets: Sheets
    now: Mapping[Task, float]
    default: Blend

    def gain(self, blend: Blend) -> float:
        sums = totals(self.sheets, blend)
        return sum(total / self.now[task] for task, total in sums.items()) / len(self.now)

    def value(self, blend: Blend) -> float:
        return self.gain(blend) - PULL * distance(blend, self.default)

    def surely(self, blend: Blend, other: Blend, seed: int) -> bool:
        """Whether a blend is better by the whole 95% interval: what was chosen by these very
        queries has to be that.
        """
        ours, theirs = (
            np.concatenate([s.ndcg(one) / self.now[task] for (task, _), s in self.sheets.items()])
            for one in (blend, other)
        )
        users = np.concatenate([sheet.users for sheet in self.sheets.values()])
        return gain(ours, theirs, users, seed).low > 1


def totals(sheets: Sheets, *blends: Blend) -> dict[Task, float]:
    """By task the sum of NDCG@10 with the best of the blends."""
    found: dict[Task, float] = {}
    for task in {task for task, _ in sheets}:
        some = [sheet for (of, _), sheet in sheets.items() if of == task]
        sums = (sum(float(sheet.ndcg(blend).sum()) for sheet in some) for blend in blends)
        found[task] = max(sums)
    return found


def distance(blend: Blend, default: Blend) -> float:
    """Squared doublings between two blends, over everything that is searched."""
    pairs = [(blend[name], default[name]) for name in NUMBERS]
    for span in (None, *SPANS):
        ours, theirs = blend[SCENARIO], default[SCENARIO]
        if span is not None:
            if span not in ours:
                continue
            ours, theirs = ours[span], ours
        names = [name for name in {**ours, **theirs} if name not in SPANS]
        pairs += [(ours.get(name, 0) + FAINT, theirs.get(name, 0) + FAINT) for name in names]
    ratios = np.log2([one / other for one, other in pairs])
    return float((ratios**2).sum())


NUMBERS = (
    "habit_half_life",
    "popular_half_life",
    "popular_items",
    "like_minded_half_life",
    "neighbours",
)


def choices(grid: Grid) -> dict[str, Sequence[float]]:
    """What each of NUMBERS may be."""
    some = grid.habit, grid.popular, grid.popular_items, grid.like_minded, grid.neighbours
    return dict(zip(NUMBERS, some, strict=True))


def search(
    sheets: Sheets,
    grid: Grid,
    present: Blend,
    default: Blend,
    trials: int,
    seed: int,
    advance: Advance = lambda _: None,
) -> Found:
    """The best of so many blends, the present one among them."""
    numbers = choices(grid)
    now = {task: total or 1.0 for task, total in totals(sheets, present, default).items()}
    aim = Aim(sheets, now, default)
    there = sorted({name for sheet in sheets.values() for name in sheet.signals})
    # Only ratios matter: the weight of the signal that does best alone is the measure of all.
    held = max(there, key=lambda name: aim.gain({**present, SCENARIO: {name: 1.0}}), default="")
    signals = [name for name in there if name != held]
    sizes = {span: sum(len(s) for (_, of), s in sheets.items() if of == span) for span in SPANS}
    spans = [span for span, size in sizes.items() if size >= ENOUGH]
    spans = spans if len(spans) > 1 else []  # one span's weights are those of all
    each = int(trials * SPANNED / len(spans)) if spans else 0
    space = Space(numbers, signals)
    blend = _best(aim, space, present, trials - each * len(spans), seed, advance)
    blend = simplified(aim, space, blend, default)
    for span in spans:
        own = Aim({key: one for key, one in sheets.items() if key[1] == span}, now, default)
        space = Space({}, signals, span)
        best = simplified(own, space, _best(own, space, blend, each, seed, advance), blend)
        blend = best if own.surely(best, blend, seed) else blend
    counts: Counter[Task] = Counter()
    for (task, _), sheet in sheets.items():
        counts[task] += len(sheet)
    ndcg = {task: total / counts[task] for task, total in totals(sheets, blend).items()}
    return Found(blend, ndcg, trials)


class Space:
    """What is searched: numbers by name, and the weights of all or of one span."""

    def __init__(
        self,
        numbers: Mapping[str, Sequence[float]],
        signals: Sequence[str],
        span: str | None = None,
    ) -> None:
        self.numbers = {name: some for name, some in numbers.items() if len(some) > 1}
        self.signals, self.span = signals, span

    def start(self, blend: Blend) -> Point:
        """The point of a blend, or the nearest to it."""
        weights = self.weights(blend)
        return {
            **{name: _nearest(some, blend[name]) for name, some in self.numbers.items()},
            **{name: min(max(weights.get(name, 0), LEAST), GREATEST) for name in self.signals},
        }

    def weights(self, blend: Blend) -> Mapping[str, float]:
        table: Mapping[str, Any] = blend[SCENARIO]
        some: Mapping[str, Any] = table if self.span is None else table.get(self.span, table)
        return {name: weight for name, weight in some.items() if name not in SPANS}

    def blend(self, start: Blend, point: Point) -> Blend:
        """`start` with what stands at a point of the space."""
        weights = {**self.weights(start), **{name: _round(point[name]) for name in self.signals}}
        numbers = {name: some[point[name]] for name, some in self.numbers.items()}
        return {**start, **numbers, SCENARIO: self._table(start, weights)}

    def around(self, point: Point, factor: float) -> Iterator[Point]:
        """The points next to one."""
        for name, some in self.numbers.items():
            for other in (point[name] - 1, point[name] + 1):
                if 0 <= other < len(some):
                    yield {**point, name: other}
        for name in self.signals:
            for weight in (point[name] * factor, point[name] / factor):
                yield {**point, name: min(max(weight, LEAST), GREATEST)}

    def reset(self, blend: Blend, base: Blend, name: str) -> Blend:
        """`blend` with one number or weight as `base` has it."""
        if name in self.numbers:
            return {**blend, name: base[name]}
        weights = {**self.weights(blend), name: self.weights(base).get(name, 0.0)}
        return {**blend, SCENARIO: self._table(blend, weights)}

    def _table(self, blend: Blend, weights: Mapping[str, float]) -> Mapping[str, Any]:
        table = blend[SCENARIO]
        if self.span is not None:
            return {**table, self.span: weights}
        return {**weights, **{name: one for name, one in table.items() if name in SPANS}}


def _best(aim: Aim, space: Space, start: Blend, trials: int, seed: int, advance: Advance) -> Blend:
    """Sampled where it looks good, then led uphill from the best, one number at a time."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(space.start(start))

    def value(point: Point) -> float:
        advance(1)
        return aim.value(space.blend(start, point))

    def asked(trial: optuna.Trial) -> float:
        point: Point = {
            name: trial.suggest_int(name, 0, len(some) - 1) for name, some in space.numbers.items()
        }
        for name in space.signals:
            point[name] = trial.suggest_float(name, LEAST, GREATEST, log=True)
        return value(point)

    study.optimize(asked, n_trials=max(trials - int(trials * UPHILL), 1))
    point = uphill(space, value, study.best_params, study.best_value, int(trials * UPHILL))
    best = space.blend(start, point)
    return best if aim.value(best) > aim.value(start) else start


def uphill(
    space: Space, value: Callable[[Point], float], point: Point, best: float, steps: int
) -> Point:
    """From a point to a better one in at most so many steps: pattern search (Hooke & Jeeves 1961),
    each weight times or over FACTORS, each number to its neighbours.
    """
    for factor in FACTORS:
        better = True
        while better and steps > 0:
            better = False
            for tried in space.around(point, factor):
                if steps <= 0:
                    break
                steps -= 1
                if (found := value(tried)) > best:
                    point, best, better = tried, found, True
                    break
    return point


def simplified(aim: Aim, space: Space, blend: Blend, base: Blend) -> Blend:
    """The blend with everything as in `base` that gains next to nothing: what is left is worth
    reading.
    """
    value = aim.value(blend)
    for name in (*space.numbers, *space.signals):
        tried = space.reset(blend, base, name)
        if tried != blend and (other := aim.value(tried)) > value - SLIGHT:
            blend, value = tried, max(value, other)
    return blend


def _nearest(some: Sequence[float], value: float) -> int:
    distances: NDArray[np.float64] = np.abs(np.log(np.array(some) / value))
    return int(distances.argmin())


def _round(weight: float) -> float:
    return float(f"{weight:.{DIGITS}g}")
