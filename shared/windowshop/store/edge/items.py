"""The items of one store in Edge."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as q

from windowshop.filters import FieldType, Filter
from windowshop.store import Hit, Payload, Search, Vector
from windowshop.store.edge.filters import marked, to_edge
from windowshop.store.edge.layout import index_params, item_config, item_indexes
from windowshop.store.edge.shard import Shard, translated
from windowshop.store.schema import (
    INDEX_FROM,
    INTERNAL,
    KEPT,
    MARKS,
    OVERSAMPLING,
    TEXT,
    WAITING,
    Plan,
    chunks,
    is_older,
    item_payload,
    json_path,
    mark,
    marks,
    plan,
    without_available,
)

WRITE_CHUNK = 64
"""Points an upsert: each holds Python's lock for some 6 ms, and between them others have a turn."""
READ_CHUNK = 256
SCAN_CHUNK = 1_000
PUBLIC = q.PayloadSelector.Exclude(list(INTERNAL))
MAX_PARKED = 20_000
MAX_DROPPED = 0.2
INDEX_PAYLOAD_FROM = 1_000
"""Items from which filters need indexes; below, looking at every payload takes 2 ms."""

CHANGED_SHARE = 0.05
CHANGED_LEAST = 2_000
CHANGED_MOST = 20_000


class Items:
    """What `EdgeStore` does with one store's items; see the port for what each method promises."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.shard = Shard(folder, item_config(dim), int)
        self._indexed = False
        self._index_payload()
        self._parked = self._find_parked()

    # --- writing ---------------------------------------------------------------------------------

    @translated()
    def put(self, tenant: str, items: Mapping[int, Payload]) -> None:
        with self.shard.lock:
            held = self.read(list(items), ("order", *KEPT))
            writes = {
                key: item_payload(tenant, key, payload, held.get(key))
                for key, payload in items.items()
                if is_older(held.get(key, {}), payload.get("order"))
            }
            # In this order nobody is ever shown what is not available.
            for key, whole in writes.items():
                if whole.get("available") is not True:
                    self._park(key)
            new = [q.Point(key, {}, whole) for key, whole in writes.items() if key not in held]
            for points in chunks(new, WRITE_CHUNK):
                self._upsert(points)
            for key in writes.keys() & held.keys():
                self.shard.write(q.UpdateOperation.overwrite_payload([key], writes[key]), [key])
            self._unpark(key for key, whole in writes.items() if whole.get("available") is True)
            self._index_payload()

    @translated()
    def put_vectors(
        self, keys: Sequence[int], vectors: Vector, hashes: Sequence[str], now_ms: int
    ) -> list[int]:
        done: list[int] = []
        rows = list(zip(keys, vectors, hashes, strict=True))
        for part in chunks(rows, WRITE_CHUNK):
            with self.shard.lock:
                held = self.read([key for key, _, _ in part])
                points = []
                for key, vector, made_from in part:
                    payload = held.get(key)
                    if payload is None or payload.get("text_hash") != made_from:
                        continue
                    whole = item_payload(payload["store"], key, payload, None)
                    whole |= {"vector_hash": made_from, "embedded_at": now_ms}
                    whole[MARKS] = marks(whole)
                    points.append(q.Point(key, {TEXT: vector.tolist()}, whole))
                if points:
                    self._upsert(points)
                    done += [int(point.id) for point in points]
        return done

    @translated()
    def delete(self, keys: Sequence[int], order: int | None) -> None:
        with self.shard.lock:
            held = self.read(keys, ("order",))
            gone = [key for key, payload in held.items() if is_older(payload, order)]
            if gone:
                self.shard.remove(gone)
            self._unpark(gone)

    def _index_payload(self) -> None:
        """Each index costs the disk several syncs, so a store that stays small has none."""
        if not self._indexed and self.shard.points() >= INDEX_PAYLOAD_FROM:
            self.shard.index(item_indexes())
            self._indexed = True

    def declare(self, name: str, kind: FieldType) -> None:
        params = index_params(kind)
        if params is not None:
            self.shard.index({json_path(f"attributes.{name}"): params})

    def index_like(self, other: "Items") -> None:
        """Create the indexes of attributes that another collection has."""
        present = other.shard.read(lambda shard: shard.info().payload_schema)
        self.shard.index(
            {path: held.params for path, held in present.items() if path.startswith("attributes.")}
        )

    def _upsert(self, points: Sequence[q.Point]) -> None:
        operation = q.UpdateOperation.upsert_points(list(points))
        self.shard.write(operation, [int(point.id) for point in points])

    # --- reading ---------------------------------------------------------------------------------

    @translated()
    def read(self, keys: Sequence[int], fields: Sequence[str] | None = None) -> dict[int, Payload]:
        wanted = PUBLIC if fields is None else _top_level(fields)
        found: dict[int, Payload] = {}
        for part in chunks(keys, READ_CHUNK):
            records = self.shard.retrieve(part, wanted, False)
            found.update((int(record.id), record.payload or {}) for record in records)
        return found

    @translated()
    def vectors(self, keys: Sequence[int]) -> dict[int, Vector]:
        found: dict[int, Vector] = {}
        for part in chunks(keys, READ_CHUNK):
            for record in self.shard.retrieve(part, False, [TEXT]):
                held: Any = record.vector or {}
                row = held.get(TEXT)
                if row is not None:
                    found[int(record.id)] = np.asarray(row, np.float32)
        return found

    @translated()
    def scan(
        self, cursor: int | None, limit: int, where: Filter | None, fields: Sequence[str] | None
    ) -> tuple[list[tuple[int, Payload]], int | None]:
        wanted = PUBLIC if fields is None else _top_level(fields)
        passing = None if where is None else to_edge(where)
        records, following = self._scroll(cursor, limit, passing, wanted)
        return [(record.id, record.payload or {}) for record in records], following

    def pages(self) -> Iterator[list[tuple[int, Payload]]]:
        cursor: int | None = None
        while True:
            rows, cursor = self.scan(cursor, SCAN_CHUNK, None, None)
            yield rows
            if cursor is None:
                return

    def waiting(self, limit: int) -> list[int]:
        records, _ = self._scroll(None, limit, q.Filter(must=[marked(WAITING)]), False)
        return [record.id for record in records]

    def _scroll(
        self, cursor: int | None, limit: int, where: q.Filter | None, wanted: Any
    ) -> tuple[list[Any], Any]:
        request = q.ScrollRequest(cursor, limit, where, wanted, False)

        def scroll(shard: q.EdgeShard) -> tuple[list[Any], Any]:
            return shard.scroll(request)

        return self.shard.read(scroll)

    @translated()
    def count(self, where: Filter | None) -> int:
        return self.shard.points() if where is None else self._count(where, exact=True)

    def _count(self, where: Filter | None, exact: bool) -> int:
        passing = None if where is None else to_edge(where)
        request = q.CountRequest(exact=exact, filter=passing)
        return self.shard.read(lambda shard: int(shard.count(request)))

    # --- searching -------------------------------------------------------------------------------

    @translated()
    def search(self, searches: Sequence[Search]) -> list[list[Hit]]:
        parked = self._parked
        ways: dict[Filter | None, _Way] = {}
        for search in searches:
            if search.where not in ways:
                ways[search.where] = self._way(search.where, parked)
        requests = [ways[search.where].request(search) for search in searches]
        answers = self._query(requests)
        found = []
        for search, answer in zip(searches, answers, strict=True):
            hits = [Hit(point.id, point.score) for point in answer]
            spare = ways[search.where].spare(search.limit)
            if spare:
                full = len(hits) == search.limit + spare
                hits = [hit for hit in hits if hit.key not in (parked or ())]
                if full and len(hits) < search.limit:
                    again = self._way(search.where, None).request(search)
                    hits = [Hit(point.id, point.score) for point in self._query([again])[0]]
            found.append(hits[: search.limit])
        return found

    def _query(self, requests: list[Any]) -> list[list[Any]]:
        if len(requests) == 1:
            return [self.shard.read(lambda shard: shard.query(requests[0]))]
        return self.shard.read(lambda shard: shard.query_batch(q.QueryBatchRequest(requests)))

    def _way(self, where: Filter | None, parked: set[int] | None) -> "_Way":
        """How to search under a filter. `available` filters nearly every search and leaves out
        little: a third of the time goes when we take some more and drop these ourselves.
        """
        total = self.shard.points()
        dropped = 0
        if parked is not None and len(parked) <= total * MAX_DROPPED:
            where, asked = without_available(where)
            dropped = len(parked) if asked else 0
        passing = total
        if where is not None and total >= INDEX_FROM:
            passing = self._count(where, exact=False)
        return _Way(None if where is None else to_edge(where), plan(passing, total), dropped, total)

    # --- items that may not be served ------------------------------------------------------------

    def _find_parked(self) -> set[int] | None:
        """Keys of items that are not available; None when there are many."""
        where = q.Filter(must_not=[marked(mark("available", True))])
        records, _ = self._scroll(None, MAX_PARKED + 1, where, False)
        return {record.id for record in records} if len(records) <= MAX_PARKED else None

    def _park(self, key: int) -> None:
        if self._parked is not None:
            self._parked.add(key)
            if len(self._parked) > MAX_PARKED:
                self._parked = None

    def _unpark(self, keys: Iterable[int]) -> None:
        if self._parked is not None:
            self._parked.difference_update(keys)

    # --- upkeep ----------------------------------------------------------------------------------

    def wants_building(self) -> bool:
        """Whether so much changed since the last build that another one pays."""
        total = self.shard.points()
        enough = min(max(CHANGED_LEAST, int(total * CHANGED_SHARE)), CHANGED_MOST)
        return total > INDEX_FROM and self.shard.changed >= enough


class _Way:
    """The part of a search that its filter decides."""

    __slots__ = ("_dropped", "_filter", "_params", "_total")

    def __init__(self, passing: q.Filter | None, how: Plan, dropped: int, total: int) -> None:
        self._filter = passing
        self._params = _params(how)
        self._dropped, self._total = dropped, total

    def spare(self, limit: int) -> int:
        """So many more than wanted are asked for, because so many may have to be dropped."""
        if not self._dropped:
            return 0
        return min(self._dropped, 10 + 2 * limit * self._dropped // self._total)

    def request(self, search: Search) -> q.QueryRequest:
        return q.QueryRequest(
            limit=search.limit + self.spare(search.limit),
            query=q.Query.Nearest(search.vector.tolist(), TEXT),
            filter=self._filter,
            params=self._params,
        )


def _params(how: Plan) -> q.SearchParams:
    if how.exact:
        return q.SearchParams(exact=True)
    return q.SearchParams(
        hnsw_ef=how.breadth,
        quantization=q.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=q.AcornSearchParams(enable=True, max_selectivity=1.0) if how.detours else None,
    )


def _top_level(fields: Sequence[str]) -> list[str]:
    return [json_path(field) for field in fields if field not in INTERNAL]
