"""What is sent to a server, and what is made of its answers.

A point's `_write` names the write that it is from. So a write that begins with reading says: only
while it is still as I read it; and since a condition that was not met is no error to Qdrant, the
writer looks again whose write it finds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from qdrant_client import models as m

from windowshop.errors import InvalidInput
from windowshop.store import Payload, Sparse, StoredUser, Vector
from windowshop.store.schema import (
    BUCKET,
    HISTORY,
    LEARNED,
    MARKS,
    OVERSAMPLING,
    TASTE,
    TEXT,
    WAITING,
    WORDS,
    Plan,
    breadth,
    is_waiting,
    item_payload,
    json_path,
    user_payload,
)
from windowshop.store.server.filters import among, equals, of_store, one_of

WRITE = "_write"
HIDDEN = [MARKS, BUCKET, WRITE]
MAX_BYTES = 8_000_000
"""Of one request; a server takes 32 MB."""
BYTES_A_NUMBER = 22


def wanted(fields: Sequence[str] | None, *more: str) -> Any:
    if fields is None:
        return m.PayloadSelectorExclude(exclude=HIDDEN)
    return [json_path(field) for field in {*fields, *more} if field not in HIDDEN]


def new_item(
    tenant: str, key: int, payload: Payload, words: Sparse | None, write: str
) -> m.PointStruct:
    vector: Any = {} if words is None or not len(words.indices) else {WORDS: sparse(words)}
    return m.PointStruct(id=key, vector=vector, payload=_whole(tenant, key, payload, None, write))


def begun(write: str) -> str:
    """What a write is called until an item's words have followed its payload: who copies the item
    in between sees that more is to come.
    """
    return f"{write}+"


def changed_words(tenant: str, words: Mapping[int, Sparse], write: str) -> list[m.UpdateOperation]:
    """The words of items whose payload was just written as `begun`, as far as it still is."""
    if not words:
        return []
    made: list[m.UpdateOperation] = []
    keys: list[m.ExtendedPointId] = list(words)
    gone = [key for key in keys if not len(words[int(key)].indices)]
    if gone:
        still = of_store(tenant, among(gone), equals(WRITE, begun(write)))
        delete = m.DeleteVectors(vector=[WORDS], filter=still)
        made.append(m.DeleteVectorsOperation(delete_vectors=delete))
    new = [
        m.PointVectors(id=key, vector={WORDS: sparse(one)})
        for key, one in words.items()
        if len(one.indices)
    ]
    if new:  # where one of them was deleted just now the rest is not done, and tried again
        still = of_store(tenant, equals(WRITE, begun(write)))
        update = m.UpdateVectors(points=new, update_filter=still)
        made.append(m.UpdateVectorsOperation(update_vectors=update))
    still = of_store(tenant, among(keys), equals(WRITE, begun(write)))
    made.append(
        m.SetPayloadOperation(set_payload=m.SetPayload(payload={WRITE: write}, filter=still))
    )
    return made


def changed_item(
    tenant: str, key: int, payload: Payload, held: Payload, write: str
) -> m.UpdateOperation:
    """A new payload for an item that is still as it was read; its vector stays."""
    still = of_store(tenant, among([key]), equals(WRITE, held[WRITE]))
    whole = _whole(tenant, key, payload, held, write)
    return m.OverwritePayloadOperation(overwrite_payload=m.SetPayload(payload=whole, filter=still))


def _whole(tenant: str, key: int, payload: Payload, held: Payload | None, write: str) -> Payload:
    whole = item_payload(tenant, key, payload, held)
    return whole | {MARKS: [WAITING] if is_waiting(whole) else [], WRITE: write}


def embedded_item(
    held: m.Record, text: Vector, learned: Vector | None, now_ms: int, write: str
) -> m.PointStruct:
    """An item as it is held, with new vectors made from the text that it has."""
    payload = held.payload or {}
    said = {
        "vector_hash": payload["text_hash"],
        "embedded_at": now_ms,
        MARKS: [],
        WRITE: write,
    }
    vectors = vectors_held(held) | {TEXT: text.tolist()}
    if learned is not None:
        vectors[LEARNED] = learned.tolist()
    return m.PointStruct(id=held.id, vector=vectors, payload=payload | said)


def vectors_held(record: m.Record) -> dict[str, Any]:
    return dict(record.vector) if isinstance(record.vector, dict) else {}


def user_point(tenant: str, user: StoredUser, write: str) -> m.PointStruct:
    payload = user_payload(tenant, user) | {WRITE: write}
    return m.PointStruct(id=user.key, vector=vectors_of(user), payload=payload)


def vectors_of(user: StoredUser) -> dict[str, Any]:
    vectors: dict[str, Any] = {}
    if user.taste is not None:
        vectors[TASTE] = user.taste.tolist()
    if user.history is not None and len(user.history.indices):
        vectors[HISTORY] = sparse(user.history)
    return vectors


def sparse(given: Sparse) -> m.SparseVector:
    return m.SparseVector(indices=given.indices.tolist(), values=given.values.tolist())


def sparse_held(record: m.Record, name: str) -> Sparse | None:
    held = vectors_held(record).get(name)
    if held is None:
        return None
    return Sparse(np.asarray(held.indices, np.uint32), np.asarray(held.values, np.float32))


def insert(points: Sequence[m.PointStruct]) -> m.UpdateOperation:
    """Those that are not there yet."""
    return m.UpsertOperation(
        upsert=m.PointsList(points=list(points), update_mode=m.UpdateMode.INSERT_ONLY)
    )


def replace(points: Sequence[m.PointStruct], where: m.Filter) -> m.UpdateOperation:
    """Those that are there and meet the condition."""
    return m.UpsertOperation(
        upsert=m.PointsList(
            points=list(points), update_mode=m.UpdateMode.UPDATE_ONLY, update_filter=where
        )
    )


def as_read(tenant: str, held: Iterable[Payload]) -> m.Filter:
    """Points that are still from one of the writes that these were read from.

    A write's name is never given twice: whoever wrote meanwhile gave a point another one.
    """
    return of_store(tenant, one_of(WRITE, sorted({payload[WRITE] for payload in held})))


def params(how: Plan, using: str) -> m.SearchParams:
    if how.exact:
        return m.SearchParams(exact=True)
    return m.SearchParams(
        hnsw_ef=breadth(how, using),
        quantization=m.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=m.AcornSearchParams(enable=True, max_selectivity=1.0) if how.detours else None,
    )


def by_size(payloads: Mapping[int, Payload], numbers: int = 0) -> Iterator[list[int]]:
    """The keys of the payloads in parts that a request can carry, each with so many `numbers`.

    Raises InvalidInput for what is no JSON.
    """
    part: list[int] = []
    size = 0
    for key, payload in payloads.items():
        try:
            bytes_ = len(orjson.dumps(payload)) + numbers * BYTES_A_NUMBER
        except (TypeError, orjson.JSONEncodeError) as error:
            raise InvalidInput(f"Qdrant cannot take this: {error}") from error
        if part and size + bytes_ > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(key)
        size += bytes_
    if part:
        yield part
