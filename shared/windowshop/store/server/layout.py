"""How the two collections are laid out on a server: vectors, graph, quantization, indexes."""

from typing import Any

from qdrant_client import QdrantClient
from qdrant_client import models as m

from windowshop.filters import FieldType
from windowshop.store import LEARNED_DIM
from windowshop.store.schema import (
    BREADTH,
    BUCKET,
    HISTORY,
    ITEM_INDEXES,
    LEARNED,
    LINKS,
    MARKS,
    SCAN_BELOW_KB,
    TASTE,
    TEXT,
    WORDS,
)
from windowshop.store.server.operations import WRITE

Schema = m.PayloadSchemaType | m.PayloadSchemaParams

UNIQUE = frozenset({"item_id", "title", "description", "url", "image_url"})
"""Fields that nearly every item has a value of its own in: their indexes are as large as the texts
and seldom asked, so they stay on disk.
"""

STORE = m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=True)
"""Of all stores together: links between the points of one store, and their data side by side."""

ON_DISK = m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, on_disk=True, enable_hnsw=False)


def index_params(kind: FieldType) -> Schema:
    match kind:
        case "keyword":
            return m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, enable_hnsw=False)
        case "integer":
            return m.IntegerIndexParams(
                type=m.IntegerIndexType.INTEGER, lookup=True, range=True, enable_hnsw=False
            )
        case "float":
            return m.FloatIndexParams(type=m.FloatIndexType.FLOAT, enable_hnsw=False)
        case "bool":
            return m.BoolIndexParams(type=m.BoolIndexType.BOOL, enable_hnsw=False)
        case "datetime":
            return m.DatetimeIndexParams(type=m.DatetimeIndexType.DATETIME, enable_hnsw=False)


def item_indexes() -> dict[str, Schema]:
    """Everything that a filter of ours may name: strict mode refuses what has no index."""
    return {
        "store": STORE,
        BUCKET: m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, enable_hnsw=True),
        MARKS: index_params("keyword"),
        WRITE: index_params("keyword"),
        "order": index_params("integer"),
        **{name: index_params(kind) for name, kind in ITEM_INDEXES.items() if name not in UNIQUE},
        **dict.fromkeys(UNIQUE, ON_DISK),
    }


def user_indexes() -> dict[str, Schema]:
    return {"store": STORE, "version": index_params("integer")}


def create_items(
    client: QdrantClient, name: str, dim: int, card: dict[str, Any], learned: bool = False
) -> None:
    """`learned`: with room for a second vector, which takes room of every item that has none."""
    widths = {TEXT: dim, **({LEARNED: LEARNED_DIM} if learned else {})}
    client.create_collection(
        name,
        # In memory are int8 copies; the originals rank again what these find. Where there is memory
        # to spare the system keeps them there all the same.
        vectors_config={
            vector: m.VectorParams(size=width, distance=m.Distance.COSINE, on_disk=True)
            for vector, width in widths.items()
        },
        # Only searches by words read it: through the page cache, not in memory for good.
        sparse_vectors_config={
            WORDS: m.SparseVectorParams(index=m.SparseIndexParams(on_disk=True))
        },
        hnsw_config=m.HnswConfigDiff(
            m=LINKS,
            payload_m=LINKS,
            ef_construct=BREADTH,
            full_scan_threshold=SCAN_BELOW_KB,
        ),
        quantization_config=m.ScalarQuantization(
            scalar=m.ScalarQuantizationConfig(
                type=m.ScalarType.INT8, quantile=0.99, always_ram=True
            )
        ),
        metadata=card,
    )


def create_users(client: QdrantClient, name: str, dim: int, card: dict[str, Any]) -> None:
    client.create_collection(
        name,
        # Nothing is searched by taste: no graph, and no memory.
        vectors_config={
            TASTE: m.VectorParams(
                size=dim,
                distance=m.Distance.COSINE,
                hnsw_config=m.HnswConfigDiff(m=0),
                on_disk=True,
            )
        },
        sparse_vectors_config={HISTORY: m.SparseVectorParams()},
        metadata=card,
    )
