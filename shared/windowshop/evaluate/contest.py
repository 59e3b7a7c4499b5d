"""The baselines of a replay, each with the settings that did best on validation. Pure."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import InvalidInput, Misconfigured
from windowshop.evaluate.baselines import (
    FOR_EVER,
    Candidate,
    Method,
    frequency,
    popularity,
    shown,
    text_only,
)
from windowshop.evaluate.factors import MOST_ITEMS, ease, ials, items_of, missing
from windowshop.evaluate.metrics import Lists, mark
from windowshop.evaluate.neighbours import item_knn, tifu_knn, user_knn
from windowshop.evaluate.protocol import Task, Trial
from windowshop.evaluate.sessions import session_knn
from windowshop.evaluate.trace import Places

BASELINES = (
    "popularity",
    "personal_frequency",
    "tifu_knn",
    "item_knn",
    "ials",
    "ease",
    "user_knn",
    "session_knn",
    "text_only",
)
NEEDED = {"ials": "implicit", "ease": "scipy"}
"""Packages that only some of them need."""

COUNTED = ("popularity", "personal_frequency")
"""Quick ones: their settings are chosen by all of the validation's queries."""
FEW = 500
"""Queries that the settings of the others are chosen by."""

Advance = Callable[[int], None]
Now = Callable[[], float]
Chosen = Mapping[Task, Candidate]


@dataclass(frozen=True, slots=True)
class Entry:
    """One method's lists of a trial, by task; `settings` says what validation chose; `deep`: as in
    `baselines.Shown`.
    """

    lists: Mapping[Task, Lists]
    settings: Mapping[Task, str]
    cpu_ms: float  # a query and list
    deep: Mapping[int, Places] = field(default_factory=dict)


class Contest(NamedTuple):
    """The baselines that could run, and why the others could not."""

    entries: dict[str, Entry]
    left_out: dict[str, str]


def named(wanted: str) -> tuple[str, ...]:
    """`all`, `none` or names with commas as the names of baselines. Raises InvalidInput,
    and Misconfigured where one that is named needs what is not installed.
    """
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
    for name in names:
        if name in NEEDED and (why := missing(NEEDED[name])):
            raise Misconfigured(f"--baselines: {name} cannot run here: {why}")
    return tuple(dict.fromkeys(names))


def reason_against(name: str, trial: Trial, vectors: NDArray[np.float32] | None) -> str | None:
    """Why a baseline cannot run on a trial; None where it can."""
    if name == "text_only" and vectors is None:
        return "the items have no text vectors"
    if name not in NEEDED:
        return None
    if why := missing(NEEDED[name]):
        return why
    count = len(items_of(trial))
    if not count:
        return "nothing was known to learn from"
    if name == "ease" and count > MOST_ITEMS:
        return f"{count:,} items were taken before; it inverts a matrix of at most {MOST_ITEMS:,}"
    return None


def candidates(
    name: str, *, timed: bool, vectors: NDArray[np.float32] | None, seed: int = 1
) -> list[Candidate]:
    """What validation may choose from. `seed`: of what begins at random."""
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
    if name == "session_knn":
        return [
            Candidate(f"k {k}, {'fading' if fading else 'all alike'}", session_knn(k, fading))
            for k, fading in ((100, True), (500, True), (100, False))
        ]
    if name == "ease":
        return [Candidate(f"penalty {penalty:g}", ease(penalty)) for penalty in (30.0, 200.0, 1e3)]
    if name == "ials":
        return [
            Candidate(
                f"{factors} factors, confidence {confidence:g}, penalty {penalty:g}",
                ials(factors, confidence, penalty, ROUNDS, seed),
            )
            for factors, confidence, penalty in _IALS
        ]
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

# (factors, confidence, penalty): what did best on the validations of completejourney, where people
# repeat, and of Beauty, where what was taken once must count for much.
_IALS = ((128, 1.0, 30.0), (128, 1.0, 100.0), (256, 1.0, 30.0), (256, 100.0, 100.0))
ROUNDS = 10
"""Of iALS; on both shops twice as many gain nothing."""


def _half_life(days: float) -> str:
    return "no decay" if days == FOR_EVER else f"half-life {days:g} days"


def compete(
    names: Collection[str],
    test: Trial,
    validation: Trial | None,
    vectors: NDArray[np.float32] | None,
    *,
    seed: int = 1,
    cpu: Now = time.process_time,
    advance: Advance = lambda _: None,
) -> Contest:
    """The baselines' lists for the test, each with the settings that validation liked best (the
    first, without a validation). `advance` is told of each name.
    """
    timed = test.trace.timed
    popular = candidates("popularity", timed=timed, vectors=None)
    fill = popular[-1].method
    known: dict[str, Chosen] = {}
    if validation is not None:
        known["popularity"] = _chosen(popular, validation, fill)
        fill = known["popularity"]["new"].method
    found = Contest({}, {})
    for name in names:
        reason = reason_against(name, test, vectors)
        if reason is None:
            if name not in known:
                some = candidates(name, timed=timed, vectors=vectors, seed=seed)
                known[name] = dict.fromkeys(test.tasks, some[0])
                if validation is not None and len(some) > 1:
                    judge = validation if name in COUNTED else _thinned(validation)
                    known[name] = _chosen(some, judge, fill)
            found.entries[name] = _entry(known[name], test, fill, cpu)
        else:
            found.left_out[name] = reason
        advance(1)
    return found


def _thinned(trial: Trial) -> Trial:
    """The same with about FEW of its queries, from all of its time."""
    return replace(trial, queries=trial.queries[:: max(len(trial.queries) // FEW, 1)])


def _chosen(some: Sequence[Candidate], validation: Trial, fill: Method) -> Chosen:
    """What did best by task; of equal ones the first."""
    scored = [(one, _quality(one, validation, fill)) for one in some]
    return {task: max(scored, key=lambda s: s[1][task])[0] for task in validation.tasks}


def _entry(chosen: Chosen, test: Trial, fill: Method, cpu: Now) -> Entry:
    made, spent = {}, 0.0
    for one in {c.about: c for c in chosen.values()}.values():
        scores, others = one.method(test), fill(test)  # what is learned is no part of a query
        begin = cpu()
        made[one.about] = shown(test, scores, others, deep=True)
        spent += cpu() - begin
    return Entry(
        {task: made[one.about].lists[task] for task, one in chosen.items()},
        {task: one.about for task, one in chosen.items()},
        spent * 1000 / (len(test.queries) * len(test.tasks) * len(made)),
        made[chosen["new"].about].deep,
    )


def _quality(one: Candidate, validation: Trial, fill: Method) -> dict[Task, float]:
    """Mean NDCG by task."""
    found: dict[Task, float] = {}
    for task, lists in shown(validation, one.method(validation), fill(validation)).lists.items():
        rows, truths = asked(validation, task)
        found[task] = float(mark(lists[rows], truths).ndcg.mean()) if len(rows) else 0.0
    return found


def asked(trial: Trial, task: Task) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
    """The queries that count for a task, and what was taken."""
    truths = [query.new if task == "new" else query.truth for query in trial.queries]
    rows = np.array([row for row, truth in enumerate(truths) if len(truth)], np.intp)
    return rows, [truths[row] for row in rows.tolist()]
