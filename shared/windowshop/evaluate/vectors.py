"""Sparse vectors of users that change one by one, and their inner products with another. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.trace import Places

Floats = NDArray[np.float64]
LOOSE = 250
"""Rows that may be replaced before the columns are sorted again."""


def tally(places: NDArray[np.integer], weights: Floats, size: int) -> Floats:
    """The sum of weights [n] at each place [size]."""
    return np.bincount(places, weights, size).astype(np.float64, copy=False)


def ranges(starts: Places, lengths: Places) -> Places:
    """The numbers of some ranges, one range after another."""
    ends = np.cumsum(lengths)
    return np.arange(int(lengths.sum())) + np.repeat(starts - ends + lengths, lengths)


class Row(NamedTuple):
    """One vector: distinct places and their values."""

    at: Places
    values: Floats


EMPTY = Row(np.empty(0, np.intp), np.empty(0))


class Rows:
    """Vectors by row. Sorted by column, so that a product reads only what it meets; what was put
    since then is multiplied whole. `having` [columns]: how many rows have each; `squares` [rows]:
    the inner product of each with itself.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._rows: list[Row] = [EMPTY] * rows
        self._loose = _Loose()
        self._columns = columns
        self._row_of = np.empty(0, np.int32)
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
        self._loose.put(row, vector)

    def products(self, vector: Row) -> Floats:
        """The inner product [rows] of every row with `vector`."""
        if self._loose.puts > LOOSE:
            self._sort()
        starts = self._starts[vector.at]
        lengths = self._starts[vector.at + 1] - starts
        entries = ranges(starts, lengths)
        weights = self._values[entries] * np.repeat(vector.values, lengths)
        products = tally(self._row_of[entries], weights, len(self._rows))
        if self._loose.puts:
            self._dense[vector.at] = vector.values
            rows, values = self._loose.products(self._dense)
            self._dense[vector.at] = 0
            products[rows] = values
        return products

    def total(self, rows: Places, weights: Floats) -> Floats:
        """The weighted sum [columns] of some rows."""
        some = [self._rows[row] for row in rows.tolist()]
        if not some:
            return np.zeros(self._columns)
        lengths = [len(row.at) for row in some]
        values = np.concatenate([row.values for row in some]) * np.repeat(weights, lengths)
        return tally(np.concatenate([row.at for row in some]), values, self._columns)

    def _sort(self) -> None:
        lengths = [len(row.at) for row in self._rows]
        columns = np.concatenate([row.at for row in self._rows])
        order = np.argsort(columns, kind="stable")
        self._row_of = np.repeat(np.arange(len(self._rows), dtype=np.int32), lengths)[order]
        self._values = np.concatenate([row.values for row in self._rows])[order]
        self._starts = np.searchsorted(columns[order], np.arange(self._columns + 1))
        self._loose = _Loose()


class _Loose:
    """Rows that were put of late, one after another as they came; `puts`: how many."""

    def __init__(self) -> None:
        self.puts = 0
        self._size = 0
        self._at = np.empty(1_024, np.int32)
        self._values = np.empty(1_024)
        self._put = np.empty(1_024, np.int32)
        self._newest: dict[int, int] = {}  # row -> which put

    def put(self, row: int, vector: Row) -> None:
        begin, end = self._size, self._size + len(vector.at)
        while end > len(self._at):
            self._at = np.concatenate((self._at, np.empty_like(self._at)))
            self._values = np.concatenate((self._values, np.empty_like(self._values)))
            self._put = np.concatenate((self._put, np.empty_like(self._put)))
        self._at[begin:end], self._values[begin:end] = vector.at, vector.values
        self._put[begin:end] = self.puts
        self._newest[row] = self.puts
        self.puts, self._size = self.puts + 1, end

    def products(self, dense: Floats) -> tuple[list[int], Floats]:
        """The rows that were put, and the inner product of each with `dense` [columns]."""
        at, values = self._at[: self._size], self._values[: self._size]
        found = tally(self._put[: self._size], dense[at] * values, self.puts)
        return list(self._newest), found[list(self._newest.values())]
