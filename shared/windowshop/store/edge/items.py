"""The items of one store in Edge."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as q

from windowshop.filters import FieldType, Filter
from windowshop.store import (
    Hit,
    Make,
    Payload,
    Progress,
    Search,
    Sparse,
    Vector,
    WordSearch,
)
from windowshop.store.edge.filters import marked, to_edge
from windowshop.store.edge.layout import ItemLayout, index_params, item_indexes
from windowshop.store.edge.learning import Learning
from windowshop.store.edge.searching import Way, can_find
from windowshop.store.edge.shard import PointId, Shard, translated
from windowshop.store.edge.vectors import said, sparse_held
from windowshop.store.refill import Row
from windowshop.store.schema import (
    INDEX_FROM,
    INTERNAL,
    KEPT,
    LEARNED,
    MARKS,
    TEXT,
    WAITING,
    WORDS,
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
        self.shard = Shard(folder, ItemLayout(dim), int)
        self._indexed = False
        self._index_payload()
        self._parked = self._find_parked()

    # --- writing ---------------------------------------------------------------------------------

    @translated()
    def put(self, tenant: str, items: Mapping[int, Payload], words: Mapping[int, Sparse]) -> None:
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
            new = [
                q.Point(key, said(words.get(key)), whole)
                for key, whole in writes.items()
                if key not in held
            ]
            for points in chunks(new, WRITE_CHUNK):
                self._upsert(points)
            # First the words: who is stopped in between, and tries again, finds the old payload.
            self._put_words({key: words[key] for key in writes if key in held and key in words})
            for key in writes.keys() & held.keys():
                self.shard.write(q.UpdateOperation.overwrite_payload([key], writes[key]), [key])
            self._unpark(key for key, whole in writes.items() if whole.get("available") is True)
            self._index_payload()

    def _put_words(self, words: Mapping[int, Sparse]) -> None:
        rows = [q.PointVectors(key, made) for key, one in words.items() if (made := said(one))]
        for part in chunks(rows, WRITE_CHUNK):
            written = [int(row.id) for row in part]
            self.shard.write(q.UpdateOperation.update_vectors(list(part)), written)
        gone: list[PointId] = [key for key, one in words.items() if not len(one.indices)]
        if gone:
            self.shard.write(q.UpdateOperation.delete_vectors(gone, [WORDS]), gone)

    @translated()
    def put_vectors(
        self,
        keys: Sequence[int],
        vectors: Vector,
        hashes: Sequence[str],
        now_ms: int,
        learned: Vector | None,
        made_by: str | None,
    ) -> list[int]:
        done: list[int] = []
        for part in chunks(range(len(keys)), WRITE_CHUNK):
            with self.shard.lock:
                held = self._whole([keys[n] for n in part])
                taken = learned if made_by in (None, self.shard.version) else None
                points = []
                for n in part:
                    key, made_from = keys[n], hashes[n]
                    payload, rest = held.get(key, ({}, {}))
                    if not payload or payload.get("text_hash") != made_from:
                        continue
                    whole = item_payload(payload["store"], key, payload, None)
                    whole |= {"vector_hash": made_from, "embedded_at": now_ms}
                    whole[MARKS] = marks(whole)
                    rest[TEXT] = vectors[n].tolist()
                    if taken is not None and self.shard.version:
                        rest[LEARNED] = taken[n].tolist()
                    points.append(q.Point(key, rest, whole))
                if points:
                    self._upsert(points)
                    done += [int(point.id) for point in points]
        return done

    def _whole(self, keys: Sequence[int]) -> dict[int, tuple[Payload, dict[str, Any]]]:
        """Payloads, and the vectors that a new text vector leaves as they are."""
        others = [WORDS, LEARNED] if self.shard.version else [WORDS]
        found: dict[int, tuple[Payload, dict[str, Any]]] = {}
        for record in self.shard.retrieve(keys, PUBLIC, others):
            vectors: Any = record.vector or {}
            found[int(record.id)] = record.payload or {}, dict(vectors)
        return found

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
    def vectors(self, keys: Sequence[int], name: str = TEXT) -> dict[int, Vector]:
        found: dict[int, Vector] = {}
        if name == LEARNED and not self.shard.version:
            return found
        for part in chunks(keys, READ_CHUNK):
            for record in self.shard.retrieve(part, False, [name]):
                held: Any = record.vector or {}
                row = held.get(name)
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

    def pages(self) -> Iterator[list[Row]]:
        cursor: int | None = None
        while True:
            records, cursor = self._scroll(cursor, SCAN_CHUNK, None, PUBLIC, [WORDS])
            yield [
                (record.id, record.payload or {}, sparse_held(record, WORDS)) for record in records
            ]
            if cursor is None:
                return

    def waiting(self, limit: int) -> list[int]:
        records, _ = self._scroll(None, limit, q.Filter(must=[marked(WAITING)]), False)
        return [record.id for record in records]

    def _scroll(
        self,
        cursor: int | None,
        limit: int,
        where: q.Filter | None,
        wanted: Any,
        vectors: Any = False,
    ) -> tuple[list[Any], Any]:
        request = q.ScrollRequest(cursor, limit, where, wanted, vectors)

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
    def search(self, searches: Sequence[Search | WordSearch]) -> list[list[Hit]]:
        while True:
            version = self.shard.version
            asked = [n for n, search in enumerate(searches) if can_find(search, version)]
            found: list[list[Hit]] = [[] for _ in searches]
            if asked:
                answers = self._search([searches[n] for n in asked])
                for n, hits in zip(asked, answers, strict=True):
                    found[n] = hits
            if version == self.shard.version:  # else some may have been asked of the next version
                return found

    def _search(self, searches: Sequence[Search | WordSearch]) -> list[list[Hit]]:
        parked = self._parked
        ways: dict[Filter | None, Way] = {}
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

    def _way(self, where: Filter | None, parked: set[int] | None) -> "Way":
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
        return Way(None if where is None else to_edge(where), plan(passing, total), dropped, total)

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

    def learn(self, version: str, make: Make, progress: Progress | None) -> int:
        # A second vector moves every item out of the graph that it was in, so that is built anew;
        # and what is left of it is not readable (0.9.0) until then, however small the store is now.
        index = version != "" and (self.shard.points() > INDEX_FROM or self.shard.indexed())
        self.shard.rebuild(Learning(version, make, progress), index)
        if not version:
            return 0
        having = q.Filter(must=[q.HasVectorCondition(LEARNED)])
        learned = q.CountRequest(exact=True, filter=having)
        return self.shard.read(lambda shard: int(shard.count(learned)))


def _top_level(fields: Sequence[str]) -> list[str]:
    return [json_path(field) for field in fields if field not in INTERNAL]
