"""All stores of a deployment on one Qdrant server (1.17 or later) or Qdrant Cloud.

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
from windowshop.store.refill import take_over
from windowshop.store.schema import (
    HISTORY,
    KEPT,
    MARKS,
    MAX_ITEMS,
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
    json_path,
    model_card,
    plan,
    stored_user,
    without_available,
)
from windowshop.store.server import layout, opening
from windowshop.store.server.errors import translated
from windowshop.store.server.filters import among, equals, of_store
from windowshop.store.server.operations import (
    WRITE,
    add_vectors,
    params,
    put_item,
    put_user,
    put_vector,
    wanted,
)

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
        fill: bool = False,
    ) -> None:
        """`server` is an address, or a client that is left open. `prefix` begins all names.

        With `fill` the server may hold another model's vectors: the items are then taken over
        without vectors, into collections that nobody sees until `promote`. Raises
        Unavailable, Misconfigured (the key, or the server holds another model's vectors).
        """
        self._model, self._dim = model, dim
        self._ours = isinstance(server, str)
        with translated():
            self._client = (
                QdrantClient(url=server, api_key=key, timeout=timeout_s, check_compatibility=False)
                if isinstance(server, str)
                else server
            )
        mark = fingerprint(model, dim)
        self._totals: dict[str, tuple[float, int]] = {}
        self._aliases = opening.Aliases(self._client, prefix, mark)
        self._items, self._users = self._aliases.own["items"], self._aliases.own["users"]
        card = model_card(model, dim)
        with translated():
            opening.check_version(self._client)
            held = self._aliases.other_card()
            if held is not None and not fill:
                check_model(held, model, dim, f"collection {self._aliases.present()['items']}")
            opening.create(self._client, self._aliases, dim, card)
        if held is None:
            self.promote()
        else:
            self._take_over()

    def _take_over(self) -> None:
        """Bring the items of the model that counts now into the collections of this one."""
        old = self._aliases.present()["items"]
        with translated():
            opening.index_like(self._client, old, self._items)
            tenants = self._client.facet(old, "store", limit=MAX_TENANTS, exact=True)
        for hit in tenants.hits:
            take_over(self._pages(old, str(hit.value)), self, str(hit.value))

    def _pages(self, collection: str, tenant: str) -> Iterator[list[tuple[int, Payload]]]:
        cursor: Any = None
        while True:
            records, cursor = self._scroll(collection, of_store(tenant), cursor, PAGE, wanted(None))
            yield [(int(record.id), record.payload or {}) for record in records]
            if cursor is None:
                return

    def promote(self) -> None:
        """Make this model's collections the ones that count, and remove those that were."""
        with translated():
            self._aliases.promote()

    @property
    def model(self) -> str:
        return self._model

    # --- writing items ---------------------------------------------------------------------------

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
                    put_item(tenant, key, payload, held.get(key), write)
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
            operations += put_vector(tenant, key, vector, made_from, now_ms, write)
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

    # --- reading items ---------------------------------------------------------------------------

    def items(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        found: dict[int, Payload] = {}
        for part in chunks(keys, MAX_ITEMS):
            with translated():
                records = self._client.retrieve(
                    self._items, list(part), with_payload=wanted(fields, "store")
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
        records, following = self._scroll(self._items, passing, cursor, limit, wanted(fields))
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

    # --- searching -------------------------------------------------------------------------------

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
                params=params(plans[search.where]),
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

    # --- users -----------------------------------------------------------------------------------

    def users(
        self, tenant: str, keys: Sequence[str], vectors: bool = False
    ) -> dict[str, StoredUser]:
        found: dict[str, StoredUser] = {}
        for part in chunks(keys, MAX_ITEMS):
            with translated():
                records = self._client.retrieve(
                    self._users, list(part), with_payload=wanted(None), with_vectors=vectors
                )
            for record in records:
                payload = record.payload or {}
                if payload.get("store") != tenant:
                    continue
                key = str(record.id)
                found[key] = stored_user(key, payload)
                if vectors and isinstance(record.vector, dict):
                    add_vectors(found[key], record.vector)
        return found

    def put_users(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        check_tenant(tenant)
        lost: list[str] = []
        for part in chunks(users, MAX_ITEMS):
            write = secrets.token_hex(8)
            first = {user.key: user for user in reversed(part)}
            self._update(self._users, [put_user(tenant, u, write) for u in first.values()])
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

    # --- the store and the whole -----------------------------------------------------------------

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
