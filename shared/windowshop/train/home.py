"""`train ranker`: learn from a home's own log, judge on its newest part, keep and promote."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from windowshop.errors import InvalidInput
from windowshop.evaluate import homes
from windowshop.evaluate import protocol as protocols
from windowshop.evaluate.contest import Entry, asked
from windowshop.evaluate.homes import Bar, Subject
from windowshop.evaluate.metrics import Gain, gain, mark
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Protocol, Task, Trial
from windowshop.evaluate.replay import replay
from windowshop.evaluate.trace import Trace
from windowshop.learned import Shelf
from windowshop.rank import Rankers as RankersOf
from windowshop.ranker import Rankers
from windowshop.records import format_instant
from windowshop.train.fits import Fit
from windowshop.train.lessons import train_rankers

Json = dict[str, Any]

BEGIN, SPLIT = 0.5, 0.85
"""Shares of the log by time: it learns from what lies between, and is judged on the rest."""
JUDGED = 3_000


def train_home(
    home: Path,
    store: str,
    scratch: Path,
    seed: int,
    bar: Bar,
    now_ms: int,
    until_ms: int | None = None,
) -> Json:
    """What was learned for each task, and how it did. The home is read (and must not be in use);
    only what was learned is written to it. Raises InvalidInput where there is too little to learn.
    """
    subject = homes.of_home(home, store, scratch, bar)
    try:
        if until_ms is not None:
            subject = replace(subject, trace=subject.trace.before(until_ms))
        return _trained(subject, home, seed, bar, now_ms)
    finally:
        subject.shop.close()


def _trained(subject: Subject, home: Path, seed: int, bar: Bar, now_ms: int) -> Json:
    protocol, lessons, judge = _slices(subject.trace, seed)
    past = Past(subject.shop, subject.tenant, subject.trace)
    learned = train_rankers(past, lessons, seed, bar)
    if not learned.fits:
        raise InvalidInput(
            f"{len(lessons.queries):,} requests of the past: too few of what was taken was among "
            "the candidates to learn from; the plain weights go on serving"
        )
    variants: dict[str, RankersOf] = {"serves": Rankers(home / "learned"), "learned": learned}
    with bar("Judging", len(judge.queries)) as advance:
        entries = replay(past, judge, variants, advance)
    shelf, version = Shelf(home / "learned"), format_instant(now_ms)[:19].replace(":", "")
    tasks: Json = {}
    for task, one in learned.fits.items():
        judged, promoted = _judged(judge, task, entries, seed)
        card = {
            "task": task,
            "features": list(one.features),
            "method": one.method,
            "trees": one.trees,
            "seed": seed,
            "made_at": format_instant(now_ms),
            "protocol": protocol,
            "learned_from": _span(lessons),
            "judged_on": _span(judge),
            "validation": one.ndcg,
            "judged": judged,
        }
        kind = f"ranker-{task}"
        shelf.put(subject.tenant, kind, version, one.model, card)
        if promoted:
            shelf.promote(subject.tenant, kind, version)
        tasks[task] = _told(one, kind, version, judged, promoted=promoted)
    return {"store": subject.tenant, "protocol": protocol, "seed": seed, "tasks": tasks}


def _slices(trace: Trace, seed: int) -> tuple[Protocol, Trial, Trial]:
    """By time where times say anything, else by the last events of everybody."""
    if trace.timed:
        lessons = protocols.by_time(trace, BEGIN, SPLIT, protocols.LESSONS, seed)
        return "time", lessons, protocols.by_time(trace, SPLIT, 1.0, JUDGED, seed)
    lessons = protocols.leave_last_out(trace, 2, protocols.MORE_LESSONS, seed)
    return "leave-last-out", lessons, protocols.leave_last_out(trace, 1, JUDGED, seed)


def _span(trial: Trial) -> Json:
    times = [query.time for query in trial.queries]
    return {
        "queries": len(times),
        "from": format_instant(min(times)),
        "to": format_instant(max(times)),
    }


def _judged(judge: Trial, task: Task, entries: dict[str, Entry], seed: int) -> tuple[Json, bool]:
    """Its NDCG@10 beside that of what serves, on the newest slice; and whether it may serve: where
    it did no worse, and the interval does not reach far below that.
    """
    rows, truths = asked(judge, task)
    if not len(rows):
        return {"queries": 0}, False
    marks = {name: mark(entry.lists[task][rows], truths).ndcg for name, entry in entries.items()}
    users = np.array([judge.queries[row].user for row in rows.tolist()], np.intp)
    found: Gain = gain(marks["learned"], marks["serves"], users, seed)
    judged = {
        "queries": len(rows),
        "serves": round(float(marks["serves"].mean()), 5),
        "learned": round(float(marks["learned"].mean()), 5),
        "ratio": round(found.ratio, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
    }
    return judged, may_serve(found)


def may_serve(found: Gain) -> bool:
    """The guard: no worse by the mean, and surely not much worse."""
    return found.ratio >= 1 and found.low >= 0.9


def _told(one: Fit, kind: str, version: str, judged: Json, *, promoted: bool) -> Json:
    return {
        "kind": kind,
        "version": version,
        "method": one.method,
        "trees": one.trees,
        "validation": one.ndcg,
        "judged": judged,
        "promoted": promoted,
    }
