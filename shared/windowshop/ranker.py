"""A learned ranker, served: the model of a store, its features by name, scores for candidates."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from windowshop.errors import Unavailable, WindowshopError
from windowshop.learned import AGAIN_S, MODEL, Learned, Opened, Shelf, session
from windowshop.logs import log
from windowshop.rank import Floats, Keys


class Ranker:
    """Scores rows of named features. Thread-safe. Raises Unavailable: the model is broken."""

    def __init__(self, model: bytes, features: Sequence[str]) -> None:
        self._names = tuple(features)
        self._session = session(model, "a ranker")
        width = self._session.get_inputs()[0].shape[-1]
        if width != len(self._names):
            raise Unavailable(f"a ranker of {width} features names {len(self._names)}")
        self._order: tuple[tuple[str, ...], list[int]] | None = None

    def score(self, keys: Keys, names: Sequence[str], rows: Floats) -> Floats:
        """Scores [n] of rows [n, f]; what the model knows and the rows lack counts as 0."""
        held = self._order
        if held is None or held[0] != tuple(names):
            place: Mapping[str, int] = {name: at for at, name in enumerate(names)}
            held = self._order = tuple(names), [place.get(name, -1) for name in self._names]
        picked = rows[:, held[1]]
        for at, found in enumerate(held[1]):
            if found < 0:
                picked[:, at] = 0
        scores: Floats = self._session.run(None, {"rows": np.ascontiguousarray(picked)})[0]
        return scores.reshape(-1)


def open_ranker(learned: Learned) -> Ranker:
    """Raises Unavailable: it cannot be read."""
    return Ranker(learned.read(MODEL), [str(name) for name in learned.card.get("features", ())])


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Rankers:
    """The rankers that serve, by store and task. Which one does is looked up every time, or, where
    that is a call over the network, believed for `believed_ms`.
    """

    def __init__(
        self, shelf: Shelf, believed_ms: int = 0, wall: Callable[[], int] = _wall_ms
    ) -> None:
        self._shelf, self._believed_ms, self._wall = shelf, believed_ms, wall
        self._opened = Opened(shelf, open_ranker)
        self._serves: dict[tuple[str, str], tuple[str, int]] = {}

    def get(self, store: str, task: str) -> Ranker | None:
        """None where none serves, or where it is broken (which is logged): the plain weights do."""
        kind = f"ranker-{task}"
        version = self._version(store, kind)
        return self._opened.get(store, kind, version) if version else None

    def _version(self, store: str, kind: str) -> str:
        # By the wall: what was believed in a snapshot is looked up anew when it wakes.
        version, until = self._serves.get((store, kind), ("", 0))
        now = self._wall()
        if now < until:
            return version
        try:
            version, span = self._shelf.serves(store, kind), self._believed_ms
        except WindowshopError as error:  # what served goes on
            log("ranker").warning("ranker_lookup_failed", store=store, detail=error.detail)
            span = max(self._believed_ms, int(AGAIN_S * 1000))
        if span:
            self._serves[store, kind] = version, now + span
        return version
