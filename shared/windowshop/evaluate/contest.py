"""The baselines of a replay, each with the settings that did best on validation. Pure."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import InvalidInput
from windowshop.evaluate.baselines import (
    FOR_EVER,
    Candidate,
    Method,
    frequency,
    lists_of,
    popularity,
    text_only,
)
from windowshop.evaluate.metrics import Lists, mark
from windowshop.evaluate.neighbours import item_knn, tifu_knn, user_knn
from windowshop.evaluate.protocol import Task, Trial

BASELINES = (
    "popularity",
    "personal_frequency",
    "tifu_knn",
    "item_knn",
    "user_knn",
    "text_only",
)

COUNTED = ("popularity", "personal_frequency")
"""Quick ones: their settings are chosen by all of the validation's queries."""
FEW = 500
"""Queries that the settings of the others are chosen by."""

Advance = Callable[[int], None]
Now = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One method's lists of a trial, by task; `settings` says what validation chose."""

    lists: Mapping[Task, Lists]
    settings: Mapping[Task, str]
    cpu_ms: float  # a query and list


def named(wanted: str) -> tuple[str, ...]:
    """`all`, `none` or names with commas as the names of baselines. Raises InvalidInput."""
    if wanted == "all":
        return BASELINES
    if wanted == "none":
        return ()
    names = [name.strip().replace("-", "_") for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in BASELINES:
            raise InvalidInput(
                f"--baselines: {name!r} is none; take all, none or some of {', '.join(BASELINES)}"
            )
    return tuple(dict.fromkeys(names))


def candidates(name: str, *, timed: bool, vectors: NDArray[np.float32] | None) -> list[Candidate]:
    """What validation may choose from; none where a method cannot run (no vectors)."""
    days = (0.25, 0.5, 1.0, 2.0, 7.0, 21.0, 60.0) if timed else ()
    if name == "popularity":
        return [Candidate(_half_life(d), popularity(d)) for d in (*days, FOR_EVER)]
    if name == "personal_frequency":
        long = (14.0, 30.0, 60.0, 90.0, 180.0) if timed else ()
        return [Candidate(_half_life(d), frequency(d)) for d in (*long, FOR_EVER)]
    if name == "tifu_knn":
        return [
            Candidate(
                f"k {k}, own share {share:g}, decays {within:g} and {across:g}, {groups} groups",
                tifu_knn(k, share, within, across, groups),
            )
            for k, share, within, across, groups in _TIFU
        ]
    if name == "item_knn":
        return [Candidate(f"shrink {s:g}", item_knn(s)) for s in (0.0, 10.0, 50.0)]
    if name == "user_knn":
        return [Candidate("k 200", user_knn())]
    if vectors is None:
        return []
    return [
        Candidate(f"half-life {steps:g} steps", text_only(vectors, steps))
        for steps in (0.5, 2.0, 10.0, FOR_EVER)
    ]


# (neighbours, share, within, across, groups): the paper's for Ta-Feng and Dunnhumby, and what did
# best on the validation of completejourney.
_TIFU = (
    (300, 0.7, 0.9, 0.7, 7),
    (900, 0.2, 0.9, 0.6, 3),
    (300, 0.3, 0.9, 0.7, 7),
    (100, 0.3, 0.9, 0.8, 7),
)


def _half_life(days: float) -> str:
    return "no decay" if days == FOR_EVER else f"half-life {days:g} days"


def compete(
    names: Collection[str],
    test: Trial,
    validation: Trial | None,
    vectors: NDArray[np.float32] | None,
    cpu: Now = time.process_time,
    advance: Advance = lambda _: None,
) -> dict[str, Entry]:
    """The baselines' lists for the test, each with the settings that validation liked best (the
    first, without a validation). `advance` is told of each step of `steps`.
    """
    timed = test.trace.timed
    popular = candidates("popularity", timed=timed, vectors=None)
    fill = popular[-1].method
    if validation is not None:
        fill = _choose(popular, validation, fill, "new").method
    entries: dict[str, Entry] = {}
    for name in names:
        some = candidates(name, timed=timed, vectors=vectors)
        judge = validation if name in COUNTED or validation is None else _thinned(validation)
        if some:
            entries[name] = _entry(some, test, judge, fill, cpu)
        advance(1)
    return entries


def _thinned(trial: Trial) -> Trial:
    """The same with about FEW of its queries, from all of its time."""
    return replace(trial, queries=trial.queries[:: max(len(trial.queries) // FEW, 1)])


def _entry(
    some: Sequence[Candidate], test: Trial, validation: Trial | None, fill: Method, cpu: Now
) -> Entry:
    chosen = dict.fromkeys(test.tasks, some[0])
    if validation is not None and len(some) > 1:
        scored = [(one, _quality(one, validation, fill)) for one in some]
        chosen = {task: max(scored, key=lambda s: s[1][task])[0] for task in test.tasks}
    begin = cpu()
    made = {
        one.about: lists_of(test, one.method, fill)
        for one in {c.about: c for c in chosen.values()}.values()
    }
    spent = (cpu() - begin) * 1000 / (len(test.queries) * len(test.tasks) * len(made))
    return Entry(
        {task: made[one.about][task] for task, one in chosen.items()},
        {task: one.about for task, one in chosen.items()},
        spent,
    )


def _choose(some: Sequence[Candidate], validation: Trial, fill: Method, task: Task) -> Candidate:
    return max(some, key=lambda one: _quality(one, validation, fill)[task])


def _quality(one: Candidate, validation: Trial, fill: Method) -> dict[Task, float]:
    """Mean NDCG by task."""
    found: dict[Task, float] = {}
    for task, lists in lists_of(validation, one.method, fill).items():
        rows, truths = asked(validation, task)
        found[task] = float(mark(lists[rows], truths).ndcg.mean()) if len(rows) else 0.0
    return found


def asked(trial: Trial, task: Task) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
    """The queries that count for a task, and what was taken."""
    truths = [query.new if task == "new" else query.truth for query in trial.queries]
    rows = np.array([row for row, truth in enumerate(truths) if len(truth)], np.intp)
    return rows, [truths[row] for row in rows.tolist()]
