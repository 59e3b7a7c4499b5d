"""What every encoder shares: equal texts once, batches of like lengths, results in the order given.

Padding in arrival order costs three times the work, so texts are sorted by length and cut into
batches under a budget of tokens; a batch that fits the processor's cache is what runs fastest.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[int]
Vectors = NDArray[np.float32]

WINDOW = 8192  # distinct texts held as tokens at once; sorting more of them gains nothing


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def readable(text: str) -> str:
    """The text as tokenizers and C libraries accept it: no lone surrogates, no NUL."""
    if "\0" in text:
        text = text.replace("\0", " ")
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def plan(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.intp]]:
    """Indexes of the rows of each batch, longest rows first.

    Rows times the longest row stay within `budget`; a row longer than that goes alone.
    """
    sizes = np.maximum(np.asarray(lengths, dtype=np.intp), 1)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, budget // int(sizes[order[start]]))
        yield order[start : start + rows]
        start += rows


def pad(rows: Sequence[Tokens], filler: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Token ids [rows, longest] and a mask of the same shape: 1 for a token, 0 for padding.

    A row without tokens becomes one filler that counts as a token, so that every row has a vector.
    """
    longest = max(1, max(map(len, rows), default=1))
    ids = np.full((len(rows), longest), filler, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.float32)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : max(1, len(row))] = 1.0
    return ids, mask


def encode_texts(
    texts: Sequence[str],
    dim: int,
    tokenize: Callable[[list[str]], Sequence[Tokens]],
    run: Callable[[list[Tokens]], Vectors],
    budget: int,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Vectors:
    """Vectors [len(texts), dim] of the texts, in the order given.

    `tokenize` turns texts into token ids, `run` a batch of them into vectors [rows, dim]; up to
    `workers` batches run at once, in threads. `progress` is called in the calling thread with the
    number of texts that have just been finished; the numbers add up to `len(texts)`.
    """
    if isinstance(texts, str):
        raise TypeError("encode takes a list of texts, not one text")
    places: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        places.setdefault(text, []).append(at)
    out = np.empty((len(texts), dim), dtype=np.float32)
    distinct = list(places)
    for start in range(0, len(distinct), WINDOW):
        window = distinct[start : start + WINDOW]
        rows = tokenize([readable(text) for text in window])
        batches = list(plan([len(row) for row in rows], budget))
        chosen = [[rows[at] for at in batch] for batch in batches]
        for batch, vectors in zip(batches, _run_all(run, chosen, workers), strict=True):
            done = 0
            for at, vector in zip(batch, vectors, strict=True):
                where = places[window[at]]
                out[where] = vector
                done += len(where)
            if progress is not None:
                progress(done)
    return out


def _run_all(
    run: Callable[[list[Tokens]], Vectors], batches: list[list[Tokens]], workers: int
) -> Iterator[Vectors]:
    if workers == 1 or len(batches) == 1:
        yield from map(run, batches)
        return
    pool = ThreadPoolExecutor(min(workers, len(batches)), "encode")
    try:
        yield from pool.map(run, batches)
    finally:
        # An interrupt must not wait for every batch that is still to come.
        pool.shutdown(cancel_futures=True)
