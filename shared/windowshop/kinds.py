"""What is compared of two items, as numbers: category, the first part of it, brand and price, by
item key. A cache of what cards say; thread-safe.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.numbering import Index

Keys = NDArray[np.uint64]
Doubles = NDArray[np.float64]

TYPE, AISLE, BRAND, PRICE = range(4)
WIDTH = 4
MOST = 200_000
EXACT = (1 << 52) - 1
"""Whole numbers that a double tells apart."""


class Kinds:
    """Rows [WIDTH] by item key, as `row_of` makes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._index = Index()
        self._rows = np.zeros((1024, WIDTH))
        self._held = np.zeros(1024, np.bool_)

    def find(self, keys: Keys) -> tuple[Doubles, NDArray[np.bool_]]:
        """Rows [n, WIDTH], and which of them [n] are held; zeros where they are not."""
        with self._lock:
            slots = self._index.find(keys)
            held = (slots >= 0) & self._held[slots]
            return np.where(held[:, None], self._rows[slots], 0.0), held

    def put(self, keys: Keys, rows: Doubles) -> None:
        """Hold rows [n, WIDTH]; too many are all forgotten first."""
        with self._lock:
            if len(self._index) + len(keys) > MOST:
                self._start()
            slots = self._index.place(keys)
            if len(self._index) > len(self._held):
                more = max(len(self._index), 2 * len(self._held)) - len(self._held)
                self._rows = np.pad(self._rows, ((0, more), (0, 0)))
                self._held = np.pad(self._held, (0, more))
            self._rows[slots], self._held[slots] = rows, True

    def forget(self, keys: Keys) -> None:
        """Called when cards may have changed."""
        with self._lock:
            slots = self._index.find(keys)
            self._held[slots[slots >= 0]] = False


def row_of(card: Mapping[str, Any] | None) -> tuple[float, float, float, float]:
    """Numbers that stand for an item's category, the first part of it, its brand, and its price; 0
    for what it has not.
    """
    if card is None:
        return 0.0, 0.0, 0.0, 0.0
    category, price = card.get("category"), card.get("price")
    return (
        _number(tuple(category)) if category else 0.0,
        _number(category[0]) if category else 0.0,
        _number(card.get("brand")),
        float(price) if isinstance(price, int | float) and price > 0 else 0.0,
    )


def _number(value: object) -> float:
    """The same for equal values, in this process; 0 for nothing."""
    return float((hash(value) & EXACT) | 1) if value else 0.0
