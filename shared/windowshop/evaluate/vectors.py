"""Sparse vectors of users that change one by one, and their inner products with another. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.trace import Places

Floats = NDArray[np.float64]
LOOSE = 200
"""Rows that may have changed since the columns were sorted."""


def tally(places: NDArray[np.integer], weights: Floats, size: int) -> Floats:
    """The sum of weights [n] at each place [size]."""
    return np.bincount(places, weights, size).astype(np.float64, copy=False)


class Row(NamedTuple):
    """One vector: distinct places and their values."""

    at: Places
    values: Floats


EMPTY = Row(np.empty(0, np.intp), np.empty(0))


class Rows:
    """Vectors by row. Sorted by column, so that a product reads only what it meets; rows that were
    replaced since then are multiplied one by one. `having` [columns]: how many rows have each;
    `squares` [rows]: the inner product of each with itself.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._rows: list[Row] = [EMPTY] * rows
        self._loose: set[int] = set()
        self._columns = columns
        self._row_of = np.empty(0, np.intp)
        self._values = np.empty(0)
        self._starts = np.zeros(columns + 1, np.intp)
        self._dense = np.zeros(columns)
        self.having = np.zeros(columns)
        self.squares = np.zeros(rows)

    def __getitem__(self, row: int) -> Row:
        return self._rows[row]

    def put(self, row: int, vector: Row) -> None:
        self.having[self._rows[row].at] -= 1
        self.having[vector.at] += 1
        self.squares[row] = vector.values @ vector.values
        self._rows[row] = vector
        self._loose.add(row)

    def products(self, vector: Row) -> Floats:
        """The inner product [rows] of every row with `vector`."""
        if len(self._loose) > LOOSE:
            self._sort()
        starts = self._starts[vector.at]
        lengths = self._starts[vector.at + 1] - starts
        found = np.repeat(np.arange(len(vector.at)), lengths)
        entries = np.arange(len(found)) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
        weights = self._values[entries] * vector.values[found]
        products = tally(self._row_of[entries], weights, len(self._rows))
        if self._loose:
            loose = sorted(self._loose)
            products[loose] = self._one_by_one(loose, vector)
        return products

    def total(self, rows: Places, weights: Floats) -> Floats:
        """The weighted sum [columns] of some rows."""
        some = [self._rows[row] for row in rows.tolist()]
        if not some:
            return np.zeros(self._columns)
        lengths = [len(row.at) for row in some]
        values = np.concatenate([row.values for row in some]) * np.repeat(weights, lengths)
        return tally(np.concatenate([row.at for row in some]), values, self._columns)

    def _one_by_one(self, rows: list[int], vector: Row) -> Floats:
        some = [self._rows[row] for row in rows]
        lengths = [len(row.at) for row in some]
        self._dense[vector.at] = vector.values
        values = self._dense[np.concatenate([row.at for row in some])]
        self._dense[vector.at] = 0
        values *= np.concatenate([row.values for row in some])
        return tally(np.repeat(np.arange(len(rows)), lengths), values, len(rows))

    def _sort(self) -> None:
        lengths = [len(row.at) for row in self._rows]
        columns = np.concatenate([row.at for row in self._rows])
        order = np.argsort(columns, kind="stable")
        self._row_of = np.repeat(np.arange(len(self._rows)), lengths)[order]
        self._values = np.concatenate([row.values for row in self._rows])[order]
        self._starts = np.searchsorted(columns[order], np.arange(self._columns + 1))
        self._loose.clear()
