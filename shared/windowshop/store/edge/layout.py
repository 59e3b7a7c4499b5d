"""How the two collections are laid out in Edge: vectors, graph, quantization, payload indexes."""

from pathlib import Path
from typing import Any

import qdrant_edge as q

from windowshop.filters import FieldType
from windowshop.store import LEARNED_DIM
from windowshop.store.schema import (
    BREADTH,
    BUCKET,
    HISTORY,
    ITEM_INDEXES,
    LEARNED,
    LINKS,
    LONG,
    MARKS,
    SCAN_BELOW_KB,
    TASTE,
    TEXT,
    WORDS,
)

# Everything is mapped from files and kept in the page cache: Edge loads a shard with Python's lock
# held, and copying 92k vectors and a graph into its own memory takes it four times as long.
CACHED = q.Memory.Cached


class ItemLayout:
    """Items have `words`, and `learned` vectors where a tower was trained."""

    def __init__(self, dim: int) -> None:
        self._dim = dim

    def config(self, learned: bool) -> q.EdgeConfig:
        return item_config(self._dim, learned)

    def converted(self, home: Path) -> q.EdgeShard:
        """Before there were words: room for them is made at once, in the shard as it is."""
        shard = q.EdgeShard.load(str(home), item_config(self._dim, words=False))
        shard.update(q.UpdateOperation.create_sparse_vector(WORDS))
        return shard


class UserLayout:
    """As it always was."""

    def __init__(self, dim: int) -> None:
        self._dim = dim

    def config(self, learned: bool) -> q.EdgeConfig:
        return user_config(self._dim)

    def converted(self, home: Path) -> None:
        pass


def item_config(dim: int, learned: bool = False, words: bool = True) -> q.EdgeConfig:
    widths = {TEXT: dim, **({LEARNED: LEARNED_DIM} if learned else {})}
    return q.EdgeConfig(
        vectors={
            name: q.EdgeVectorParams(width, q.Distance.Cosine, memory=CACHED)
            for name, width in widths.items()
        },
        sparse_vectors={WORDS: q.EdgeSparseVectorParams(memory=CACHED)} if words else None,
        payload_memory=CACHED,
        id_tracker_memory=CACHED,
        hnsw_config=q.HnswIndexConfig(
            m=LINKS,
            payload_m=LINKS,
            ef_construct=BREADTH,
            full_scan_threshold=SCAN_BELOW_KB,
            max_indexing_threads=1,
            memory=CACHED,
        ),
        quantization_config=q.ScalarQuantizationConfig(
            q.ScalarType.Int8, quantile=0.99, memory=CACHED
        ),
        optimizers=_optimizers(),
    )


def user_config(dim: int) -> q.EdgeConfig:
    return q.EdgeConfig(
        vectors={TASTE: q.EdgeVectorParams(dim, q.Distance.Cosine, memory=CACHED)},
        sparse_vectors={HISTORY: q.EdgeSparseVectorParams(memory=CACHED)},
        payload_memory=CACHED,
        id_tracker_memory=CACHED,
        # Nothing is searched by taste: no graph.
        hnsw_config=q.HnswIndexConfig(m=0, ef_construct=BREADTH, full_scan_threshold=10_000),
        optimizers=_optimizers(),
    )


def _optimizers() -> q.EdgeOptimizersConfig:
    """When asked to build at all, build one segment of everything."""
    return q.EdgeOptimizersConfig(
        default_segment_number=1,
        indexing_threshold=1,
        deleted_threshold=0.02,
        vacuum_min_vector_number=100,
        max_segment_size=1 << 40,
    )


def index_params(kind: FieldType) -> Any:
    """Parameters of a payload index; None for a bool, which is found by its mark."""
    common: dict[str, Any] = {"enable_hnsw": False, "memory": CACHED}
    match kind:
        case "keyword":
            return q.KeywordIndexParams(**common)
        case "integer":
            return q.IntegerIndexParams(lookup=True, range=True, **common)
        case "float":
            return q.FloatIndexParams(**common)
        case "datetime":
            return q.DatetimeIndexParams(**common)
        case "bool":
            return None


def item_indexes() -> dict[str, Any]:
    named = {name: index_params(kind) for name, kind in ITEM_INDEXES.items() if name not in LONG}
    return {
        **{name: params for name, params in named.items() if params is not None},
        MARKS: index_params("keyword"),
        BUCKET: q.KeywordIndexParams(enable_hnsw=True, memory=CACHED),
    }
