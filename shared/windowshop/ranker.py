"""A learned ranker, served: the model of a store, its features by name, scores for candidates."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from windowshop.errors import Unavailable
from windowshop.learned import MODEL, Learned, Shelf
from windowshop.logs import log
from windowshop.rank import Floats, Keys


class Ranker:
    """Scores rows of named features. Thread-safe. Raises Unavailable: the model is broken."""

    def __init__(self, model: bytes, features: Sequence[str]) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is raised
        self._names = tuple(features)
        try:
            self._session = InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Unavailable(f"a ranker cannot be read: {error}") from error
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
    try:
        model = (learned.folder / MODEL).read_bytes()
    except OSError as error:
        raise Unavailable(f"{learned.folder / MODEL} cannot be read: {error.strerror}") from error
    return Ranker(model, [str(name) for name in learned.card.get("features", ())])


class Rankers:
    """The rankers that serve, by store and task; a newly promoted one is noticed at once."""

    def __init__(self, root: Path) -> None:
        self._shelf = Shelf(root)
        self._held: dict[tuple[str, str], tuple[int, Ranker | None]] = {}
        self._lock = threading.Lock()

    def get(self, store: str, task: str) -> Ranker | None:
        """None where none serves, or where it is broken (which is logged): the plain weights do."""
        kind = f"ranker-{task}"
        mark = self._shelf.mark(store, kind)
        held = self._held.get((store, task))
        if held is None or held[0] != mark:
            with self._lock:
                self._held[store, task] = held = mark, self._open(store, kind)
        return held[1]

    def _open(self, store: str, kind: str) -> Ranker | None:
        try:
            learned = self._shelf.current(store, kind)
            return None if learned is None else open_ranker(learned)
        except Unavailable as error:
            log("ranker").error("ranker_not_opened", store=store, detail=error.detail)
            return None
