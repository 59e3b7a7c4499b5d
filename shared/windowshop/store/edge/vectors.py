"""Sparse vectors in the words of Qdrant Edge, and back."""

from typing import Any

import numpy as np
import qdrant_edge as q

from windowshop.store import Sparse
from windowshop.store.schema import WORDS


def sparse(given: Sparse) -> q.SparseVector:
    return q.SparseVector(given.indices.tolist(), given.values.tolist())


def sparse_held(record: q.Record, name: str) -> Sparse | None:
    vectors: Any = record.vector or {}
    held = vectors.get(name)
    if held is None:
        return None
    return Sparse(np.asarray(held.indices, np.uint32), np.asarray(held.values, np.float32))


def said(words: Sparse | None) -> dict[str, Any]:
    """The words of an item among its vectors; nothing for none."""
    return {} if words is None or not len(words.indices) else {WORDS: sparse(words)}
