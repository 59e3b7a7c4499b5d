"""What the sources said of each query, kept as arrays: any weights, half-lives and sizes of a grid
can be tried on them at once, with the lists that the shop itself would have shown. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.blend import Blend, weights_of
from windowshop.evaluate.metrics import TOP, Lists, Scores
from windowshop.evaluate.protocol import Task
from windowshop.evaluate.trace import Places
from windowshop.rank import Floats

SCENARIO = "for_you"
ORDER = ("meaning", "learned", "intent", "habit", "recent", "popular", "trend", "like_minded")
"""Signals in the order of their sources: sums of floats depend on it."""
ABSENT = np.float32(-2)
"""What nothing proposed; a list is filled up from popular items, at -1 and above."""

_GAINS = 1 / np.log2(np.arange(TOP) + 2)
_IDEAL = np.cumsum(_GAINS)


class Column(NamedTuple):
    """One source, made with these numbers (0 where it has none such)."""

    signal: str
    half_life: float = 0.0
    size: int = 0


def column_of(blend: Blend, signal: str) -> Column:
    """The source that a blend asks for."""
    if signal == "habit":
        return Column(signal, float(blend["habit_half_life"]))
    if signal == "popular":
        return Column(signal, float(blend["popular_half_life"]), int(blend["popular_items"]))
    if signal == "like_minded":
        return Column(signal, float(blend["like_minded_half_life"]), int(blend["neighbours"]))
    return Column(signal)


class Proposals(NamedTuple):
    """What one source proposed for one query: numbers of the items that may be shown [n], their
    scores [n], and the greatest score of all, of those that may not be shown too.
    """

    items: Places
    scores: Floats
    top: float


@dataclass(slots=True)
class _Cells:
    """One column of a sheet: of each query [q] how many cells, the top, and the tenth best score of
    those shown (0 where there are fewer); of each cell [c] its place and its score.
    """

    counts: NDArray[np.intp]
    tops: Floats
    tenths: Floats
    places: NDArray[np.int32]
    scores: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """All that was said of one query, and what was taken."""

    user: int
    time: int
    events: int
    """In the shopper's profile."""
    truth: Places
    columns: Mapping[Column, Proposals]


class Sheet:
    """The queries [q] of one task, each with its candidates [n in all], which are sorted by id."""

    def __init__(self, said: Sequence[Said]) -> None:
        self.users = np.array([one.user for one in said], np.intp)
        self.times = np.array([one.time for one in said], np.int64)
        self.events = np.array([one.events for one in said], np.intp)
        self.ideals = _IDEAL[[min(TOP, len(one.truth)) - 1 for one in said]]
        parts = [_union(one) for one in said]
        sizes = np.array([len(items) for items in parts], np.intp)
        self._items = _joined(parts)
        self._rows = np.repeat(np.arange(len(said), dtype=np.int32), sizes)
        self._starts = np.cumsum(sizes) - sizes
        self._cells = {name: self._cells_of(said, parts, name) for name in _columns(said)}
        self.signals = {column.signal for column in self._cells}
        hits = [np.isin(items, one.truth) for items, one in zip(parts, said, strict=True)]
        self._hits = np.concatenate([*hits, np.empty(0, np.bool_)])

    def __len__(self) -> int:
        return len(self.users)

    def _cells_of(self, said: Sequence[Said], parts: Sequence[Places], column: Column) -> _Cells:
        none = Proposals(np.empty(0, np.intp), np.empty(0, np.float32), 0.0)
        found = [one.columns.get(column, none) for one in said]
        places = [
            start + np.searchsorted(items, one.items)
            for start, items, one in zip(self._starts, parts, found, strict=True)
        ]
        return _Cells(
            np.array([len(one.items) for one in found], np.intp),
            np.array([one.top for one in found], np.float32),
            np.array([_tenth(one.scores) for one in found], np.float32),
            _joined(places).astype(np.int32),
            np.concatenate([*(one.scores for one in found), np.empty(0, np.float32)]),
        )

    # --- trying ---------------------------------------------------------------------------------

    def ndcg(self, blend: Blend) -> Scores:
        """NDCG@10 of each query [q], as `metrics.mark` finds it for the lists."""
        places, ranks = self._shown(blend)
        hits = self._hits[places]
        gains = np.bincount(self._rows[places[hits]], _GAINS[ranks[hits]], minlength=len(self))
        return gains / self.ideals

    def lists(self, blend: Blend) -> Lists:
        """The numbers of the first items [q, TOP]; -1 where a list is shorter."""
        places, ranks = self._shown(blend)
        found = np.full((len(self), TOP), -1, np.intp)
        found[self._rows[places], ranks] = self._items[places]
        return found

    def _shown(self, blend: Blend) -> tuple[Places, Places]:
        """Places of the candidates that are shown, and their ranks from 0: by falling score, equal
        ones by id.
        """
        sums, bounds = self._sums(blend)
        if (bounds == 0).any():
            self._fill(blend, sums, bounds)
        places = np.flatnonzero(sums >= bounds[self._rows])
        rows = self._rows[places]
        order = np.lexsort((-sums[places], rows))  # a stable sort
        places, rows = places[order], rows[order]
        ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
        shown = ranks < TOP
        return places[shown], ranks[shown]

    def _sums(self, blend: Blend) -> tuple[Floats, Floats]:
        """The scores [n], and of each query a bound [q] that ten of its candidates reach: what lies
        below is not shown. No part of a sum is negative, so the tenth of any signal will do.
        """
        table = blend[SCENARIO]
        weights = [weights_of(table, events) for events in self.events.tolist()]
        sums, bounds = np.zeros(len(self._rows), np.float32), np.zeros(len(self), np.float32)
        for signal in ORDER:
            scale = np.array([some.get(signal, 0.0) for some in weights], np.float32)
            if signal not in self.signals or not scale.any():
                continue
            cells = self._cells[column_of(blend, signal)]  # a form that was not captured is a bug
            tops = cells.tops
            scale = np.divide(scale, tops, out=np.zeros_like(tops), where=tops > 0)
            sums[cells.places] += cells.scores * np.repeat(scale, cells.counts)
            np.maximum(bounds, cells.tenths * scale, out=bounds)
        return sums, bounds

    def _fill(self, blend: Blend, sums: Floats, bounds: Floats) -> None:
        """Where a query may have too few candidates, popular items come after them."""
        filled = np.full(len(sums), ABSENT, np.float32)
        cells = self._cells.get(column_of(blend, "popular"))
        if cells is not None:
            tops = np.repeat(np.maximum(cells.tops, 1e-30), cells.counts)
            filled[cells.places] = cells.scores / tops - 1
        few = (bounds == 0)[self._rows] & (sums == 0)
        sums[few] = filled[few]
        bounds[bounds == 0] = ABSENT + 1


Sheets = Mapping[tuple[Task, str], Sheet]
"""By task, and by the span of the shopper's history."""


def _tenth(scores: Floats) -> float:
    if len(scores) < TOP:
        return 0.0
    return float(np.partition(scores, len(scores) - TOP)[len(scores) - TOP])


def _joined(parts: Sequence[Places]) -> Places:
    return np.concatenate([*parts, np.empty(0, np.intp)])


def _columns(said: Iterable[Said]) -> list[Column]:
    return sorted({column for one in said for column in one.columns})


def _union(one: Said) -> Places:
    parts = [proposals.items for proposals in one.columns.values()]
    return np.unique(_joined(parts)).astype(np.intp)
