"""The items of all stores on a server."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import models as m

from windowshop.errors import InvalidInput, NotReady
from windowshop.filters import FieldType, Filter
from windowshop.store import LEARNED_DIM, Hit, Payload, Search, Sparse, Vector, WordSearch
from windowshop.store.refill import Row
from windowshop.store.schema import (
    KEPT,
    LEARNED,
    MARKS,
    TEXT,
    WAITING,
    WORDS,
    Plan,
    is_older,
    json_path,
    plan,
    without_available,
)
from windowshop.store.server.collection import Collection, new_write
from windowshop.store.server.filters import among, equals, of_store
from windowshop.store.server.layout import index_params
from windowshop.store.server.opening import Version
from windowshop.store.server.operations import (
    WRITE,
    as_read,
    begun,
    by_size,
    changed_item,
    changed_words,
    embedded_item,
    insert,
    new_item,
    params,
    replace,
    sparse,
    sparse_held,
    vectors_held,
    wanted,
)

TRIES = 5
TOTAL_FOR_S = 60.0


class Items:
    """What `ServerStore` does with items; see the port for what each method promises."""

    def __init__(self, collection: Collection, serving: Collection, version: Version) -> None:
        """`collection` goes by the name that always means the version that serves, `serving` by its
        own: what is searched there is never of another `version`.
        """
        self._points, self._serving = collection, serving
        self.version = version
        self._totals: dict[str, tuple[float, int]] = {}

    # --- writing ---------------------------------------------------------------------------------

    def put(self, tenant: str, items: Mapping[int, Payload], words: Mapping[int, Sparse]) -> None:
        if not self.version.words:
            words = {}
        most = max((len(one.indices) for one in words.values()), default=0)
        for part in by_size(items, numbers=2 * most):
            self._put(tenant, {key: items[key] for key in part}, words)

    def _put(self, tenant: str, left: dict[int, Payload], words: Mapping[int, Sparse]) -> None:
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
                new_item(tenant, key, payload, words.get(key), write)
                for key, payload in left.items()
                if key not in held
            ]
            said = {key: words[key] for key in left if key in held and key in words}
            changed = [
                changed_item(
                    tenant, key, payload, held[key], begun(write) if key in said else write
                )
                for key, payload in left.items()
                if key in held
            ]
            changed += changed_words(tenant, said, write)
            self._points.update([insert(new), *changed] if new else changed)
            done = self._points.written(list(left), write)
            left = {key: payload for key, payload in left.items() if key not in done}
        if left:
            raise NotReady(f"{len(left)} items are being written by others; try again")

    def put_vectors(
        self,
        tenant: str,
        keys: Sequence[int],
        vectors: Vector,
        hashes: Sequence[str],
        now_ms: int,
        learned: Vector | None,
    ) -> list[int]:
        left = {key: n for n, key in enumerate(keys)}
        done: set[int] = set()
        for _ in range(TRIES):
            # A whole point is written, so with its other vectors: those that it has by now.
            records = {int(r.id): r for r in self._points.retrieve(list(left), True, True)}
            held = {
                key: payload
                for key, record in records.items()
                if (payload := record.payload or {}).get("store") == tenant
                and payload.get("text_hash") == hashes[left[key]]
            }
            write = new_write()
            for part in by_size(held, numbers=_numbers(records.values(), vectors.shape[1])):
                points = []
                for key in part:
                    n = left[key]
                    row = None if learned is None else learned[n]
                    points.append(embedded_item(records[key], vectors[n], row, now_ms, write))
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

    def vectors(
        self,
        tenant: str,
        keys: Sequence[int],
        name: str = TEXT,
        instead_of: Version | None = None,
    ) -> dict[int, Vector]:
        """`instead_of`: the version that learned ones were meant to be of, and that is gone."""
        found: dict[int, Vector] = {}
        if name == LEARNED and not (self.version.room and self._same(tenant, instead_of)):
            return found
        collection = self._serving if name == LEARNED else self._points
        for record in collection.retrieve(keys, ["store"], [name]):
            row = vectors_held(record).get(name)
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

    def pages(self, tenant: str) -> Iterator[list[Row]]:
        vectors = [WORDS] if self.version.words else False
        for records in self._points.pages(tenant, wanted(None), vectors):
            yield [(int(r.id), r.payload or {}, sparse_held(r, WORDS)) for r in records]

    def waiting(self, tenant: str, limit: int) -> list[int]:
        passing = of_store(tenant, equals(MARKS, WAITING))
        records, _ = self._points.scroll(passing, None, limit, False)
        return [int(record.id) for record in records]

    def count(self, tenant: str, where: Filter | None) -> int:
        return self._points.count(of_store(tenant, where=where))

    def count_learned(self, tenant: str) -> int:
        having: Any = m.HasVectorCondition(has_vector=LEARNED)
        return self._points.count(of_store(tenant, having))

    # --- searching -------------------------------------------------------------------------------

    def search(
        self,
        tenant: str,
        searches: Sequence[Search | WordSearch],
        instead_of: Version | None = None,
    ) -> list[list[Hit]]:
        """`instead_of`: the version that the searches were meant for, and that is gone."""
        found: list[list[Hit]] = [[] for _ in searches]
        asked = [n for n, search in enumerate(searches) if self._can_find(tenant, search)]
        if not self._same(tenant, instead_of):
            asked = [n for n in asked if not _learned(searches[n])]
        if not asked:
            return found
        by_plan = {s.where for n in asked if isinstance(s := searches[n], Search)}
        plans = {where: self._plan(tenant, where) for where in by_plan}
        learned = any(_learned(searches[n]) for n in asked)
        collection = self._serving if learned else self._points
        answers = collection.query([_request(tenant, searches[n], plans) for n in asked])
        for n, points in zip(asked, answers, strict=True):
            found[n] = [Hit(int(point.id), point.score) for point in points]
        return found

    def _same(self, tenant: str, other: Version | None) -> bool:
        return other is None or other.learned.get(tenant) == self.version.learned.get(tenant)

    def _can_find(self, tenant: str, search: Search | WordSearch) -> bool:
        """Whether the collection has what is asked for; it would be an error otherwise."""
        if isinstance(search, WordSearch):
            return self.version.words and len(search.words.indices) > 0
        held = self.version.learned.get(tenant)
        return not _learned(search) or (held is not None and search.made_by in (None, held))

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


def _learned(search: Search | WordSearch) -> bool:
    return isinstance(search, Search) and search.using == LEARNED


def _request(
    tenant: str, search: Search | WordSearch, plans: Mapping[Filter | None, Plan]
) -> m.QueryRequest:
    where = of_store(tenant, where=search.where)
    if isinstance(search, WordSearch):
        near = sparse(search.words)
        return m.QueryRequest(query=near, using=WORDS, limit=search.limit, filter=where)
    return m.QueryRequest(
        query=search.vector.tolist(),
        using=search.using,
        limit=search.limit,
        filter=where,
        params=params(plans[search.where], search.using),
    )


def _numbers(records: Iterable[m.Record], dim: int) -> int:
    """At most so many numbers are written of one of them."""
    words = (sparse_held(record, WORDS) for record in records)
    most = max((len(one.indices) for one in words if one is not None), default=0)
    return dim + LEARNED_DIM + 2 * most


def _rows(records: Sequence[m.Record]) -> list[tuple[int, Payload]]:
    return [(int(record.id), record.payload or {}) for record in records]
