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
    query_windows,
    what_came_next,
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
Watch = Callable[[int, Figures], None]
"""Told an epoch's number, from 1, and its figures."""

DEFAULT_EPOCHS = 10
"""Where nothing tells how many there should be."""

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
        self._chance = torch.Generator(self.device).manual_seed(seed)
        first = new_weights(
            config, text.shape[1], len(self.trained), torch.Generator().manual_seed(seed)
        )
        self.weights: Weights = {
            name: tensor.to(self.device).requires_grad_() for name, tensor in first.items()
        }
        self._optimizer = torch.optim.AdamW(
            self.weights.values(), lr=config.rate, weight_decay=config.decay, fused=True
        )

    @property
    def events(self) -> int:
        """At most so many in an epoch."""
        return min(int(self._of.followed.sum()), self.config.events_an_epoch)

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
        vectors = self._items(names, self._chance)
        at = self._to(places)
        own, taken, others = at.split((one.items.size, len(targets), len(drawn)))
        users = self._users(one, vectors[own], self._chance)[self._to(one.there)]
        rows, columns = _same(targets, drawn)
        same = self._to(rows), self._to(columns)
        found = (users, vectors[taken], vectors[others], same)
        return loss_of(self.weights, self.config, *found, half=self._half)

    def _items(self, names: Places, chance: torch.Generator | None = None) -> Tensor:
        text, numbers = self._to(self._text[names]), self._to(self._number[names])
        return item_vectors(self.weights, self.config, numbers, text, chance)

    def _users(self, one: Batch, items: Tensor, chance: torch.Generator | None = None) -> Tensor:
        return user_vectors(
            self.weights,
            self.config,
            items.view(*one.items.shape, -1),
            self._to(one.kinds),
            self._to(one.days),
            self._to(one.there),
            chance,
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
    started = time.thread_time()
    queries = () if epochs else what_came_next(of, seed)
    trainer = Trainer(config, of.part(of.early), text, seed)
    wanted = config.most_epochs if queries else epochs or DEFAULT_EPOCHS
    course, weights, best = Course(), trainer.arrays(), -1.0
    with bar("Learning", None if queries else wanted * trainer.events) as advance:
        for number in range(1, wanted + 1):
            figures = {"loss": trainer.epoch(number, advance)}
            value = 0.0
            if queries:
                figures |= trainer.measure(of, queries)
                value = figures["all"] + figures["new"]
            course.epochs.append(figures)
            watch(number, figures)
            if value > best or not queries:
                course.best, best, weights = number, value, trainer.arrays()
            elif number - course.best >= config.patience:
                course.ended = "patience"
                break
            if _minutes(started) > minutes:
                course.ended = "time"
                break
    card = {
        "method": config.loss,
        "config": asdict(config),
        "seed": seed,
        "epochs": course.best,
        "chosen_by": asdict(course),
        "losses": [one["loss"] for one in course.epochs],
        "events": int(of.early.sum()),
        "users": len(np.unique(of.user[of.early])),
        "items": len(text),
        "items_with_id": len(trainer.trained),
        "dim": text.shape[1],
        "cpu_minutes": round(_minutes(started), 2),
        "device": str(trainer.device),
        "torch": torch.__version__,
    }
    return to_onnx(weights), to_npz(weights, keys[trainer.trained]), card


def _minutes(started: float) -> float:
    return (time.thread_time() - started) / 60
