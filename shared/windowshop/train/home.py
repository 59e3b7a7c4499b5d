"""`train ranker` and `train tower`: learn from a home's own log, judge on its newest part, keep and
promote.

A tower that serves has seen what new rankers are judged on. So it is learned again, with as many
epochs, to where the judging begins: that one stands for it, in what serves as in what is new.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from windowshop.errors import InvalidInput
from windowshop.evaluate import homes
from windowshop.evaluate import protocol as protocols
from windowshop.evaluate.contest import Entry, asked
from windowshop.evaluate.homes import Bar, Original
from windowshop.evaluate.metrics import Gain, gain, mark
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Protocol, Task, Trial
from windowshop.evaluate.replay import Variant, replay
from windowshop.evaluate.trace import Trace
from windowshop.learned import ITEMS, MODEL
from windowshop.rank import Towerless
from windowshop.ranker import Rankers
from windowshop.records import format_instant
from windowshop.tower import KIND
from windowshop.train.fits import Fit
from windowshop.train.lessons import Lesson, UseOfTower, train
from windowshop.train.placing import fit_to, possible
from windowshop.train.tower import Loss

Json = dict[str, Any]
Say = Callable[[str], None]

BEGIN, SPLIT = 0.5, 0.85
"""Shares of the log by time: it learns from what lies between, and is judged on the rest."""
JUDGED = 3_000
SERVES_MS = 86_400_000
"""What serves is looked up once a run: in a deployment that is a call."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: of which shop, with which seed, at what time."""

    original: Original
    store: str
    seed: int
    now_ms: int
    until_ms: int | None = None

    @property
    def version(self) -> str:
        return format_instant(self.now_ms)[:19].replace(":", "")


def train_home(
    original: Original,
    store: str,
    scratch: Path,
    seed: int,
    bar: Bar,
    now_ms: int,
    until_ms: int | None = None,
) -> Json:
    """What was learned for each task, and how it did. The shop is read, served or not;
    only what was learned is written to it. Raises InvalidInput where there is too little to learn.
    """
    order = Order(original, store, seed, now_ms, until_ms)
    with closing(_Course(order, scratch, bar)) as course:
        lesson = course.learn("with" if course.has_tower and possible() else "without")
        if not lesson.rankers.fits:
            raise InvalidInput(
                f"{len(course.lessons.queries):,} requests of the past: too few of what was taken "
                "was among the candidates to learn from; the plain weights go on serving"
            )
        judged = course.judge(lesson)
        tasks = {
            task: course.keep(task, one, lesson, judged[task], promoted=_serves(judged[task]))
            for task, one in lesson.rankers.fits.items()
        }
        return {**course.about, "tasks": tasks}


def train_tower_home(
    original: Original,
    store: str,
    scratch: Path,
    seed: int,
    bar: Bar,
    say: Say,
    now_ms: int,
    until_ms: int | None = None,
    *,
    loss: Loss = "softmax",
    epochs: int | None = None,
) -> Json:
    """A tower, and rankers that were learned with it, where the lessons of the past are learned
    better with one and the newest requests are answered no worse; then it is learned once more from
    everything. As `train_home`. Raises Misconfigured without torch.
    """
    order = Order(original, store, seed, now_ms, until_ms)
    with closing(_Course(order, scratch, bar)) as course:
        lesson = course.learn("either", epochs, loss=loss)
        answer: Json = {**course.about, "kind": KIND, "version": order.version, "promoted": False}
        answer["learning"] = lesson.told
        if lesson.placed is None:
            return answer
        judged = course.judge(lesson)
        asked_for = [one for one in judged.values() if one["queries"]]
        promoted = bool(asked_for) and all(_serves(one) for one in asked_for)
        logs = original.notes and original.notes / store / "tensorboard" / order.version
        known = np.ones(len(course.past.trace), np.bool_)
        more: Json = {"loss": loss, "say": say, "log_dir": logs}
        fit = fit_to(course.past, known, seed, bar, lesson.placed.epochs, **more)
        card = {
            **fit.card,
            **course.card(judged),
            "encoder": course.past.shop.world.store.model,
            "learning": lesson.told,
        }
        files = {MODEL: fit.onnx, ITEMS: fit.items}
        course.shelf.put(store, KIND, order.version, files, card)
        if promoted:
            original.promote_tower(store, order.version, bar)
        tasks = {
            task: course.keep(task, one, lesson, judged[task], promoted=promoted)
            for task, one in lesson.rankers.fits.items()
        }
        return {**answer, "promoted": promoted, "judged": judged, "tasks": tasks, **fit.card}


class _Course:
    """One run over a copy of a home: its lessons, and the newest requests, which judge."""

    def __init__(self, order: Order, scratch: Path, bar: Bar) -> None:
        self._order, self._bar = order, bar
        subject = homes.of_original(order.original, order.store, scratch, bar)
        self._subject = subject
        try:
            trace = subject.trace
            if order.until_ms is not None:
                trace = trace.before(order.until_ms)
            self.protocol, self.lessons, self._newest = _slices(trace, order.seed)
        except BaseException:
            subject.shop.close()
            raise
        self.past = Past(subject.shop, subject.tenant, trace)
        self.shelf = order.original.shelf
        self.has_tower = self.shelf.current(order.store, KIND) is not None

    def close(self) -> None:
        self._subject.shop.close()

    @property
    def about(self) -> Json:
        return {"store": self._order.store, "protocol": self.protocol, "seed": self._order.seed}

    def learn(self, tower: UseOfTower, epochs: int | None = None, **more: Any) -> Lesson:
        seed, bar = self._order.seed, self._bar
        return train(self.past, self.lessons, self._newest, seed, bar, tower, epochs, **more)

    def judge(self, lesson: Lesson) -> dict[Task, Json]:
        """By task: its NDCG@10 beside that of what serves, on the newest slice."""
        order, newest = self._order, self._newest
        old = lesson.variant.towers if self.has_tower else Towerless()
        variants = {
            "serves": Variant(Rankers(self.shelf, SERVES_MS), old),
            "learned": lesson.variant,
        }
        with self._bar("Judging", len(newest.queries)) as advance:
            entries = replay(self.past, newest, variants, advance)
        return {task: _judged(newest, task, entries, order.seed) for task in newest.tasks}

    def card(self, judged: Mapping[Any, Any]) -> Json:
        order = self._order
        return {
            "seed": order.seed,
            "made_at": format_instant(order.now_ms),
            "protocol": self.protocol,
            "learned_from": _span(self.lessons),
            "judged_on": _span(self._newest),
            "judged": judged,
        }

    def keep(self, task: Task, one: Fit, lesson: Lesson, judged: Json, *, promoted: bool) -> Json:
        """Keep a ranker, and have it serve where it may."""
        order, kind = self._order, f"ranker-{task}"
        fitted = {"task": task, "features": list(one.features), "validation": one.ndcg}
        short = {"method": one.method, "trees": one.trees}
        card = {**self.card(judged), **fitted, **short, "tower": lesson.placed is not None}
        self.shelf.put(order.store, kind, order.version, {MODEL: one.model}, card)
        if promoted:
            self.shelf.promote(order.store, kind, order.version)
        return {
            "kind": kind,
            "version": order.version,
            **short,
            "validation": one.ndcg,
            "judged": judged,
            "promoted": promoted,
        }


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


def _judged(newest: Trial, task: Task, entries: dict[str, Entry], seed: int) -> Json:
    rows, truths = asked(newest, task)
    if not len(rows):
        return {"queries": 0}
    marks = {name: mark(entry.lists[task][rows], truths).ndcg for name, entry in entries.items()}
    users = np.array([newest.queries[row].user for row in rows.tolist()], np.intp)
    found: Gain = gain(marks["learned"], marks["serves"], users, seed)
    return {
        "queries": len(rows),
        "serves": round(float(marks["serves"].mean()), 5),
        "learned": round(float(marks["learned"].mean()), 5),
        "ratio": round(found.ratio, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "may_serve": may_serve(found),
    }


def _serves(judged: Json) -> bool:
    return bool(judged.get("may_serve"))


def may_serve(found: Gain) -> bool:
    """The guard: no worse by the mean, and surely not much worse."""
    return found.ratio >= 1 and found.low >= 0.9
