"""How the two collections are laid out on a server: vectors, graph, quantization, indexes."""

from typing import Any

from qdrant_client import QdrantClient
from qdrant_client import models as m

from windowshop.filters import FieldType
from windowshop.store.schema import (
    BREADTH,
    BUCKET,
    HISTORY,
    ITEM_INDEXES,
    LINKS,
    MARKS,
    SCAN_BELOW_KB,
    TASTE,
    TEXT,
)

Schema = m.PayloadSchemaType | m.PayloadSchemaParams

STORE = m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=True)
"""Of all stores together: links between the points of one store, and their data side by side."""


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
        "text_hash": index_params("keyword"),
        "vector_hash": index_params("keyword"),
        "order": index_params("integer"),
        **{name: index_params(kind) for name, kind in ITEM_INDEXES.items()},
    }


def user_indexes() -> dict[str, Schema]:
    return {"store": STORE, "version": index_params("integer")}


def create_items(client: QdrantClient, name: str, dim: int, card: dict[str, Any]) -> None:
    client.create_collection(
        name,
        vectors_config={TEXT: m.VectorParams(size=dim, distance=m.Distance.COSINE)},
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
    create_indexes(client, name, item_indexes())


def create_users(client: QdrantClient, name: str, dim: int, card: dict[str, Any]) -> None:
    client.create_collection(
        name,
        # Nothing is searched by taste: no graph.
        vectors_config={
            TASTE: m.VectorParams(
                size=dim, distance=m.Distance.COSINE, hnsw_config=m.HnswConfigDiff(m=0)
            )
        },
        sparse_vectors_config={HISTORY: m.SparseVectorParams()},
        metadata=card,
    )
    create_indexes(client, name, user_indexes())


def create_indexes(client: QdrantClient, name: str, indexes: dict[str, Schema]) -> None:
    for field, schema in indexes.items():
        client.create_payload_index(name, field, schema)
