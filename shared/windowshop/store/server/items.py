"""The items of all stores on a server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import models as m

from windowshop.errors import InvalidInput, NotReady
from windowshop.filters import FieldType, Filter
from windowshop.store import Hit, Payload, Search, Vector
from windowshop.store.schema import (
    KEPT,
    MARKS,
    TEXT,
    WAITING,
    Plan,
    is_older,
    json_path,
    plan,
    without_available,
)
from windowshop.store.server.collection import Collection, new_write
from windowshop.store.server.filters import among, equals, of_store
from windowshop.store.server.layout import index_params
from windowshop.store.server.operations import (
    WRITE,
    as_read,
    by_size,
    changed_item,
    embedded_item,
    insert,
    new_item,
    params,
    replace,
    wanted,
)

TRIES = 5
TOTAL_FOR_S = 60.0


class Items:
    """What `ServerStore` does with items; see the port for what each method promises."""

    def __init__(self, collection: Collection) -> None:
        self._points = collection
        self._totals: dict[str, tuple[float, int]] = {}

    # --- writing ---------------------------------------------------------------------------------

    def put(self, tenant: str, items: Mapping[int, Payload]) -> None:
        for part in by_size(items):
            self._put(tenant, {key: items[key] for key in part})

    def _put(self, tenant: str, left: dict[int, Payload]) -> None:
        for _ in range(TRIES):
            held = self._as_stored(tenant, list(left), ["store", "order", *KEPT, WRITE])
            left = {
                key: payload
                for key, payload in left.items()
                if is_older(held.get(key, {}), payload.get("order"))
            }
            if not left:
                return
            write = new_write()
            new = [
                new_item(tenant, k, payload, write) for k, payload in left.items() if k not in held
            ]
            changed = [
                changed_item(tenant, key, payload, held[key], write)
                for key, payload in left.items()
                if key in held
            ]
            self._points.update([insert(new), *changed] if new else changed)
            done = self._points.written(list(left), write)
            left = {key: payload for key, payload in left.items() if key not in done}
        if left:
            raise NotReady(f"{len(left)} items are being written by others; try again")

    def put_vectors(
        self, tenant: str, keys: Sequence[int], vectors: Vector, hashes: Sequence[str], now_ms: int
    ) -> list[int]:
        left = {key: (row, made) for key, row, made in zip(keys, vectors, hashes, strict=True)}
        done: set[int] = set()
        for _ in range(TRIES):
            held = {
                key: payload
                for key, payload in self._as_stored(tenant, list(left), True).items()
                if payload.get("text_hash") == left[key][1]
            }
            write = new_write()
            for part in by_size(held, numbers=vectors.shape[1]):
                points = [embedded_item(key, held[key], *left[key], now_ms, write) for key in part]
                condition = as_read(tenant, (held[key] for key in part))
                self._points.update([replace(points, condition)])
            done |= self._points.written(list(held), write)
            left = {key: left[key] for key in held if key not in done}
            if not left:
                return [key for key in keys if key in done]
        raise NotReady(f"{len(left)} items are being written by others; try again")

    def _as_stored(self, tenant: str, keys: Sequence[int], fields: Any) -> dict[int, Payload]:
        """Payloads with what is hidden from others."""
        found = {int(r.id): r.payload or {} for r in self._points.retrieve(keys, fields)}
        return {key: payload for key, payload in found.items() if payload.get("store") == tenant}

    def delete(self, tenant: str, keys: Sequence[int], order: int | None) -> None:
        if not keys:
            return
        where = of_store(tenant, among(list(keys)))
        if order is not None:
            where.must_not = [m.FieldCondition(key="order", range=m.Range(gt=order))]
        self._points.delete(where)
        self._totals.pop(tenant, None)

    def declare(self, name: str, kind: FieldType) -> None:
        path = json_path(f"attributes.{name}")
        present = self._points.indexes().get(path)
        if present is None:
            self._points.index(path, index_params(kind))
        elif present.data_type != kind:
            # One collection serves all stores, and a field has one index in it.
            raise InvalidInput(
                f"attribute {name!r} is declared as {present.data_type.value} by another store on "
                "this server: declare it so too, or name it otherwise"
            )

    # --- reading ---------------------------------------------------------------------------------

    def read(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        found: dict[int, Payload] = {}
        for record in self._points.retrieve(keys, wanted(fields, "store")):
            payload = record.payload or {}
            if payload.get("store") == tenant:
                if fields is not None and "store" not in fields:
                    del payload["store"]
                found[int(record.id)] = payload
        return found

    def vectors(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        found: dict[int, Vector] = {}
        for record in self._points.retrieve(keys, ["store"], [TEXT]):
            row = record.vector.get(TEXT) if isinstance(record.vector, dict) else None
            if row is not None and (record.payload or {}).get("store") == tenant:
                found[int(record.id)] = np.asarray(row, np.float32)
        return found

    def scan(
        self,
        tenant: str,
        cursor: int | None,
        limit: int,
        where: Filter | None,
        fields: Sequence[str] | None,
    ) -> tuple[list[tuple[int, Payload]], int | None]:
        passing = of_store(tenant, where=where)
        records, following = self._points.scroll(passing, cursor, limit, wanted(fields))
        return _rows(records), following

    def pages(self, tenant: str) -> Iterator[list[tuple[int, Payload]]]:
        return map(_rows, self._points.pages(tenant, wanted(None)))

    def waiting(self, tenant: str, limit: int) -> list[int]:
        passing = of_store(tenant, equals(MARKS, WAITING))
        records, _ = self._points.scroll(passing, None, limit, False)
        return [int(record.id) for record in records]

    def count(self, tenant: str, where: Filter | None) -> int:
        return self._points.count(of_store(tenant, where=where))

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
        return [
            [Hit(int(p.id), p.score) for p in points] for points in self._points.query(requests)
        ]

    def _plan(self, tenant: str, where: Filter | None) -> Plan:
        total = self._total(tenant)
        # Nearly everything is available: that filter alone is not worth another round trip.
        if without_available(where)[0] is None:
            return plan(total, total)
        return plan(self._points.count(of_store(tenant, where=where), exact=False), total)

    def _total(self, tenant: str) -> int:
        """Roughly how many items a store has, as of the last minute."""
        now = time.monotonic()
        until, total = self._totals.get(tenant, (0.0, 0))
        if now > until:
            total = self._points.count(of_store(tenant), exact=False)
            self._totals[tenant] = (now + TOTAL_FOR_S, total)
        return total


def _rows(records: Sequence[m.Record]) -> list[tuple[int, Payload]]:
    return [(int(record.id), record.payload or {}) for record in records]
