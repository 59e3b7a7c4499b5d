"""The training of a tower, from top to bottom: one epoch after another, measured by what was taken
next in a part that it has not seen.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from windowshop.encode.precision import computes_bf16
from windowshop.evaluate.homes import Bar
from windowshop.evaluate.metrics import TOP, mark
from windowshop.evaluate.trace import Places
from windowshop.rank import Floats, Keys
from windowshop.train.tower.config import Config
from windowshop.train.tower.data import (
    Batch,
    Query,
    Sequences,
    batch,
    batches,
    held_out,
    query_windows,
    windows,
)
from windowshop.train.tower.graph import to_npz, to_onnx
from windowshop.train.tower.model import (
    BURIED,
    Weights,
    item_vectors,
    loss_of,
    new_weights,
    user_vectors,
)

Figures = dict[str, float]
Json = dict[str, Any]
Watch = Callable[[str, int, Figures], None]
"""Told an epoch's part, its number, from 1, and its figures."""

DEFAULT_EPOCHS = 10
"""Where too little happened for a part of it to be held back."""
SEARCHED = 0.6
"""The share of the time that may be spent on finding the number of epochs."""

AT_ONCE = 512
"""Users that are measured at once, and hundreds of items."""


@dataclass(slots=True)
class Course:
    """How a training went: the figures of each epoch, which was best, and why it ended."""

    epochs: list[Figures] = field(default_factory=list)
    best: int = 0
    ended: str = "epochs"


class Trainer:
    """Learns from some sequences; their items have text vectors [items, dim]. The same seed gives
    the same weights on the same machine.
    """

    def __init__(self, config: Config, of: Sequences, text: Floats, seed: int) -> None:
        self.config, self._of, self._seed = config, of, seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._text, self._half = torch.from_numpy(text), computes_bf16(self.device)
        self.trained = np.unique(of.item).astype(np.intp)
        """Items [m] that have an id of their own to learn."""
        self._number = np.full(len(text), -1, np.int64)
        self._number[self.trained] = np.arange(len(self.trained))
        torch.manual_seed(seed)
        first = new_weights(config, text.shape[1], len(self.trained))
        self.weights: Weights = {
            name: tensor.to(self.device).requires_grad_() for name, tensor in first.items()
        }
        self._optimizer = torch.optim.AdamW(
            self.weights.values(), lr=config.rate, weight_decay=config.decay
        )

    def epoch(self, number: int, advance: Callable[[int], None]) -> float:
        """One pass over at most `events_an_epoch` events; returns the mean loss."""
        config, chance = self.config, np.random.default_rng((self._seed, number))
        of, cut = self._of, windows(self._of, config.events_an_epoch, chance)
        total, count = 0.0, 0
        for one in batches(of, cut, config.batch, config.events, chance):
            loss = self._loss(one, chance)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            events = int(one.there.sum())
            total, count = total + float(loss.detach()) * events, count + events
            advance(events)
        return total / max(count, 1)

    def _loss(self, one: Batch, chance: np.random.Generator) -> Tensor:
        targets = one.targets[one.there]
        drawn = self.trained[chance.integers(len(self.trained), size=self.config.negatives)]
        every = np.concatenate((one.items.ravel(), targets, drawn))
        names, places = np.unique(every, return_inverse=True)
        vectors = self._items(names, self.config.id_dropout)
        at = self._to(places)
        own, taken, others = at.split((one.items.size, len(targets), len(drawn)))
        users = self._users(one, vectors[own], training=True)[self._to(one.there)]
        rows, columns = _same(targets, drawn)
        same = self._to(rows), self._to(columns)
        found = (users, vectors[taken], vectors[others], same)
        return loss_of(self.weights, self.config, *found, half=self._half)

    def _items(self, names: Places, id_dropout: float = 0.0) -> Tensor:
        text = self._to(self._text[names])
        return item_vectors(self.weights, self._to(self._number[names]), text, id_dropout)

    def _users(self, one: Batch, items: Tensor, *, training: bool = False) -> Tensor:
        return user_vectors(
            self.weights,
            self.config,
            items.view(*one.items.shape, -1),
            self._to(one.kinds),
            self._to(one.days),
            self._to(one.there),
            training=training,
        )

    def _to(self, array: NDArray[np.generic] | Tensor) -> Tensor:
        return torch.as_tensor(array).to(self.device)

    # --- what has been learned so far ---------------------------------------------------------

    def all_items(self) -> Tensor:
        """Unit vectors of all items [items, width], also of those that nobody had."""
        step, count = 100 * AT_ONCE, len(self._text)
        with torch.no_grad():
            parts = [
                self._items(np.arange(start, min(start + step, count)))
                for start in range(0, count, step)
            ]
            return torch.cat(parts)

    def lists(
        self, of: Sequences, queries: Sequence[Query], masks: Sequence[bool], top: int = TOP
    ) -> list[Places]:
        """Items [queries, top] for each of `masks`: whether a user's own are left out. Once they
        are, they stay out.
        """
        items, cuts = self.all_items(), query_windows(of, queries)
        found: list[list[Places]] = [[] for _ in masks]
        for start in range(0, len(queries), AT_ONCE):
            rest = [query.seen for query in queries[start : start + AT_ONCE]]
            scores = self._scores(batch(of, cuts[start : start + AT_ONCE]), items)
            for mask, lists in zip(masks, found, strict=True):
                if mask:
                    rows = np.repeat(np.arange(len(rest)), [len(seen) for seen in rest])
                    scores[self._to(rows), self._to(np.concatenate(rest))] = BURIED
                best = scores.topk(min(top, len(items)), dim=1).indices.cpu().numpy()
                lists.append(np.pad(best, ((0, 0), (0, top - best.shape[1])), constant_values=-1))
        return [np.concatenate(parts) for parts in found]

    def _scores(self, one: Batch, items: Tensor) -> Tensor:
        with torch.no_grad():
            users = self._users(one, items[self._to(one.items.ravel())])[:, -1]
            return users @ items.T

    def measure(self, of: Sequences, queries: Sequence[Query]) -> Figures:
        """NDCG@10 of what was taken (`all`), and of what was new to the user (`new`)."""
        lists = self.lists(of, queries, (False, True))
        truths = {
            "all": [query.truth for query in queries],
            "new": [np.setdiff1d(query.truth, query.seen) for query in queries],
        }
        figures = {}
        for (task, truth), some in zip(truths.items(), lists, strict=True):
            rows = np.array([row for row, one in enumerate(truth) if len(one)], np.intp)
            marks = mark(some[rows], [truth[row] for row in rows])
            figures[task] = float(marks.ndcg.mean()) if len(rows) else 0.0
        return figures

    def arrays(self) -> Mapping[str, Floats]:
        """The weights, as numpy has them."""
        return {name: t.detach().cpu().numpy().copy() for name, t in self.weights.items()}


def _same(some: NDArray[np.int64], others: Places) -> tuple[Places, Places]:
    """Places in `some` and in `others` that name the same: few of all the pairs."""
    rows = np.flatnonzero(np.isin(some, others))
    where, columns = np.nonzero(some[rows][:, None] == others)
    return rows[where], columns


def fit(
    config: Config,
    of: Sequences,
    text: Floats,
    keys: Keys,
    seed: int,
    epochs: int | None,
    minutes: float,
    bar: Bar,
    watch: Watch,
) -> tuple[bytes, bytes, Json]:
    """The user tower, the items' part and the card (see `TowerFit`); `text` [items, dim] and `keys`
    are of all items that take part.
    """
    started, course = time.process_time(), Course()
    if epochs is None:
        course = _search(config, of, text, seed, SEARCHED * minutes * 60, bar, watch)
    wanted = epochs or course.best or DEFAULT_EPOCHS
    trainer, losses = Trainer(config, of, text, seed), list[float]()
    events = min(int(of.followed.sum()), config.events_an_epoch)
    with bar("Learning", wanted * events) as advance:
        while len(losses) < wanted and (not losses or _minutes(started) < minutes):
            losses.append(trainer.epoch(len(losses) + 1, advance))
            watch("all", len(losses), {"loss": losses[-1]})
    card = {
        "method": config.loss,
        "config": asdict(config),
        "seed": seed,
        "epochs": len(losses),
        "chosen_by": {"ended": course.ended, "best": course.best, "epochs": course.epochs},
        "losses": losses,
        "events": len(of),
        "users": len(of.starts) - 1,
        "items": len(text),
        "items_with_id": len(trainer.trained),
        "dim": text.shape[1],
        "cpu_minutes": round(_minutes(started), 2),
        "device": str(trainer.device),
        "torch": torch.__version__,
    }
    weights = trainer.arrays()
    return to_onnx(weights), to_npz(weights, keys[trainer.trained]), card


def _minutes(started: float) -> float:
    return (time.process_time() - started) / 60


def _search(
    config: Config, of: Sequences, text: Floats, seed: int, seconds: float, bar: Bar, watch: Watch
) -> Course:
    """Epochs on all but the newest part, which then counts what was taken next, until `patience` of
    them have not been the best, or the time is over.
    """
    course, started, best = Course(), time.process_time(), -1.0
    early, queries = held_out(of, seed)
    before = of.part(early)
    if not queries or not before.followed.any():
        return course
    trainer = Trainer(config, before, text, seed)
    with bar("Choosing the number of epochs") as advance:
        for number in range(1, config.most_epochs + 1):
            figures = {"loss": trainer.epoch(number, advance), **trainer.measure(of, queries)}
            course.epochs.append(figures)
            watch("before", number, figures)
            value = figures["all"] + figures["new"]
            if value > best:
                course.best, best = number, value
            elif number - course.best >= config.patience:
                course.ended = "patience"
                break
            if time.process_time() - started > seconds:
                course.ended = "time"
                break
    return course
