"""The users of all stores on a server."""

from collections.abc import Iterator, Sequence

import numpy as np
from qdrant_client import models as m

from windowshop.store import Neighbour, Sparse, StoredUser
from windowshop.store.schema import HISTORY, TASTE, chunks, stored_user, tail_of
from windowshop.store.server.collection import Collection, new_write
from windowshop.store.server.filters import among, equals, of_store
from windowshop.store.server.operations import (
    insert,
    replace,
    sparse,
    sparse_held,
    user_point,
    vectors_held,
    vectors_of,
    wanted,
)

A_CALL = 200
"""Users in one request: a large profile is 40 kB, and a server takes 32 MB."""


class Users:
    """What `ServerStore` does with users; see the port for what each method promises."""

    def __init__(self, collection: Collection) -> None:
        self._points = collection

    def read(self, tenant: str, keys: Sequence[str], vectors: bool) -> dict[str, StoredUser]:
        found: dict[str, StoredUser] = {}
        for record in self._points.retrieve(keys, wanted(None), vectors):
            payload = record.payload or {}
            if payload.get("store") != tenant:
                continue
            key = str(record.id)
            found[key] = stored_user(key, payload)
            if vectors:
                _add_vectors(found[key], record)
        return found

    def put(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        lost: list[str] = []
        for part in chunks(users, A_CALL):
            write = new_write()
            first = {user.key: user for user in reversed(part)}
            self._points.update(_writes(tenant, list(first.values()), write))
            done = {str(key) for key in self._points.written(list(first), write)}
            self._points.update(_removals(tenant, [first[key] for key in done]))
            lost += [u.key for u in part if u.key not in done or first[u.key] is not u]
        return lost

    def delete(self, tenant: str, keys: Sequence[str]) -> None:
        if keys:
            self._points.delete(of_store(tenant, among(list(keys))))

    def neighbours(
        self, tenant: str, query: Sparse, limit: int, exclude: Sequence[str]
    ) -> list[Neighbour]:
        if not len(query.indices):
            return []
        where = of_store(tenant)
        if exclude:
            where.must_not = [among(list(exclude))]
        asked = m.QueryRequest(
            query=sparse(query), using=HISTORY, limit=limit, filter=where, with_payload=["tail"]
        )
        [points] = self._points.query([asked])
        return [Neighbour(str(p.id), p.score, tail_of(p.payload)) for p in points]

    def count(self, tenant: str) -> int:
        return self._points.count(of_store(tenant))

    def keys(self, tenant: str) -> Iterator[str]:
        for records in self._points.pages(tenant, False):
            yield from (str(record.id) for record in records)


def _writes(tenant: str, users: Sequence[StoredUser], write: str) -> list[m.UpdateOperation]:
    """One operation for all that are new, and one for each version that is to be replaced."""
    points: dict[int, list[m.PointStruct]] = {}
    for user in users:
        points.setdefault(user.version, []).append(user_point(tenant, user, write))
    return [
        replace(some, of_store(tenant, equals("version", version))) if version else insert(some)
        for version, some in points.items()
    ]


def _removals(tenant: str, written: Sequence[StoredUser]) -> list[m.UpdateOperation]:
    """Take away vectors that a write did not bring: older servers keep those of a point that they
    have indexed already.
    """
    bare: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for user in written:
        names = tuple(sorted({TASTE, HISTORY} - vectors_of(user).keys()))
        if user.version and names:
            bare.setdefault((user.version, names), []).append(user.key)
    return [
        m.DeleteVectorsOperation(
            delete_vectors=m.DeleteVectors(
                vector=list(names),
                filter=of_store(tenant, among(list(keys)), equals("version", version + 1)),
            )
        )
        for (version, names), keys in bare.items()
    ]


def _add_vectors(user: StoredUser, record: m.Record) -> None:
    taste = vectors_held(record).get(TASTE)
    if taste is not None:
        user.taste = np.asarray(taste, np.float32)
    user.history = sparse_held(record, HISTORY)
