"""What each signal is worth, and what freshness is: the product asked the same again with one
signal left out, or with one thing known too late. Pure but for the variants it names.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from windowshop.blend import SPANS
from windowshop.evaluate.contest import Entry, asked
from windowshop.evaluate.freshness import Freshness
from windowshop.evaluate.metrics import gain, mark
from windowshop.evaluate.protocol import Task, Trial
from windowshop.evaluate.replay import Variant
from windowshop.rank import Towerless

Json = dict[str, Any]

STUDIED = 2_000
"""Queries that are asked again, at most: each variant costs as much as the product itself."""
SCENARIO, LEARNED = "for_you", "learned"
LATE: tuple[Freshness, ...] = ("daily", "frozen")
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Study:
    """The variants of one product, by name, and the rows of the queries that they are asked."""

    product: str
    rows: frozenset[int]
    without: Mapping[str, Variant]
    late: Mapping[str, Mapping[Freshness, Variant]]
    """`profile` and `counts`, each as fresh as its key; none where there are no times."""

    @property
    def variants(self) -> dict[str, Variant]:
        """All of them, by the names that `figures` looks for."""
        named = {_without(signal): variant for signal, variant in self.without.items()}
        for what, some in self.late.items():
            named |= {_late(what, freshness): variant for freshness, variant in some.items()}
        return named


def study_of(
    product: str, variant: Variant, blend: Mapping[str, Any], trial: Trial, seed: int
) -> Study:
    """What to ask beside a product, whose `variant` is asked with these weights where it has none
    of its own. The queries are drawn with the seed.
    """
    count = len(trial.queries)
    chosen = random.Random(seed).sample(range(count), min(STUDIED, count))  # noqa: S311 - no secret
    variant = replace(variant, rows=frozenset(chosen))
    weights = blend if variant.blend is None else variant.blend
    late: dict[str, Mapping[Freshness, Variant]] = {}
    if trial.live:
        late["profile"] = {age: replace(variant, profile=age) for age in LATE}
        late["counts"] = {age: replace(variant, counts=age) for age in LATE}
    return Study(
        product,
        frozenset(chosen),
        {
            signal: replace(variant, blend=left_out(weights, signal))
            for signal in signals_of(weights)
            if signal != LEARNED or not isinstance(variant.towers, Towerless)
        },
        late,
    )


def signals_of(blend: Mapping[str, Any]) -> list[str]:
    """The signals that count for the lists that are replayed, for any length of the history; the
    weightiest first.
    """
    table = blend[SCENARIO]
    most: dict[str, float] = {}
    for some in (table, *(table[span] for span in SPANS if span in table)):
        for name, weight in some.items():
            if name not in SPANS and weight > 0:
                most[name] = max(most.get(name, 0.0), weight)
    return sorted(most, key=lambda name: -most[name])


def left_out(blend: Mapping[str, Any], signal: str) -> dict[str, Any]:
    """The weights with that of one signal at 0, wherever it has one."""
    return {
        name: left_out(part, signal)
        if isinstance(part, Mapping)
        else (0.0 if name == signal else part)
        for name, part in blend.items()
    }


def figures(study: Study, trial: Trial, entries: Mapping[str, Entry], seed: int) -> Json:
    """For the JSON object: `studied`, the product on the queries that were asked again; `ablations`
    by the signal left out; `freshness` by what was known late, and how late. NDCG@10 and recall@10
    by task; `ratio` over the product as it is, with the 95% interval of a bootstrap over users.
    """
    scored = {task: _Scored(study, trial, task, entries, seed) for task in trial.tasks}

    def of(name: str) -> Json:
        return {task: {**some.means(name), **some.ratio(name)} for task, some in scored.items()}

    whole = {task: some.means(study.product) for task, some in scored.items()}
    found: Json = {
        "studied": {"product": study.product, "queries": len(study.rows), **whole},
        "ablations": {signal: of(_without(signal)) for signal in study.without},
    }
    if study.late:
        found["freshness"] = {
            what: {"live": whole, **{age: of(_late(what, age)) for age in some}}
            for what, some in study.late.items()
        }
    return found


class _Scored:
    """How good the lists of all variants were, for one task."""

    def __init__(
        self, study: Study, trial: Trial, task: Task, entries: Mapping[str, Entry], seed: int
    ) -> None:
        rows, truths = asked(trial, task)
        some = [place for place, row in enumerate(rows.tolist()) if row in study.rows]
        rows, truths = rows[some], [truths[place] for place in some]
        self._users = np.array([trial.queries[row].user for row in rows.tolist()], np.intp)
        self._marks = {
            name: mark(entries[name].lists[task][rows], truths)
            for name in (study.product, *study.variants)
        }
        self._product, self._seed = study.product, seed

    def means(self, name: str) -> Json:
        marks, count = self._marks[name], len(self._users)
        return {
            "ndcg@10": round(float(marks.ndcg.mean()), DIGITS) if count else 0.0,
            "recall@10": round(float(marks.recall.mean()), DIGITS) if count else 0.0,
            "n": count,
        }

    def ratio(self, name: str) -> Json:
        """Over the product; nothing without queries."""
        if not len(self._users):
            return {}
        ours, whole = self._marks[name].ndcg, self._marks[self._product].ndcg
        ratio, low, high = gain(ours, whole, self._users, self._seed)
        return {"ratio": round(ratio, 4), "low": round(low, 4), "high": round(high, 4)}


LATE_WORDS = {"profile": "profile", "counts": "popularity"}
"""What may be known late, in the words of people."""


def told(found: Json, task: str) -> list[tuple[str, Json]]:
    """Of the JSON object the variants of the product, by their names for people."""
    some = [(f"without {name}", one[task]) for name, one in found.get("ablations", {}).items()]
    for what, by_age in found.get("freshness", {}).items():
        some += [
            (f"{LATE_WORDS[what]} {age}", one[task]) for age, one in by_age.items() if age != "live"
        ]
    return some


def table(found: Json, task: str) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Heading and rows of one task's table."""
    studied = found["studied"]
    name = f"{studied['product']} ({studied[task]['n']:,} queries)"
    rows: list[tuple[str, ...]] = [(name, f"{studied[task]['ndcg@10']:.4f}", "", "")]
    for name, one in told(found, task):
        against = ("", "")
        if "ratio" in one:
            against = (f"{one['ratio']:.3f}", f"{one['low']:.3f} to {one['high']:.3f}")
        rows.append((name, f"{one['ndcg@10']:.4f}", *against))
    return ("", "ndcg@10", "times that", "95% interval"), rows


def _without(signal: str) -> str:
    return f"without {signal}"


def _late(what: str, freshness: Freshness) -> str:
    return f"{what} {freshness}"
