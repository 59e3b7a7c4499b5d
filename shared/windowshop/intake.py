"""One upload of a catalogue: its rows in batches, and a count of what became of every row.

Who writes the batches (the command line through an operator, `uploads` straight into the shop) says
what became of them; reading, counting and the report are the same for both.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from windowshop import catalog
from windowshop.files import Rows
from windowshop.files.report import Report
from windowshop.records import Item, item_key
from windowshop.table import Rejected, Warned

ITEMS = 1_000
CHARACTERS = 4_000_000  # of one batch: long texts and many attributes make smaller ones
SAMPLE = 500
CJK_SHARE = 0.3
"""From this share of Chinese, Japanese or Korean texts an English encoder is the wrong one."""


@dataclass(slots=True)
class Counts:
    """What became of the rows: read = accepted + rejected + removed + repeated."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    deleted: int = 0
    removed: int = 0
    repeated: int = 0


@dataclass(slots=True)
class Batch:
    """Rows that are written together: items, and ids to delete.

    The same file under the same mapping gives the same batches every time.
    """

    number: int
    items: list[Item] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return self.size >= CHARACTERS or len(self.items) + len(self.gone) >= ITEMS


class Named:
    """The items of a store that an upload names, in 8 bytes each."""

    def __init__(self, store: str, body: bytes = b"") -> None:
        self._store = store
        self._keys = array("q")
        self._sorted = np.frombuffer(body, "<i8")

    def add(self, item_id: str) -> None:
        self._keys.append(item_key(self._store, item_id))

    def has(self, item_ids: Sequence[str]) -> list[bool]:
        """Whether each of the ids is named."""
        keys = np.array([item_key(self._store, item_id) for item_id in item_ids], np.int64)
        held = self._all()
        first, after = (np.searchsorted(held, keys, side) for side in ("left", "right"))
        return [bool(there) for there in first < after]

    def body(self) -> bytes:
        """All of it, for `Named(store, body)`."""
        return self._all().astype("<i8").tobytes()

    def _all(self) -> NDArray[np.int64]:
        if self._keys:
            self._sorted = np.unique(np.concatenate([self._sorted, np.array(self._keys)]))
            self._keys = array("q")
        return self._sorted


class Intake:
    """Reads the files of one upload. What they name is added to `named`, where that is wanted."""

    def __init__(self, report: Report, named: Named | None = None) -> None:
        self.counts = Counts()
        self.notes: list[str] = []
        """What a person should know of the files as such; to be shown and taken out."""
        self._report = report
        self._named = named
        self._number = 0
        self._texts: list[str] = []

    def batches(self, rows: Rows, outcomes: Iterator[Any]) -> Iterator[Batch]:
        """The rows of one file; what is wrong with a row is counted and reported on the way."""
        batch = Batch(self._number)
        for outcome in outcomes:
            kind = type(outcome)
            if kind is catalog.Accepted:
                self.counts.read += 1
                batch.items.append(outcome.item)
                batch.size += _size(outcome.item)
            elif kind is catalog.Removed:
                self.counts.read += 1
                self.counts.removed += 1
                batch.gone.append(outcome.item_id)
            elif kind is Rejected:
                self._reject(rows, outcome)
            else:
                self._note(rows, outcome)
            if batch.full:
                yield self._read(batch)
                batch = Batch(self._number)
        if batch.items or batch.gone:
            yield self._read(batch)

    def _read(self, batch: Batch) -> Batch:
        self._number += 1
        if self._named is not None:
            for item in batch.items:
                self._named.add(item.item_id)
        if len(self._texts) < SAMPLE:
            self._texts += [item.text() for item in batch.items]
        return batch

    def _reject(self, rows: Rows, rejected: Rejected) -> None:
        self.counts.read += 1
        self.counts.rejected += 1
        self._report.add(rows.here, rejected)
        if self._named is not None and rejected.item_id is not None:
            # A price that cannot be read does not mean that the item is gone.
            self._named.add(rejected.item_id)

    def _note(self, rows: Rows, warned: Warned) -> None:
        if warned.code == "repeated_id":
            self.counts.read += 1
            self.counts.repeated += 1
        elif warned.line == 0:
            self.notes.append(f"{rows.name}: {warned.reason}")
        self._report.add(rows.here, warned)

    def written(self, accepted: int, unchanged: int) -> None:
        """What the shop said of a batch's items."""
        self.counts.accepted += accepted
        self.counts.unchanged += unchanged

    def reads_cjk(self) -> bool:
        """Whether many of the texts are Chinese, Japanese or Korean."""
        told = sum(any(_is_cjk(c) for c in text) for text in self._texts)
        return told > CJK_SHARE * len(self._texts)


def _size(item: Item) -> int:
    """Characters of an item, about."""
    size = 200 + len(item.title or "") + len(item.description or "")
    return size + len(orjson.dumps(item.attributes)) if item.attributes else size


def _is_cjk(character: str) -> bool:
    code = ord(character)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7AF
