"""A tower, served: it places items in a learned space by matrices, and a shopper by a small model.
What made it needs torch; this needs numpy and ONNX Runtime.
"""

import io
import threading
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

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


class _Matrices(NamedTuple):
    """What places items: from text vectors, and the vectors of those that it was trained with."""

    linear: Floats  # [dim, 128]
    bias: Floats  # [128]
    keys: Keys  # [m], ascending
    ids: NDArray[np.float16]  # [m, 128]


class Tower:
    """One version, its files read by name when they are first needed: who recommends places no
    items, who embeds them no shoppers. Thread-safe.
    """

    def __init__(self, read: Callable[[str], bytes], version: str) -> None:
        self.version = version
        self._read = read
        self._session: Any = None
        self._held: _Matrices | None = None
        self._lock = threading.Lock()

    def items(self, keys: Keys, text: Floats) -> Floats:
        """See `rank.Space`. An item that it was not trained with is placed by its text alone.
        Raises Unavailable: what is needed cannot be read, or was made for another encoder.
        """
        held = self._matrices()
        if text.shape[1] != len(held.linear):
            wide = f"{len(held.linear)} numbers a text, not {text.shape[1]}"
            raise Unavailable(f"tower {self.version} was made for another encoder: {wide}")
        rows = text @ held.linear + held.bias
        if len(held.keys):
            wanted = np.asarray(keys, np.uint64)
            at = np.minimum(np.searchsorted(held.keys, wanted), len(held.keys) - 1)
            known = held.keys[at] == wanted
            rows[known] += held.ids[at[known]]
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
        with self._lock:
            if self._session is None:
                self._session = session(self._read(MODEL), f"tower {self.version}")
            return self._session

    def _matrices(self) -> _Matrices:
        with self._lock:
            if self._held is None:
                self._held = _matrices(self._read(ITEMS), self.version)
            return self._held


def _matrices(items: bytes, version: str) -> _Matrices:
    """From an npz. Raises Unavailable: it cannot be read."""
    try:
        with np.load(io.BytesIO(items), allow_pickle=False) as held:
            linear, bias = held["linear"].astype("f4"), held["bias"].astype("f4")
            keys, ids = held["keys"].astype("u8"), held["ids"].astype("f2")
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise Unavailable(f"the items of tower {version} cannot be read: {error}") from error
    width, count = LEARNED_DIM, len(keys)
    shapes = (linear.shape[1:], bias.shape, ids.shape)
    if linear.ndim != 2 or shapes != ((width,), (width,), (count, width)):
        raise Unavailable(f"the items of tower {version} have other shapes than {width} needs")
    return _Matrices(linear, bias, keys, ids)


def open_tower(learned: Learned) -> Tower:
    return Tower(learned.read, learned.version)


class Towers:
    """The towers of a shelf, opened when they are first asked for: of each store the last one."""

    def __init__(self, shelf: Shelf) -> None:
        self._opened = Opened(shelf, open_tower)

    def get(self, store: str, version: str) -> Tower | None:
        """None where it is missing (which is logged): the other sources go on."""
        return self._opened.get(store, KIND, version)
