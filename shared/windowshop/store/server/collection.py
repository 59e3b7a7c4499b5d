"""One collection on the server, its errors translated."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from qdrant_client import models as m

from windowshop.store.schema import MAX_ITEMS, WORDS, chunks
from windowshop.store.server.errors import is_missing
from windowshop.store.server.filters import of_store
from windowshop.store.server.line import Line
from windowshop.store.server.operations import WRITE

PAGE = 1_000
MAX_TENANTS = 10_000

IN_ORDER = m.WriteOrdering.MEDIUM
"""Writes on a condition must meet every replica in the same order, or replicas come apart."""
AGREED = m.ReadConsistencyType.MAJORITY
"""What most replicas say: after a write, whether it took effect."""


def new_write() -> str:
    return secrets.token_hex(8)


class Collection:
    """What is asked of a collection. Everything raises Unavailable, InvalidInput, Misconfigured."""

    def __init__(self, line: Line, name: str) -> None:
        self._line, self.name = line, name

    def update(self, operations: Sequence[m.UpdateOperation]) -> None:
        if operations:
            with self._line.calling() as client:
                try:
                    client.batch_update_points(self.name, list(operations), ordering=IN_ORDER)
                except Exception as error:
                    # Vectors of a point that is just being deleted; the rest was written.
                    if not is_missing(error):
                        raise

    def written(self, ids: Sequence[Any], write: str) -> set[Any]:
        """Those of the points that are from this write."""
        found = self.retrieve(ids, [WRITE], consistency=AGREED)
        return {record.id for record in found if (record.payload or {}).get(WRITE) == write}

    def delete(self, where: m.Filter) -> None:
        with self._line.calling() as client:
            client.delete(self.name, m.FilterSelector(filter=where), ordering=IN_ORDER)

    def retrieve(
        self,
        ids: Sequence[Any],
        payload: Any,
        vectors: Any = False,
        consistency: m.ReadConsistency | None = None,
    ) -> list[m.Record]:
        found: list[m.Record] = []
        for part in chunks(ids, MAX_ITEMS):
            with self._line.calling() as client:
                found += client.retrieve(
                    self.name,
                    list(part),
                    with_payload=payload,
                    with_vectors=vectors,
                    consistency=consistency,
                )
        return found

    def scroll(
        self, where: m.Filter | None, cursor: Any, limit: int, payload: Any, vectors: Any = False
    ) -> tuple[list[m.Record], Any]:
        with self._line.calling() as client:
            return client.scroll(
                self.name,
                scroll_filter=where,
                offset=cursor,
                limit=limit,
                with_payload=payload,
                with_vectors=vectors,
            )

    def pages(self, tenant: str, payload: Any, vectors: Any = False) -> Iterator[list[m.Record]]:
        """All points of a store."""
        return self._pages(of_store(tenant), PAGE, payload, vectors)

    def everything(self, page: int, payload: Any, vectors: Any) -> Iterator[list[m.Record]]:
        """All points of all stores, by id."""
        return self._pages(None, page, payload, vectors)

    def _pages(
        self, where: m.Filter | None, page: int, payload: Any, vectors: Any
    ) -> Iterator[list[m.Record]]:
        cursor: Any = None
        while True:
            records, cursor = self.scroll(where, cursor, page, payload, vectors)
            yield records
            if cursor is None:
                return

    def count(self, where: m.Filter | None, exact: bool = True) -> int:
        with self._line.calling() as client:
            return client.count(self.name, count_filter=where, exact=exact).count

    def query(self, requests: Sequence[m.QueryRequest]) -> list[list[m.ScoredPoint]]:
        with self._line.calling() as client:
            answers = client.query_batch_points(self.name, list(requests))
        return [answer.points for answer in answers]

    def tenants(self) -> list[str]:
        with self._line.calling() as client:
            found = client.facet(self.name, "store", limit=MAX_TENANTS, exact=True)
        return [str(hit.value) for hit in found.hits]

    def indexes(self) -> dict[str, m.PayloadIndexInfo]:
        with self._line.calling() as client:
            return client.get_collection(self.name).payload_schema

    def has_words(self) -> bool:
        with self._line.calling() as client:
            return WORDS in (client.get_collection(self.name).config.params.sparse_vectors or {})

    def index(self, path: str, schema: Any) -> None:
        with self._line.calling() as client:
            client.create_payload_index(self.name, path, schema)
