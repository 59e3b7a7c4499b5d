"""Scoring, ranking and reranking: pure functions over small arrays.

A source proposes items with scores; `blend` scales every signal to 0..1, weighs and adds them;
`pick` walks the ranking once and keeps what groups, caps and diversity allow.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from windowshop.filters import values_at

Keys = NDArray[np.uint64]
Floats = NDArray[np.float32]


class Source(NamedTuple):
    """What one candidate source proposes: item keys [n] and their scores [n], all >= 0."""

    signal: str
    keys: Keys
    scores: Floats


@dataclass(frozen=True, slots=True)
class Pool:
    """Distinct candidates: keys [n], the weighted part of every signal [n, s], their sums [n]."""

    keys: Keys
    parts: Floats
    scores: Floats
    signals: tuple[str, ...]

    def strongest(self, row: int) -> str | None:
        """The signal that contributed most to a candidate; None where none did."""
        if not self.signals:
            return None
        best = int(self.parts[row].argmax())
        return self.signals[best] if self.parts[row, best] > 0 else None


class Scorer(Protocol):
    """A learned order of candidates. Its scores mean nothing but their order."""

    def score(self, keys: Keys, names: Sequence[str], rows: Floats) -> Floats:
        """Scores [n] of items [n], each with its row of named features [n, f]. May raise anything:
        who asks goes on without.
        """


class Rankers(Protocol):
    """The learned orders that serve: by store and task, which is `all` or `new`."""

    def get(self, store: str, task: str) -> Scorer | None:
        """None where none serves."""


class Unlearned:
    """Nothing was learned: the plain weights order everything."""

    def get(self, store: str, task: str) -> Scorer | None:
        return None


class Space(Protocol):
    """A learned space of items and shoppers: what a shopper takes next lies near them."""

    @property
    def version(self) -> str:
        """Its name, which tells its vectors from those of any other space."""

    def items(self, keys: Keys, text: Floats) -> Floats:
        """Unit vectors [n, 128] of items [n], from their text vectors [n, dim]."""

    def user(self, items: Floats, kinds: NDArray[np.uint8], gaps: Floats) -> Floats:
        """A shopper's unit vector [128], from the vectors [n, 128] of the items of their newest
        events, oldest first, with the kinds [n] and `gaps` [n], log1p of days before the newest.
        Raises Unavailable.
        """


class Towers(Protocol):
    """The learned spaces of the stores."""

    def get(self, store: str, version: str) -> Space | None:
        """None where it is not to be had."""


class Towerless:
    """No space was learned."""

    def get(self, store: str, version: str) -> Space | None:
        return None


@dataclass(slots=True)
class Candidate:
    """One candidate on its way into a slate; `row` is its row in the pool, -1 for a fill."""

    key: int
    item: Mapping[str, Any]
    score: float
    row: int
    pinned: bool = False


EMPTY_KEYS: Keys = np.empty(0, np.uint64)
EMPTY_SCORES: Floats = np.empty(0, np.float32)


def blend(sources: Iterable[Source], weights: Mapping[str, float]) -> Pool:
    """Join sources into one pool.

    Within a signal the greatest score of an item counts, and all are divided by the signal's
    greatest, so that weights mean the same whatever a source's unit is. Signals without a positive
    weight are left out.
    """
    used = [s for s in sources if weights.get(s.signal, 0.0) > 0 and len(s.keys)]
    signals = tuple(dict.fromkeys(source.signal for source in used))
    if not used:
        return Pool(EMPTY_KEYS, np.empty((0, 0), np.float32), EMPTY_SCORES, ())
    keys, where = np.unique(np.concatenate([source.keys for source in used]), return_inverse=True)
    parts = np.zeros((len(keys), len(signals)), np.float32)
    start = 0
    for source in used:
        rows = where[start : start + len(source.keys)]
        start += len(source.keys)
        np.maximum.at(parts[:, signals.index(source.signal)], rows, source.scores)
    tops = parts.max(axis=0)
    scale = np.array([weights[signal] for signal in signals], np.float32)
    parts *= np.divide(scale, tops, out=np.zeros_like(tops), where=tops > 0)
    return Pool(keys, parts, parts.sum(axis=1), signals)


def above_floor(cosines: Floats) -> Floats:
    """Cosines of one search's hits, moved so that the last hit scores near 0.

    What a search did not return scores 0 in `blend`; without this the step between the last hit
    and the first miss would outweigh all differences between the hits.
    """
    if len(cosines) == 0:
        return cosines
    floor = float(cosines.min())
    span = float(cosines.max()) - floor
    if span <= 0:
        return np.ones_like(cosines)
    return np.asarray(0.05 + 0.95 * (cosines - floor) / span, np.float32)


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Best first; equal scores by item id, so that the same state gives the same slate."""
    return sorted(candidates, key=lambda c: (-c.score, c.item["item_id"]))


Similarity = Callable[[Sequence[int]], Floats]
"""Item keys -> unit vectors [n, dim]; a zero row where an item has none."""


def pick(
    ranked: Sequence[Candidate],
    limit: int,
    *,
    caps: Mapping[str, int] | None = None,
    diversity: float = 0.0,
    vectors: Similarity | None = None,
    taken: Sequence[Candidate] = (),
) -> list[Candidate]:
    """The first `limit` of a ranking that may stand together, after those already `taken`.

    One item a `group_id`, at most `caps[field]` with one value of a field. `diversity` > 0 picks by
    maximal marginal relevance (Carbonell & Goldstein 1998): (1 - d) score - d max cosine to what
    is picked, over the first 3 limit + 50 candidates.
    """
    gate = _Gate(caps or {})
    picked: list[Candidate] = []
    for candidate in taken:
        gate.admits(candidate.item)
        picked.append(candidate)
    if diversity > 0 and vectors is not None and len(ranked) > 1:
        ranked = _diversified(ranked, limit, diversity, vectors, gate)
    for candidate in ranked:
        if len(picked) >= limit:
            break
        if gate.admits(candidate.item):
            picked.append(candidate)
    return picked


class _Gate:
    """Counts what is in the slate and refuses what groups and caps forbid."""

    def __init__(self, caps: Mapping[str, int]) -> None:
        self._caps = caps
        self._groups: set[str] = set()
        self._counts: dict[tuple[str, object], int] = {}

    def copy(self) -> "_Gate":
        other = _Gate(self._caps)
        other._groups = set(self._groups)
        other._counts = dict(self._counts)
        return other

    def admits(self, item: Mapping[str, Any]) -> bool:
        """Whether the item may enter; if so, it is counted as entered."""
        group = item.get("group_id")
        if group is not None and group in self._groups:
            return False
        held = [(field, value) for field in self._caps for value in _cap_values(item, field)]
        if any(self._counts.get(pair, 0) >= self._caps[pair[0]] for pair in held):
            return False
        if group is not None:
            self._groups.add(group)
        for pair in held:
            self._counts[pair] = self._counts.get(pair, 0) + 1
        return True


def _cap_values(item: Mapping[str, Any], field: str) -> Sequence[Any]:
    """A category caps as a whole path; any other list by each of its values."""
    if field == "category":
        category = item.get("category")
        return (" > ".join(category),) if category else ()
    return values_at(item, field)


def _diversified(
    ranked: Sequence[Candidate], limit: int, diversity: float, vectors: Similarity, gate: _Gate
) -> list[Candidate]:
    head = list(ranked[: 3 * limit + 50])
    units = vectors([candidate.key for candidate in head])
    top = max(head[0].score, 1e-9)
    relevance = np.array([max(candidate.score, 0.0) / top for candidate in head], np.float32)
    nearest = np.zeros(len(head), np.float32)
    open_rows = np.ones(len(head), bool)
    trial = gate.copy()
    chosen: list[Candidate] = []
    while len(chosen) < limit and open_rows.any():
        gain = np.where(open_rows, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(gain.argmax())  # the first of equals: ranked order breaks ties
        open_rows[best] = False
        if trial.admits(head[best].item):
            chosen.append(head[best])
            np.maximum(nearest, units @ units[best], out=nearest)
    kept = {id(candidate) for candidate in chosen}
    return chosen + [candidate for candidate in ranked if id(candidate) not in kept]


def place_pins(
    slate: Sequence[Candidate], pins: Sequence[tuple[int, Candidate]], limit: int
) -> list[Candidate]:
    """Put pinned items at their places (from 0; past the end: last); no item stands twice."""
    keys = {candidate.key for _, candidate in pins}
    rest = [candidate for candidate in slate if candidate.key not in keys]
    pins = sorted(pins, key=lambda pin: pin[0])[:limit]
    rest = rest[: limit - len(pins)]
    for at, candidate in pins:
        rest.insert(min(at, len(rest)), candidate)
    return rest
