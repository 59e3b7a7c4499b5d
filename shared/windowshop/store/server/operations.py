"""What is sent to a server, and what is made of its answers."""

from collections.abc import Sequence
from typing import Any

from qdrant_client import models as m

from windowshop.store import Payload, StoredUser, Vector
from windowshop.store.schema import (
    BUCKET,
    HISTORY,
    MARKS,
    OVERSAMPLING,
    TASTE,
    TEXT,
    WAITING,
    Plan,
    is_waiting,
    item_payload,
    json_path,
    user_payload,
)
from windowshop.store.server.filters import among, equals, of_store, still

WRITE = "_write"
"""Names the write that a point is from: a condition that was not met is no error to Qdrant, so the
writer looks again whose write it finds."""
HIDDEN = [MARKS, BUCKET, WRITE]


def wanted(fields: Sequence[str] | None, *more: str) -> Any:
    if fields is None:
        return m.PayloadSelectorExclude(exclude=HIDDEN)
    return [json_path(field) for field in {*fields, *more} if field not in HIDDEN]


def put_item(
    tenant: str, key: int, payload: Payload, held: Payload | None, write: str
) -> m.UpdateOperation:
    whole = item_payload(tenant, key, payload, held)
    whole |= {MARKS: [WAITING] if is_waiting(whole) else [], WRITE: write}
    if held is None:
        return m.UpsertOperation(
            upsert=m.PointsList(
                points=[m.PointStruct(id=key, vector={}, payload=whole)],
                update_mode=m.UpdateMode.INSERT_ONLY,
            )
        )
    as_read = [still(name, held.get(name)) for name in ("order", "vector_hash")]
    return m.OverwritePayloadOperation(
        overwrite_payload=m.SetPayload(
            payload=whole, filter=of_store(tenant, among([key]), *as_read)
        )
    )


def put_user(tenant: str, user: StoredUser, write: str) -> m.UpdateOperation:
    vectors: dict[str, Any] = {}
    if user.taste is not None:
        vectors[TASTE] = user.taste.tolist()
    if user.history is not None and len(user.history.indices):
        vectors[HISTORY] = m.SparseVector(
            indices=user.history.indices.tolist(), values=user.history.values.tolist()
        )
    payload = {**user_payload(tenant, user), WRITE: write}
    point = m.PointStruct(id=user.key, vector=vectors, payload=payload)
    new = user.version == 0
    return m.UpsertOperation(
        upsert=m.PointsList(
            points=[point],
            update_mode=m.UpdateMode.INSERT_ONLY if new else m.UpdateMode.UPDATE_ONLY,
            update_filter=None if new else of_store(tenant, equals("version", user.version)),
        )
    )


def params(how: Plan) -> m.SearchParams:
    if how.exact:
        return m.SearchParams(exact=True)
    return m.SearchParams(
        hnsw_ef=how.breadth,
        quantization=m.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=m.AcornSearchParams(enable=True, max_selectivity=1.0) if how.detours else None,
    )


def put_vector(
    tenant: str, key: int, vector: Vector, made_from: str, now_ms: int, write: str
) -> list[m.UpdateOperation]:
    same = of_store(tenant, among([key]), equals("text_hash", made_from))
    point = m.PointVectors(id=key, vector={TEXT: vector.tolist()})
    said = {"vector_hash": made_from, "embedded_at": now_ms, MARKS: [], WRITE: write}
    return [
        m.UpdateVectorsOperation(
            update_vectors=m.UpdateVectors(points=[point], update_filter=same)
        ),
        m.SetPayloadOperation(set_payload=m.SetPayload(payload=said, filter=same)),
    ]
