"""Learned vectors of one store's items in Edge: made from the text vectors, written to a copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as q

from windowshop.store import LEARNED_DIM, Make, Progress, Vector
from windowshop.store.edge.optimize import FORGET, KEYS, LEARN, ROWS
from windowshop.store.edge.shard import Shard
from windowshop.store.schema import LEARNED, TEXT, check_vectors

PAGE = 256
"""Items read at a time: each page holds Python's lock for some 3 ms."""


class Learning:
    """A change of a shard: `learned` vectors of `version` in the place of those it has."""

    def __init__(self, version: str, make: Make, progress: Progress | None) -> None:
        self.version = version
        self._make, self._progress = make, progress

    def prepare(self, shard: Shard, copy: Path) -> list[str]:
        if not self.version:
            return [FORGET]
        total, done = shard.points(), 0
        with (copy / KEYS).open("wb") as keys, (copy / ROWS).open("wb") as rows:
            for read, ids, text in _pages(shard):
                # These are written to the copy later, and may not be in it now.
                later = shard.written_meanwhile(ids)
                ours = [n for n, key in enumerate(ids) if key not in later]
                if ours:
                    chosen = [ids[n] for n in ours]
                    keys.write(np.asarray(chosen, np.uint64).tobytes())
                    rows.write(self._made(chosen, text[ours]).tobytes())
                done += read
                if self._progress is not None:
                    self._progress(min(done, total), total)
        return [FORGET, LEARN]

    def point(self, record: q.Record) -> q.Point:
        held: Any = record.vector or {}
        vectors = {name: row for name, row in held.items() if name != LEARNED}
        if self.version and TEXT in vectors:
            text = np.asarray([vectors[TEXT]], np.float32)
            vectors[LEARNED] = self._made([int(record.id)], text)[0].tolist()
        return q.Point(record.id, vectors, record.payload)

    def _made(self, keys: list[int], text: Vector) -> Vector:
        made = np.ascontiguousarray(self._make(keys, text), np.float32)
        check_vectors(made, len(keys), LEARNED_DIM, "learned vectors")
        return made


def _pages(shard: Shard) -> Iterator[tuple[int, list[int], Vector]]:
    """(items read, keys of those that have a text vector, these vectors)."""
    cursor: Any = None
    while True:
        records, cursor = _page(shard, cursor)
        held = {int(record.id): row for record in records if (row := _text(record)) is not None}
        yield len(records), list(held), np.asarray(list(held.values()), np.float32)
        if cursor is None:
            return


def _page(shard: Shard, cursor: Any) -> tuple[list[q.Record], Any]:
    request = q.ScrollRequest(cursor, PAGE, None, False, [TEXT])

    def scroll(edge: q.EdgeShard) -> tuple[list[q.Record], Any]:
        return edge.scroll(request)

    return shard.read(scroll)


def _text(record: q.Record) -> Any:
    held: Any = record.vector or {}
    return held.get(TEXT)
