"""How a search for 100 items grows with the catalogue: Qdrant Edge, as `serve` uses it.

    python -m bench.bench_store --million

also builds a million items, which takes many minutes and 8 GB of disk.

Vectors are synthetic. Texts vary in fewer directions than their vectors have numbers, and come in
kinds: 32 numbers are drawn around centres of 50 items each, turned into 384, and a tenth of noise
is added. One item in 20 is not available, and searches are for available ones, as nearly all are.
The index is the one that `maintain` builds, and there is none up to 10,000 items. Items are written
with their vectors in one step; `serve` writes the payload first. Nothing else differs by size.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from windowshop.filters import AnyOf
from windowshop.store import Search
from windowshop.store.edge import EdgeStore
from windowshop.store.schema import item_payload

DIM = 384
INNER = 32
A_CENTRE = 50
SPREAD, NOISE = 0.7, 0.1
LIMIT = 100
QUERIES = 300
PARKED = 20
STORE = "bench"
SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
CHUNK = 10_000

Matrix = NDArray[np.float32]


def _draw(seed: int, rows: int, columns: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal((rows, columns), np.float32)


class Catalogue:
    """Vectors and payloads by row, drawn chunk by chunk so that a million need no memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._centres = _draw(1, size // A_CENTRE, INNER)
        self._turn = _draw(2, INNER, DIM) / np.float32(np.sqrt(INNER))

    def vectors(self, start: int) -> Matrix:
        return self._around(start, min(CHUNK, self.size - start))

    def queries(self) -> Matrix:
        return self._around(self.size, QUERIES)

    def _around(self, seed: int, rows: int) -> Matrix:
        of = np.random.default_rng([3, seed]).integers(len(self._centres), size=rows)
        inner = self._centres[of] + SPREAD * _draw(seed + 4, rows, INNER)
        full = inner @ self._turn + NOISE * _draw(seed + 5, rows, DIM)
        return np.asarray(full / np.linalg.norm(full, axis=1, keepdims=True), np.float32)

    def payload(self, row: int) -> dict[str, object]:
        return {
            "item_id": str(row),
            "title": f"Thing {row} of a kind",
            "brand": f"Brand {row % 1000}",
            "price": 1.5 + row % 90,
            "available": row % PARKED > 0,
            "path": ["all", f"all > {row % 40}"],
            "text_hash": f"{row:024x}",
            "vector_hash": f"{row:024x}",
            "embedded_at": 1_700_000_000_000,
        }


def fill(store: EdgeStore, catalogue: Catalogue) -> None:
    import qdrant_edge as q

    store.put_items(STORE, {0: catalogue.payload(0)})  # type: ignore[dict-item]
    items = store._open_items(STORE, make=True)  # noqa: SLF001 (see above: in one step)
    for start in range(0, catalogue.size, CHUNK):
        vectors = catalogue.vectors(start)
        points = [
            q.Point(
                start + n,
                {"text": row.tolist()},
                item_payload(STORE, start + n, catalogue.payload(start + n), None),
            )
            for n, row in enumerate(vectors)
        ]
        for at in range(0, len(points), 500):
            items._upsert(points[at : at + 500])  # noqa: SLF001
        items._index_payload()  # noqa: SLF001
    items._parked = items._find_parked()  # noqa: SLF001


def measure(size: int) -> dict[str, float]:
    """Median milliseconds of a search, and the share of the true nearest that it finds."""
    catalogue = Catalogue(size)
    folder = Path(tempfile.mkdtemp(prefix="bench-store-"))
    store = EdgeStore(folder, "bench", DIM)
    try:
        started = time.perf_counter()
        fill(store, catalogue)
        filled = time.perf_counter()
        built = store.maintain()
        done = time.perf_counter()
        print(f"{size:,}: written in {filled - started:.0f} s; {built or 'no index'}", end="; ")
        print(f"{done - filled:.0f} s")
        queries = catalogue.queries()
        where = AnyOf("available", (True,))
        for query in queries[:20]:
            store.search(STORE, [Search(query, LIMIT, where)])
        found, times = [], []
        for query in queries:
            begin = time.perf_counter()
            [hits] = store.search(STORE, [Search(query, LIMIT, where)])
            times.append(time.perf_counter() - begin)
            found.append({hit.key for hit in hits})
        return {
            "p50_ms": float(np.median(times)) * 1e3,
            "recall": recall(catalogue, queries, found),
        }
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)


def recall(catalogue: Catalogue, queries: Matrix, found: list[set[int]]) -> float:
    """Against a search of everything, for the first 50 queries."""
    some = queries[:50]
    keys = np.zeros((len(some), 0), np.int64)
    scores = np.zeros((len(some), 0), np.float32)
    for start in range(0, catalogue.size, CHUNK):
        rows = np.arange(start, min(start + CHUNK, catalogue.size))
        near = some @ catalogue.vectors(start).T
        near[:, rows % PARKED == 0] = -2
        keys = np.hstack([keys, np.tile(rows, (len(some), 1))])
        scores = np.hstack([scores, near])
        best = np.argpartition(-scores, LIMIT - 1, axis=1)[:, :LIMIT]
        keys, scores = np.take_along_axis(keys, best, 1), np.take_along_axis(scores, best, 1)
    shares = [len(got & set(true.tolist())) / LIMIT for got, true in zip(found, keys, strict=False)]
    return float(np.mean(shares))


def run(million: bool = False) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, size in SIZES.items():
        if size >= 1_000_000 and not million:
            continue
        measured = measure(size)
        figures[f"query_p50_ms_{name}"] = round(measured["p50_ms"], 3)
        figures[f"query_recall_{name}"] = round(measured["recall"], 4)
    return figures


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    made = run(million="--million" in sys.argv[1:])
    print(json.dumps(made, indent=2))
    latest = Path(__file__).with_name("latest.json")
    before = json.loads(latest.read_text()) if latest.exists() else {}
    latest.write_text(json.dumps(before | made, indent=2, sort_keys=True) + "\n")
