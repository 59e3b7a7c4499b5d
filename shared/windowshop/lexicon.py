"""What a store's words are worth, and searches by them. Pure arithmetic.

An item's words are a sparse vector in the store; a search is one too, with the store's own inverse
document frequencies multiplied in (never those of the whole collection: it holds other stores').
"""

import io
import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import InvalidInput
from windowshop.words import alike, dimension, grams, words, written

USUAL = 12
"""Words of an item whose vector is neither lengthened nor shortened."""
LENGTH = 0.3
"""How much an item's length counts: BM25's b (Robertson & Zaragoza 2009)."""
GUESSED = 0.7
"""What a word counts that is only spelled alike."""
ALIKE = 0.5
"""From here on a word may stand for another one."""
ASKED = 32
"""So many words of a search are looked for."""

Dims = NDArray[np.uint32]
Weights = NDArray[np.float32]


class Lexicon:
    """In how many of a store's items each word is written, by dimension."""

    def __init__(self, dims: Dims, counts: NDArray[np.int64], items: int, total: int) -> None:
        """`dims` [n] ascending, `counts` [n]; `items`: how many of the store's `total` were
        counted.
        """
        self.dims, self.counts, self.items, self.total = dims, counts, items, total

    @classmethod
    def count(cls, items: Iterable[Mapping[str, Any]], total: int | None = None) -> "Lexicon":
        """From the payloads of the items, or of a sample of `total`."""
        parts: list[Dims] = []
        for item in items:
            named = {dimension(word) for word in written(item)}
            parts.append(np.fromiter(named, np.uint32, len(named)))
        every = np.concatenate(parts) if parts else np.empty(0, np.uint32)
        dims, counts = np.unique(every, return_counts=True)
        seen = len(parts) if total is None else total
        return cls(dims, counts.astype(np.int64), len(parts), seen)

    def found(self, word: str) -> int:
        """The number of items with this word."""
        dim = np.uint32(dimension(word))
        at = int(np.searchsorted(self.dims, dim))
        known = at < len(self.dims) and self.dims[at] == dim
        return int(self.counts[at]) if known else 0

    def idf(self, word: str) -> float:
        """BM25's inverse document frequency, which never is below 0."""
        found = self.found(word)
        return math.log1p((self.items - found + 0.5) / (found + 0.5))

    def save(self) -> bytes:
        body = io.BytesIO()
        sizes = np.array([self.items, self.total])
        np.savez(body, dims=self.dims, counts=self.counts, sizes=sizes)
        return body.getvalue()

    @classmethod
    def load(cls, saved: bytes) -> "Lexicon":
        """Raises InvalidInput for what `save` did not write."""
        try:
            with np.load(io.BytesIO(saved), allow_pickle=False) as held:
                dims, counts = held["dims"].astype(np.uint32), held["counts"].astype(np.int64)
                if dims.shape != counts.shape or dims.ndim != 1:
                    raise ValueError("two lists of different lengths")
                items, total = map(int, held["sizes"])
                return cls(dims, counts, items, total)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise InvalidInput("the saved words cannot be read: count them again") from error


UNKNOWN = Lexicon(np.empty(0, np.uint32), np.empty(0, np.int64), 0, 0)
"""Before anything was counted: all words are worth the same, and none is known."""


def item_words(item: Mapping[str, Any]) -> tuple[Dims, Weights]:
    """An item's sparse vector: its words, and the runs of three letters in them, ascending."""
    named = written(item)
    length = (1 - LENGTH) + LENGTH * len(named) / USUAL
    found: dict[int, float] = {}
    for word, worth in named.items():
        for part in (word, *grams(word)):
            dim = dimension(part)
            found[dim] = max(found.get(dim, 0.0), worth / length)
    dims = np.array(sorted(found), np.uint32)
    return dims, np.array([found[dim] for dim in dims.tolist()], np.float32)


@dataclass(slots=True)
class Kept:
    """A lexicon that a process holds: of the snapshot `seq`, believed until `until_ms`."""

    lexicon: Lexicon = UNKNOWN
    seq: int = -1
    until_ms: int = 0


@dataclass(slots=True)
class Sought:
    """The words of one search, and what each is worth [n]: the rarer, the more."""

    words: list[str]
    worth: list[float]
    known: list[bool]
    """Whether any counted item has it; if not, it may be misspelled, or rare."""
    _spelled: dict[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def read(cls, query: str, lexicon: Lexicon) -> "Sought":
        named = sorted(words(query))[:ASKED]
        known = [lexicon.found(word) > 0 for word in named]
        return cls(named, [lexicon.idf(word) for word in named], known)

    def sparse(self) -> tuple[Dims, Weights]:
        """What the store is asked for: the words, and of an unknown one its letters as well."""
        found: dict[int, float] = {}
        for word, worth, known in zip(self.words, self.worth, self.known, strict=True):
            found[dimension(word)] = worth
            parts = set() if known else grams(word)
            for part in parts:
                dim = dimension(part)
                found[dim] = found.get(dim, 0.0) + GUESSED * worth / len(parts)
        dims = np.array(sorted(found), np.uint32)
        return dims, np.array([found[dim] for dim in dims.tolist()], np.float32)

    def matched(self, item: Mapping[str, Any]) -> float:
        """How much of what the words are worth is written on an item, 0-1."""
        total = sum(self.worth)
        if total <= 0:
            return 0.0
        held = written(item)
        gained = 0.0
        for word, worth, known in zip(self.words, self.worth, self.known, strict=True):
            share = held.get(word, 0.0)
            if not known and share < GUESSED:
                share = max(share, *(self._guess(word, one) * held[one] for one in held), 0.0)
            gained += worth * share
        return gained / total

    def _guess(self, word: str, other: str) -> float:
        near = self._spelled.get((word, other))
        if near is None:
            near = alike(word, other)
            near = self._spelled[word, other] = GUESSED * near if near >= ALIKE else 0.0
        return near
