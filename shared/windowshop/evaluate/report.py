"""The figures of a replay: as the JSON object of the command line, and as a table for people."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.contest import Entry, asked
from windowshop.evaluate.metrics import (
    DEEP,
    Lists,
    Marks,
    coverage,
    gain,
    mark,
    share,
    spans,
    standard_error,
)
from windowshop.evaluate.protocol import Protocol, Query, Task, Trial
from windowshop.evaluate.trace import Places

Json = dict[str, Any]
PRODUCT, TRAINED = "windowshop", "windowshop_trained"
DIGITS = 5
SELDOM = 5
"""What was taken less often than that is told apart."""


def report(
    protocol: Protocol, dataset: str, seed: int, trial: Trial, entries: Mapping[str, Entry]
) -> Json:
    """The JSON object: `results` as the contract has them; `against`: the product over the best
    baseline of each task by NDCG, with the 95% interval of a bootstrap over users; `learned`:
    likewise the product with what it learned, over that baseline and over the product without.
    """
    marks = {task: _marks(trial, task, entries) for task in trial.tasks}
    results: Json = {}
    for name, entry in entries.items():
        results[name] = {
            task: _figures(trial, task, entry, marks[task][name]) for task in trial.tasks
        }
        results[name]["cpu_ms"] = round(entry.cpu_ms, 3)
        if entry.settings:
            results[name]["settings"] = dict(entry.settings)
    found: Json = {
        "protocol": protocol,
        "dataset": dataset,
        "seed": seed,
        "queries": len(trial.queries),
        "results": results,
    }
    found["against"] = _by_task(trial, marks, PRODUCT, baselines(entries), seed)
    if TRAINED in entries:
        found["learned"] = {
            "against": _by_task(trial, marks, TRAINED, baselines(entries), seed),
            "untrained": _by_task(trial, marks, TRAINED, [PRODUCT], seed),
        }
    return found


def baselines(entries: Collection[str]) -> list[str]:
    return [name for name in entries if name not in (PRODUCT, TRAINED)]


def _by_task(
    trial: Trial,
    marks: Mapping[Task, Mapping[str, Marks]],
    ours: str,
    others: Sequence[str],
    seed: int,
) -> Json:
    found = {task: _against(trial, task, marks[task], ours, others, seed) for task in trial.tasks}
    return {task: one for task, one in found.items() if one}


def _marks(trial: Trial, task: Task, entries: Mapping[str, Entry]) -> dict[str, Marks]:
    rows, truths = asked(trial, task)
    return {name: mark(entry.lists[task][rows], truths) for name, entry in entries.items()}


def _figures(trial: Trial, task: Task, entry: Entry, marks: Marks) -> Json:
    rows, _ = asked(trial, task)
    lists = entry.lists[task][rows]
    counts = np.bincount(trial.trace.item[trial.learnable], minlength=len(trial.trace.items))
    queries = [trial.queries[row] for row in rows.tolist()]
    lengths = np.array([trial.history(query) for query in queries], np.intp)
    users = np.array([query.user for query in queries], np.intp)

    def by(parts: Mapping[str, NDArray[np.bool_]]) -> Json:
        return {
            name: {**_means(marks, users, chosen), "n": int(chosen.sum())}
            for name, chosen in parts.items()
            if chosen.any()
        }

    found = {
        **_means(marks, users, np.ones(len(rows), np.bool_)),
        "coverage@10": round(coverage(lists, len(trial.trace.items)), DIGITS),
        "novelty@10": _novelty(lists, counts),
        "cold@10": _cold(trial, queries, lists),
        "n": len(rows),
        "by_history": by(spans(lengths)),
    }
    if not trial.live:
        taken = np.array([counts[query.truth].max() for query in queries], np.intp)
        found["by_target"] = by({f"<{SELDOM}": taken < SELDOM, f">={SELDOM}": taken >= SELDOM})
    if entry.deep and task == "new":
        found["cold"] = _cold_taken(trial, entry.deep)
    return found


def _means(marks: Marks, users: Any, chosen: Any) -> Json:
    """Means over the chosen queries; 0 where there are none. `ndcg@10_error`: of the first, its
    standard error over users.
    """
    found = {
        "ndcg@10": marks.ndcg,
        "recall@10": marks.recall,
        "hit@10": marks.hit,
        "mrr@10": marks.mrr,
    }
    if not chosen.any():
        return {**dict.fromkeys(found, 0.0), "ndcg@10_error": 0.0}
    error = standard_error(marks.ndcg[chosen], users[chosen])
    means = {name: round(float(values[chosen].mean()), DIGITS) for name, values in found.items()}
    return {**means, "ndcg@10_error": round(error, DIGITS)}


def _novelty(lists: Lists, counts: Any) -> float:
    """Mean surprise of what was shown: -log2 of its share of all that was taken before the queries
    began, each item once more than it was.
    """
    shown = lists[lists >= 0]
    if not len(shown):
        return 0.0
    parts = (counts[shown] + 1) / (counts.sum() + len(counts))
    return round(float(-np.log2(parts).mean()), DIGITS)


def _cold(trial: Trial, queries: Sequence[Query], lists: Lists) -> float:
    """The share of what was shown that no event had been on."""
    shown = [one[one >= 0] for one in lists]
    cold = sum(int(trial.cold(query, one).sum()) for query, one in zip(queries, shown, strict=True))
    return round(cold / max(sum(map(len, shown)), 1), DIGITS)


def _cold_taken(trial: Trial, deep: Mapping[int, Places]) -> Json:
    """Of the cold items that were taken, DEEP a query at most, those among the first DEEP shown."""
    queries = [trial.queries[row] for row in deep]
    taken = [trial.cold_taken(query) for query in queries]
    pairs = zip(taken, deep.values(), strict=True)
    hits = np.array([np.isin(some, shown).sum() for some, shown in pairs], np.float64)
    sought = np.array([min(len(some), DEEP) for some in taken], np.float64)
    found = share(hits, sought, np.array([query.user for query in queries], np.intp))
    return {
        f"recall@{DEEP}": round(found.value, DIGITS),
        "low": round(found.low, DIGITS),
        "high": round(found.high, DIGITS),
        "hits": int(hits.sum()),
        "items": int(sought.sum()),
        "n": len(queries),
    }


def _against(
    trial: Trial,
    task: Task,
    marks: Mapping[str, Marks],
    ours: str,
    others: Sequence[str],
    seed: int,
) -> Json:
    """`ours` over the best of the others."""
    rows, _ = asked(trial, task)
    if not others or not len(rows) or ours not in marks:
        return {}
    best = max(others, key=lambda name: marks[name].ndcg.mean())
    users = np.array([trial.queries[row].user for row in rows.tolist()], np.intp)
    ratio, low, high = gain(marks[ours].ndcg, marks[best].ndcg, users, seed)
    return {
        "best": best,
        "ratio": round(ratio, 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


COLUMNS = ("ndcg@10", "recall@10", "hit@10", "mrr@10", "coverage@10")


def table(found: Json, task: str) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Heading and rows of one task's table."""
    rows = []
    for name, result in found["results"].items():
        figures = [f"{result[task][column]:.4f}" for column in COLUMNS]
        settings = result.get("settings", {}).get(task, "")
        rows.append((name, *figures, f"{result['cpu_ms']:.2f}", settings))
    return ("", *COLUMNS, "CPU ms", "chosen on validation"), rows


COMPARED = ("tifu_knn", "popularity")
"""Baselines that others publish, too: by them a run can be held against theirs."""
CHEAP = ("popularity", "text_only")
"""Baselines that the product's finds of cold items are shown beside."""


def verdicts(found: Json, task: str) -> list[str]:
    """Lines for people: the product over the best baseline, what learning gave, what others know
    the baselines by, and who found what was cold.
    """
    learned = found.get("learned", {})
    lines = [
        f"{name} over {one['best']}: {one['ratio']:.3f} times its NDCG@10 "
        f"(95% interval {one['low']:.3f} to {one['high']:.3f}, bootstrap over users)"
        for name, some in (
            (PRODUCT, found["against"]),
            (TRAINED, learned.get("against", {})),
            (TRAINED, learned.get("untrained", {})),
        )
        if (one := some.get(task))
    ]
    results = found["results"]
    known = [f"{name} {results[name][task]['ndcg@10']:.4f}" for name in COMPARED if name in results]
    if known:
        lines.append(f"NDCG@10 in this run, to compare runs by: {', '.join(known)}")
    lines += [
        f"items that no event had been on: {name} has {cold['hits']:,} of {cold['items']:,} that "
        f"were taken among its first {DEEP}, recall@{DEEP} {cold[f'recall@{DEEP}']:.4f} "
        f"(95% interval {cold['low']:.4f} to {cold['high']:.4f})"
        for name in (PRODUCT, TRAINED, *CHEAP)
        if (cold := results.get(name, {}).get(task, {}).get("cold"))
    ]
    return lines


def remarks(found: Json) -> list[str]:
    """Lines for people: which baselines could not run."""
    return [f"{name} is left out: {why}" for name, why in found.get("left_out", {}).items()]
