"""The figures of a replay: as the JSON object of the command line, and as a table for people."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from windowshop.evaluate.contest import Entry, asked
from windowshop.evaluate.metrics import Lists, Marks, coverage, gain, mark, spans
from windowshop.evaluate.protocol import Protocol, Task, Trial

Json = dict[str, Any]
PRODUCT, TRAINED = "windowshop", "windowshop_trained"
DIGITS = 5


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
            task: _figures(trial, task, entry.lists[task], marks[task][name])
            for task in trial.tasks
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


def _figures(trial: Trial, task: Task, lists: Lists, marks: Marks) -> Json:
    rows, _ = asked(trial, task)
    lists = lists[rows]
    counts = np.bincount(trial.trace.item[trial.crowd], minlength=len(trial.trace.items))
    queries = [trial.queries[row] for row in rows.tolist()]
    lengths = np.array([trial.history(query) for query in queries], np.intp)
    return {
        **_means(marks, np.ones(len(rows), np.bool_)),
        "coverage@10": round(coverage(lists, len(trial.trace.items)), DIGITS),
        "novelty@10": _novelty(lists, counts),
        "cold@10": _cold(lists, counts),
        "n": len(rows),
        "by_history": {
            name: {**_means(marks, chosen), "n": int(chosen.sum())}
            for name, chosen in spans(lengths).items()
            if chosen.any()
        },
    }


def _means(marks: Marks, chosen: Any) -> Json:
    """Means over the chosen queries; 0 where there are none."""
    found = {
        "ndcg@10": marks.ndcg,
        "recall@10": marks.recall,
        "hit@10": marks.hit,
        "mrr@10": marks.mrr,
    }
    some = bool(chosen.any())
    return {
        name: round(float(values[chosen].mean()), DIGITS) if some else 0.0
        for name, values in found.items()
    }


def _novelty(lists: Lists, counts: Any) -> float:
    """Mean surprise of what was shown: -log2 of its share of all that was ever taken."""
    shown = lists[lists >= 0]
    if not len(shown) or not counts.sum():
        return 0.0
    share = (counts[shown] + 1) / (counts.sum() + len(counts))
    return round(float(-np.log2(share).mean()), DIGITS)


def _cold(lists: Lists, counts: Any) -> float:
    """The share of what was shown that nobody ever took."""
    shown = lists[lists >= 0]
    return round(float((counts[shown] == 0).mean()), DIGITS) if len(shown) else 0.0


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


def verdicts(found: Json, task: str) -> list[str]:
    """Lines for people: the product over the best baseline, and what learning gave."""
    learned = found.get("learned", {})
    return [
        f"{name} over {one['best']}: {one['ratio']:.3f} times its NDCG@10 "
        f"(95% interval {one['low']:.3f} to {one['high']:.3f}, bootstrap over users)"
        for name, some in (
            (PRODUCT, found["against"]),
            (TRAINED, learned.get("against", {})),
            (TRAINED, learned.get("untrained", {})),
        )
        if (one := some.get(task))
    ]
