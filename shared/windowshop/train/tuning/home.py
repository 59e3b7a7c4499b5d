"""`tune`: a search on what a home's own log says of the past, judged on its newest part, and
written where it does better.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from windowshop.blend import Blend, differences
from windowshop.errors import InvalidInput, Misconfigured
from windowshop.evaluate import homes
from windowshop.evaluate import protocol as protocols
from windowshop.evaluate.contest import Entry, asked
from windowshop.evaluate.homes import Bar
from windowshop.evaluate.metrics import Gain, Scores, gain, mark
from windowshop.evaluate.originals import OwnHome
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Protocol, Task, Trial
from windowshop.evaluate.replay import Variant, replay
from windowshop.evaluate.trace import Places, Trace
from windowshop.records import format_instant
from windowshop.settings import FILE, default_blend, load_settings, settings_in_force
from windowshop.train.tuning.capture import capture, grid_of
from windowshop.train.tuning.config import written
from windowshop.train.tuning.search import Found, search

Json = dict[str, Any]

BEGIN, SPLIT = 0.5, 0.85
"""Shares of the log by time: it chooses by what lies between, and is judged on the rest."""
QUERIES, JUDGED = 2_000, 2_000
FEWEST = 50
"""Requests of the past, to choose by and to be judged on, below which nothing can be said."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    home: Path
    store: str
    queries: int
    trials: int
    seed: int
    now_ms: int
    until_ms: int | None = None
    dry: bool = False


def tune_home(order: Order, scratch: Path, bar: Bar) -> Json:
    """What was found, how it did beside what serves, and whether it was written. The home is read,
    served or not; only the table [blend] of its windowshop.toml is written. Raises
    InvalidInput where there is too little to choose by, Misconfigured where the variable
    WINDOWSHOP_BLEND would go before the file.
    """
    settings = load_settings(order.home)
    source = settings_in_force(settings, order.home)["blend"][1]
    if source not in (FILE, "default"):
        raise Misconfigured(f"{source} goes before {order.home / FILE}: unset it, then tune")
    subject = homes.of_original(OwnHome(order.home), order.store, scratch, bar)
    with closing(subject.shop):
        trace = subject.trace
        if order.until_ms is not None:
            trace = trace.before(order.until_ms)
        protocol, chosen_by, newest = _slices(trace, order)
        past = Past(subject.shop, subject.tenant, trace)
        present = subject.shop.world.blend
        found = _searched(past, chosen_by, present, order, bar)
        judged = _judged(past, newest, found.blend, order.seed, bar)
    own, guard = differences(default_blend(), found.blend), judged.pop("may_serve")
    why = _hindrance(order, changed=found.blend != present, guard=guard)
    answer: Json = {
        "store": order.store,
        "protocol": protocol,
        "seed": order.seed,
        "trials": found.trials,
        "queries": len(chosen_by.queries),
        "written": why is None,
        "why": why,
        "file": str(order.home / FILE),
        "config": own,
        "chosen": found.ndcg,
        "judged": judged,
    }
    if why is None:
        written(order.home / FILE, own, _remarks(order, answer))
    return answer


def _hindrance(order: Order, *, changed: bool, guard: bool) -> str | None:
    """Why nothing is written; None where it is."""
    if not changed:
        return "nothing better was found than what serves"
    if not guard:
        return "the newest requests are not answered better with it"
    return "a dry run" if order.dry else None


def _slices(trace: Trace, order: Order) -> tuple[Protocol, Trial, Trial]:
    """By time where times say anything, else by the last events of everybody."""
    protocol: Protocol = "time" if trace.timed else "leave-last-out"
    if trace.timed:
        chosen_by = protocols.by_time(trace, BEGIN, SPLIT, order.queries, order.seed)
        newest = protocols.by_time(trace, SPLIT, 1.0, JUDGED, order.seed)
    else:
        chosen_by = protocols.leave_last_out(trace, 2, order.queries, order.seed)
        newest = protocols.leave_last_out(trace, 1, JUDGED, order.seed)
    for trial in (chosen_by, newest):
        count = len(trial.queries) if trial.live else sum(len(q.new) > 0 for q in trial.queries)
        if count < FEWEST:
            raise InvalidInput(
                f"too little happened to tune by: {count:,} requests of the past where {FEWEST} are"
                " the least; record more events. Nothing was changed"
            )
    return protocol, chosen_by, newest


def _searched(past: Past, trial: Trial, present: Blend, order: Order, bar: Bar) -> Found:
    grid = grid_of(present, default_blend(), timed=past.trace.timed)
    with bar("Asking the past", len(trial.queries)) as advance:
        sheets = capture(past, trial, grid, advance)
    with bar("Searching", order.trials) as advance:
        return search(sheets, grid, present, default_blend(), order.trials, order.seed, advance)


def _judged(past: Past, newest: Trial, blend: Blend, seed: int, bar: Bar) -> Json:
    """By task, and together: NDCG@10 beside that of what serves, both asked of the shop itself."""
    variants = {"serves": Variant(), "tuned": Variant(blend=blend)}
    with bar("Judging", len(newest.queries)) as advance:
        entries = replay(past, newest, variants, advance)
    times = [query.time for query in newest.queries]
    found: Json = {
        "queries": len(newest.queries),
        "from": format_instant(min(times)),
        "to": format_instant(max(times)),
    }
    marks = {task: _marks(newest, task, entries) for task in newest.tasks}
    gains = []
    for task, (users, some) in marks.items():
        if not len(users):
            continue
        one = gain(some["tuned"], some["serves"], users, seed)
        gains.append(one)
        found[task] = {
            "queries": len(users),
            "serves": round(float(some["serves"].mean()), 5),
            "tuned": round(float(some["tuned"].mean()), 5),
            **_told(one),
        }
    together = _together(marks, seed)
    return {**found, "together": _told(together), "may_serve": may_serve(together, gains)}


def _marks(newest: Trial, task: Task, entries: Mapping[str, Entry]) -> tuple[Places, Json]:
    rows, truths = asked(newest, task)
    users = np.array([newest.queries[row].user for row in rows.tolist()], np.intp)
    lists = {name: entry.lists[task][rows] for name, entry in entries.items()}
    return users, {name: mark(some, truths).ndcg for name, some in lists.items()}


def _together(marks: Mapping[Task, tuple[Places, Json]], seed: int) -> Gain:
    """The mean of the tasks' ratios, with its interval: each task as a share of what serves."""
    users, ours, theirs = [], [], []
    for some_users, some in marks.values():
        total = float(some["serves"].sum()) or 1.0
        users.append(some_users)
        ours.append(some["tuned"] / total)
        theirs.append(some["serves"] / total)
    parts: tuple[Scores, Scores] = np.concatenate(ours), np.concatenate(theirs)
    return gain(*parts, np.concatenate(users), seed)


def may_serve(together: Gain, tasks: list[Gain]) -> bool:
    """The guard: better by the mean of the tasks, surely not much worse, and no task surely worse
    at all.
    """
    sure = all(one.high >= 1 for one in tasks)
    return together.ratio > 1 and together.low >= 0.9 and sure


def _told(found: Gain) -> Json:
    return {name: round(value, 4) for name, value in found._asdict().items()}


def _remarks(order: Order, answer: Json) -> list[str]:
    judged, day = answer["judged"], format_instant(order.now_ms)[:10]
    figures = "; ".join(
        f"{task} {judged[task]['tuned']:.4f} after {judged[task]['serves']:.4f}"
        for task in ("all", "new")
        if task in judged
    )
    made = f"seed {order.seed}, {answer['trials']:,} trials"
    return [
        f"Written by `windowshop tune` on {day} ({made}) from {answer['queries']:,} requests of",
        f"store {order.store}. NDCG@10 on the newest {judged['queries']:,}: {figures}.",
        "It says only what differs from the defaults. Take this table out to go back to them.",
    ]
