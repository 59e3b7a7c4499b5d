"""The store on a Qdrant server (1.17 or later) or Qdrant Cloud, shared by all stores of a deployment.

One collection of items and one of users for each model, `items-<fingerprint>` and
`users-<fingerprint>`; the aliases `items` and `users` say which of them count. Every point carries
its `store` and every filter names it.
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import QdrantClient
from qdrant_client import models as m

from windowshop.errors import InvalidInput, NotReady
from windowshop.filters import FieldType, Filter
from windowshop.store import Hit, Neighbour, Payload, Search, Sparse, StoredUser, Vector
from windowshop.store.schema import (
    BUCKET,
    HISTORY,
    KEPT,
    MARKS,
    MAX_ITEMS,
    OVERSAMPLING,
    TASTE,
    TEXT,
    WAITING,
    Plan,
    check_batch,
    check_model,
    check_tenant,
    check_vectors,
    chunks,
    fingerprint,
    is_older,
    is_waiting,
    item_payload,
    json_path,
    model_card,
    plan,
    stored_user,
    user_payload,
    without_available,
)
from windowshop.store.server import layout
from windowshop.store.server.errors import translated
from windowshop.store.server.filters import among, equals, of_store, still

WRITE = "_write"
"""Names the write that a point is from: a condition that was not met is no error to Qdrant, so the
writer looks again whose write it finds."""
HIDDEN = [MARKS, BUCKET, WRITE]
TRIES = 5
PAGE = 1_000
MAX_TENANTS = 10_000
TOTAL_FOR_S = 60.0


class ServerStore:
    """The `Store` port on a Qdrant server."""

    def __init__(
        self,
        server: QdrantClient | str,
        model: str,
        dim: int,
        *,
        key: str | None = None,
        prefix: str = "",
        timeout_s: int = 10,
    ) -> None:
        """`server` is an address, or a client that is left open. `prefix` begins all names.

        Raises Unavailable, Misconfigured (the key, or the server holds another model's vectors).
        """
        self._model, self._dim = model, dim
        self._ours = isinstance(server, str)
        with translated():
            self._client = (
                QdrantClient(url=server, api_key=key, timeout=timeout_s)
                if isinstance(server, str)
                else server
            )
        mark = fingerprint(model, dim)
        self._items, self._users = f"{prefix}items-{mark}", f"{prefix}users-{mark}"
        self._aliases = {f"{prefix}items": self._items, f"{prefix}users": self._users}
        self._totals: dict[str, tuple[float, int]] = {}
        with translated():
            self._check_model()
            self._create()

    def _check_model(self) -> None:
        for alias in self._client.get_aliases().aliases:
            wanted = self._aliases.get(alias.alias_name)
            if wanted not in (None, alias.collection_name):
                card = self._client.get_collection(alias.collection_name).config.metadata or {}
                check_model(card, self._model, self._dim, f"collection {alias.collection_name}")

    def _create(self) -> None:
        card = model_card(self._model, self._dim)
        for name, create in (
            (self._items, layout.create_items),
            (self._users, layout.create_users),
        ):
            if not self._client.collection_exists(name):
                create(self._client, name, self._dim, card)
        known = {alias.alias_name for alias in self._client.get_aliases().aliases}
        missing: list[m.AliasOperations] = [
            m.CreateAliasOperation(
                create_alias=m.CreateAlias(collection_name=name, alias_name=alias)
            )
            for alias, name in self._aliases.items()
            if alias not in known
        ]
        if missing:
            self._client.update_collection_aliases(missing)

    @property
    def model(self) -> str:
        return self._model

    # --- writing items --------------------------------------------------------------------------------

    def put_items(self, tenant: str, items: Mapping[int, Payload]) -> None:
        check_batch(len(items))
        check_tenant(tenant)
        left = dict(items)
        for _ in range(TRIES):
            held = self.items(tenant, list(left), ("order", *KEPT))
            left = {
                key: payload
                for key, payload in left.items()
                if is_older(held.get(key, {}), payload.get("order"))
            }
            if not left:
                return
            write = secrets.token_hex(8)
            self._update(
                self._items,
                [
                    _put_item(tenant, key, payload, held.get(key), write)
                    for key, payload in left.items()
                ],
            )
            done = self._written(self._items, list(left), write)
            left = {key: payload for key, payload in left.items() if key not in done}
        if left:
            raise NotReady(f"{len(left)} items are being written by others; try again")

    def put_vectors(
        self, tenant: str, keys: Sequence[int], vectors: Vector, hashes: Sequence[str], now_ms: int
    ) -> list[int]:
        check_batch(len(keys))
        check_vectors(vectors, len(keys), self._dim)
        write = secrets.token_hex(8)
        operations: list[m.UpdateOperation] = []
        held = self.items(tenant, keys, ("text_hash",))
        for key, vector, made_from in zip(keys, vectors, hashes, strict=True):
            if held.get(key, {}).get("text_hash") != made_from:
                continue
            same = of_store(tenant, among([key]), equals("text_hash", made_from))
            point = m.PointVectors(id=key, vector={TEXT: vector.tolist()})
            operations += [
                m.UpdateVectorsOperation(
                    update_vectors=m.UpdateVectors(points=[point], update_filter=same)
                ),
                m.SetPayloadOperation(
                    set_payload=m.SetPayload(
                        payload={
                            "vector_hash": made_from,
                            "embedded_at": now_ms,
                            MARKS: [],
                            WRITE: write,
                        },
                        filter=same,
                    )
                ),
            ]
        self._update(self._items, operations)
        done = self._written(self._items, list(held), write)
        return [key for key in keys if key in done]

    def delete_items(self, tenant: str, keys: Sequence[int], order: int | None = None) -> None:
        if not keys:
            return
        where = of_store(tenant, among(list(keys)))
        if order is not None:
            newer = m.FieldCondition(key="order", range=m.Range(gt=order))
            where.must_not = [newer]
        with translated():
            self._client.delete(self._items, m.FilterSelector(filter=where))
        self._totals.pop(tenant, None)

    def _update(self, collection: str, operations: Sequence[m.UpdateOperation]) -> None:
        if operations:
            with translated():
                self._client.batch_update_points(collection, list(operations))

    def _written(self, collection: str, ids: Sequence[Any], write: str) -> set[Any]:
        """Those of the points that are from this write."""
        if not ids:
            return set()
        with translated():
            records = self._client.retrieve(collection, list(ids), with_payload=[WRITE])
        return {record.id for record in records if (record.payload or {}).get(WRITE) == write}

    # --- reading items --------------------------------------------------------------------------------

    def items(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        found: dict[int, Payload] = {}
        for part in chunks(keys, MAX_ITEMS):
            with translated():
                records = self._client.retrieve(
                    self._items, list(part), with_payload=_wanted(fields, "store")
                )
            for record in records:
                payload = record.payload or {}
                if payload.get("store") == tenant:
                    if fields is not None and "store" not in fields:
                        del payload["store"]
                    found[int(record.id)] = payload
        return found

    def vectors(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        found: dict[int, Vector] = {}
        for part in chunks(keys, MAX_ITEMS):
            with translated():
                records = self._client.retrieve(
                    self._items, list(part), with_payload=["store"], with_vectors=[TEXT]
                )
            for record in records:
                row = record.vector.get(TEXT) if isinstance(record.vector, dict) else None
                if row is not None and (record.payload or {}).get("store") == tenant:
                    found[int(record.id)] = np.asarray(row, np.float32)
        return found

    def scan(
        self,
        tenant: str,
        cursor: int | None,
        limit: int,
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> tuple[list[tuple[int, Payload]], int | None]:
        passing = of_store(tenant, where=where)
        records, following = self._scroll(self._items, passing, cursor, limit, _wanted(fields))
        return [(int(record.id), record.payload or {}) for record in records], following

    def waiting(self, tenant: str, limit: int) -> list[int]:
        passing = of_store(tenant, equals(MARKS, WAITING))
        records, _ = self._scroll(self._items, passing, None, limit, False)
        return [int(record.id) for record in records]

    def _scroll(
        self, collection: str, where: m.Filter, cursor: Any, limit: int, wanted: Any
    ) -> tuple[list[m.Record], Any]:
        with translated():
            return self._client.scroll(
                collection, scroll_filter=where, offset=cursor, limit=limit, with_payload=wanted
            )

    def count(self, tenant: str, where: Filter | None = None) -> int:
        return self._count(self._items, of_store(tenant, where=where))

    def _count(self, collection: str, where: m.Filter, exact: bool = True) -> int:
        with translated():
            return self._client.count(collection, count_filter=where, exact=exact).count

    # --- searching ------------------------------------------------------------------------------------

    def search(self, tenant: str, searches: Sequence[Search]) -> list[list[Hit]]:
        if not searches:
            return []
        plans = {where: self._plan(tenant, where) for where in {s.where for s in searches}}
        requests = [
            m.QueryRequest(
                query=search.vector.tolist(),
                using=TEXT,
                limit=search.limit,
                filter=of_store(tenant, where=search.where),
                params=_params(plans[search.where]),
            )
            for search in searches
        ]
        with translated():
            answers = self._client.query_batch_points(self._items, requests)
        return [[Hit(int(p.id), p.score) for p in answer.points] for answer in answers]

    def _plan(self, tenant: str, where: Filter | None) -> Plan:
        total = self._total(tenant)
        # Nearly everything is available: that filter alone is not worth another round trip.
        if without_available(where)[0] is None:
            return plan(total, total)
        return plan(self._count(self._items, of_store(tenant, where=where), exact=False), total)

    def _total(self, tenant: str) -> int:
        """Roughly how many items a store has, as of the last minute."""
        now = time.monotonic()
        until, total = self._totals.get(tenant, (0.0, 0))
        if now > until:
            total = self._count(self._items, of_store(tenant), exact=False)
            self._totals[tenant] = (now + TOTAL_FOR_S, total)
        return total

    # --- users ----------------------------------------------------------------------------------------

    def users(
        self, tenant: str, keys: Sequence[str], vectors: bool = False
    ) -> dict[str, StoredUser]:
        found: dict[str, StoredUser] = {}
        for part in chunks(keys, MAX_ITEMS):
            with translated():
                records = self._client.retrieve(
                    self._users, list(part), with_payload=_wanted(None), with_vectors=vectors
                )
            for record in records:
                payload = record.payload or {}
                if payload.get("store") != tenant:
                    continue
                key = str(record.id)
                found[key] = stored_user(key, payload)
                if vectors and isinstance(record.vector, dict):
                    _add_vectors(found[key], record.vector)
        return found

    def put_users(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        check_tenant(tenant)
        lost: list[str] = []
        for part in chunks(users, MAX_ITEMS):
            write = secrets.token_hex(8)
            first = {user.key: user for user in reversed(part)}
            self._update(self._users, [_put_user(tenant, u, write) for u in first.values()])
            done = {str(key) for key in self._written(self._users, list(first), write)}
            lost += [u.key for u in part if u.key not in done or first[u.key] is not u]
        return lost

    def delete_users(self, tenant: str, keys: Sequence[str]) -> None:
        if keys:
            where = of_store(tenant, among(list(keys)))
            with translated():
                self._client.delete(self._users, m.FilterSelector(filter=where))

    def neighbours(
        self, tenant: str, query: Sparse, limit: int, exclude: Sequence[str] = ()
    ) -> list[Neighbour]:
        if not len(query.indices):
            return []
        where = of_store(tenant)
        if exclude:
            where.must_not = [among(list(exclude))]
        near = m.SparseVector(indices=query.indices.tolist(), values=query.values.tolist())
        with translated():
            answer = self._client.query_points(
                self._users,
                query=near,
                using=HISTORY,
                limit=limit,
                query_filter=where,
                with_payload=["tail"],
            )
        return [
            Neighbour(str(p.id), p.score, (p.payload or {}).get("tail", "")) for p in answer.points
        ]

    def count_users(self, tenant: str) -> int:
        return self._count(self._users, of_store(tenant))

    def user_keys(self, tenant: str) -> Iterator[str]:
        cursor: Any = None
        while True:
            records, cursor = self._scroll(self._users, of_store(tenant), cursor, PAGE, False)
            yield from (str(record.id) for record in records)
            if cursor is None:
                return

    # --- the store and the whole ----------------------------------------------------------------------

    def tenants(self) -> list[str]:
        found: set[str] = set()
        for collection in (self._items, self._users):
            with translated():
                answer = self._client.facet(collection, "store", limit=MAX_TENANTS, exact=True)
            found.update(str(hit.value) for hit in answer.hits)
        return sorted(found)

    def declare(self, tenant: str, name: str, kind: FieldType) -> None:
        path = json_path(f"attributes.{name}")
        with translated():
            present = self._client.get_collection(self._items).payload_schema.get(path)
            if present is None:
                self._client.create_payload_index(self._items, path, layout.index_params(kind))
            elif present.data_type != kind:
                # One collection serves all stores, and a field has one index in it.
                raise InvalidInput(
                    f"attribute {name!r} is declared as {present.data_type.value} by another store "
                    f"on this server: declare it so too, or name it otherwise"
                )

    def maintain(self) -> list[str]:
        return []  # a server builds its indexes by itself

    def flush(self) -> None:
        """A server has written a change down when it acknowledges it."""

    def close(self) -> None:
        if self._ours:
            self._client.close()


def _wanted(fields: Sequence[str] | None, *more: str) -> Any:
    if fields is None:
        return m.PayloadSelectorExclude(exclude=HIDDEN)
    return [json_path(field) for field in {*fields, *more} if field not in HIDDEN]


def _put_item(
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


def _put_user(tenant: str, user: StoredUser, write: str) -> m.UpdateOperation:
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


def _add_vectors(user: StoredUser, vectors: dict[str, Any]) -> None:
    if TASTE in vectors:
        user.taste = np.asarray(vectors[TASTE], np.float32)
    if HISTORY in vectors:
        sparse = vectors[HISTORY]
        user.history = Sparse(
            np.asarray(sparse.indices, np.uint32), np.asarray(sparse.values, np.float32)
        )


def _params(how: Plan) -> m.SearchParams:
    if how.exact:
        return m.SearchParams(exact=True)
    return m.SearchParams(
        hnsw_ef=how.breadth,
        quantization=m.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=m.AcornSearchParams(enable=True, max_selectivity=1.0) if how.detours else None,
    )
