"""Large sets of 64-bit keys in numpy: which are held, and what number each has. Not thread-safe.

A Python dict of a million keys takes 100 MB; a sorted array takes 8. What is new waits in a small
dict or set until it is worth merging in.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Slots = NDArray[np.intp]
N = TypeVar("N", np.uint64, np.intp)

MANY = 4_096


class Members:
    """A set of keys."""

    def __init__(self, keys: Keys | None = None) -> None:
        self._sorted = np.empty(0, np.uint64) if keys is None else distinct(keys)
        self._fresh: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._fresh)

    def all(self) -> Keys:
        """Every key, sorted."""
        self._merge()
        return self._sorted

    def add(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of `keys` [n] were new; of equal ones only the first is."""
        if len(keys) > MANY:
            self._merge()
        new = np.zeros(len(keys), np.bool_)
        _, first = np.unique(keys, return_index=True)
        first = first[~among(keys[first], self._sorted)]
        if self._fresh:
            first = first[[key not in self._fresh for key in keys[first].tolist()]]
        new[first] = True
        if len(first) > MANY:
            self._insert(keys[first])
        else:
            self._fresh.update(keys[first].tolist())
            if len(self._fresh) > max(MANY, len(self._sorted) // 16):
                self._merge()
        return new

    def _merge(self) -> None:
        if self._fresh:
            self._insert(np.sort(np.fromiter(self._fresh, np.uint64, len(self._fresh))))
            self._fresh = set()

    def _insert(self, keys: Keys) -> None:
        """Sorted keys that are not held yet."""
        self._sorted = np.insert(self._sorted, np.searchsorted(self._sorted, keys), keys)


class Index:
    """Keys numbered from 0 in the order they came. `keys[number]` is the key."""

    def __init__(self, keys: Keys | None = None) -> None:
        self.keys = np.empty(0, np.uint64) if keys is None else keys
        self._size = len(self.keys)
        self._slots = np.argsort(self.keys)
        self._sorted = self.keys[self._slots]
        self._fresh: dict[int, int] = {}

    def __len__(self) -> int:
        return self._size

    def find(self, keys: Keys) -> Slots:
        """The number of each key [n]; -1 for those not held."""
        slots = np.full(len(keys), -1)
        if len(self._sorted):
            at = np.searchsorted(self._sorted, keys)
            at[at == len(self._sorted)] = 0
            slots = np.where(self._sorted[at] == keys, self._slots[at], -1)
        if self._fresh:
            missing = np.flatnonzero(slots < 0)
            fresh = self._fresh
            slots[missing] = [fresh.get(key, -1) for key in keys[missing].tolist()]
        return slots

    def place(self, keys: Keys) -> Slots:
        """As `find`; those not held are numbered first."""
        slots = self.find(keys)
        missing = slots < 0
        if not missing.any():
            return slots
        unknown, first = np.unique(keys[missing], return_index=True)
        unknown = unknown[np.argsort(first)]
        numbers = np.arange(self._size, self._size + len(unknown))
        self._append(unknown)
        if len(unknown) > MANY:
            self._insert(unknown, numbers)
        else:
            self._fresh.update(zip(unknown.tolist(), numbers.tolist(), strict=True))
        slots = self.find(keys)
        if len(self._fresh) > max(MANY, len(self._sorted) // 16):
            fresh = self._fresh
            self._fresh = {}
            self._insert(
                np.fromiter(fresh, np.uint64, len(fresh)),
                np.fromiter(fresh.values(), np.intp, len(fresh)),
            )
        return slots

    def _append(self, keys: Keys) -> None:
        room, needed = len(self.keys), self._size + len(keys)
        if needed > room:
            self.keys = np.pad(self.keys, (0, max(needed, 2 * room) - room))
        self.keys[self._size : needed] = keys
        self._size = needed

    def _insert(self, keys: Keys, slots: Slots) -> None:
        order = np.argsort(keys)
        at = np.searchsorted(self._sorted, keys[order])
        self._sorted = np.insert(self._sorted, at, keys[order])
        self._slots = np.insert(self._slots, at, slots[order])


def among(keys: NDArray[N], held: NDArray[N]) -> NDArray[np.bool_]:
    """Which of `keys` [n] are among `held` [m], which are sorted. Faster than numpy's `isin`, which
    sorts them all.
    """
    if not len(held):
        return np.zeros(len(keys), np.bool_)
    at = np.searchsorted(held, keys)
    at[at == len(held)] = 0
    found: NDArray[np.bool_] = held[at] == keys
    return found


def distinct(keys: NDArray[N]) -> NDArray[N]:
    """Each of `keys` once, sorted. Faster than numpy's `unique`, which hashes."""
    ordered = np.sort(keys)
    kept = np.ones(len(ordered), np.bool_)
    kept[1:] = ordered[1:] != ordered[:-1]
    return ordered[kept]
