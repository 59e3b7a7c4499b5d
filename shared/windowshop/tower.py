"""A tower, served: it places items in a learned space by matrices, and a shopper by a small model.
What made it needs torch; this needs numpy and ONNX Runtime.
"""

import io
import threading
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import Unavailable
from windowshop.learned import ITEMS, MODEL, Learned, Opened, Shelf, session
from windowshop.rank import Floats, Keys
from windowshop.records import KIND_CODE
from windowshop.store import LEARNED_DIM

KIND = "tower"
NEWEST = 50
"""So many of a shopper's newest events are read."""
LIKED_STARS = 4.0
_RATE, _DISLIKE = KIND_CODE["rate"], KIND_CODE["dislike"]


def tower_kinds(kinds: NDArray[np.uint8], values: Floats) -> NDArray[np.uint8]:
    """Kinds [n] of events as a tower is told them: few stars are a dislike."""
    return np.where((kinds == _RATE) & (values < LIKED_STARS), _DISLIKE, kinds).astype(np.uint8)


class Tower:
    """One version. `items`, an npz: `linear` [dim, 128], `bias` [128], `keys` [m] ascending, and
    the `ids` [m, 128] of those items. Thread-safe. Raises Unavailable: it cannot be read.
    """

    def __init__(self, model: bytes, items: bytes, version: str) -> None:
        self.version = version
        self._model = model
        self._session: Any = None
        self._lock = threading.Lock()
        try:
            with np.load(io.BytesIO(items), allow_pickle=False) as held:
                linear, self._bias = held["linear"].astype("f4"), held["bias"].astype("f4")
                self._keys, self._ids = held["keys"].astype("u8"), held["ids"].astype("f2")
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise Unavailable(f"the items of tower {version} cannot be read: {error}") from error
        self._linear = np.asarray(linear, np.float32)
        width, count = LEARNED_DIM, len(self._keys)
        shapes = (linear.shape[1:], self._bias.shape, self._ids.shape)
        if linear.ndim != 2 or shapes != ((width,), (width,), (count, width)):
            raise Unavailable(f"the items of tower {version} have other shapes than {width} needs")

    def items(self, keys: Keys, text: Floats) -> Floats:
        """See `rank.Space`. An item that it was not trained with is placed by its text alone."""
        if text.shape[1] != len(self._linear):
            wide = f"{len(self._linear)} numbers a text, not {text.shape[1]}"
            raise Unavailable(f"tower {self.version} was made for another encoder: {wide}")
        rows = text @ self._linear + self._bias
        if len(self._keys):
            wanted = np.asarray(keys, np.uint64)
            at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            known = self._keys[at] == wanted
            rows[known] += self._ids[at[known]]
        found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        return found

    def user(self, items: Floats, kinds: NDArray[np.uint8], gaps: Floats) -> Floats:
        """See `rank.Space`."""
        told = {
            "items": np.ascontiguousarray(items[None], np.float32),
            "kinds": kinds[None].astype(np.int64),
            "gaps": np.ascontiguousarray(gaps[None], np.float32),
        }
        try:
            found: Floats = self._opened().run(["user"], told)[0][0]
        except Unavailable:
            raise
        except Exception as error:
            raise Unavailable(f"tower {self.version} failed: {error}") from error
        if found.shape != (LEARNED_DIM,) or not np.isfinite(found).all():
            raise Unavailable(f"tower {self.version} gave what is no vector")
        return found

    def _opened(self) -> Any:
        """The session, which a process that only places items never needs."""
        with self._lock:
            if self._session is None:
                self._session = session(self._model, f"tower {self.version}")
            return self._session


def open_tower(learned: Learned) -> Tower:
    """Raises Unavailable: it cannot be read."""
    return Tower(learned.read(MODEL), learned.read(ITEMS), learned.version)


class Towers:
    """The towers of a shelf, opened when they are first asked for: of each store the last one."""

    def __init__(self, shelf: Shelf) -> None:
        self._opened = Opened(shelf, open_tower)

    def get(self, store: str, version: str) -> Tower | None:
        """None where it is missing or broken (which is logged): the other sources go on."""
        return self._opened.get(store, KIND, version)
