"""How one search is asked of Edge: its vector, its filter, how hard to look."""

import qdrant_edge as q

from windowshop.store import Search, WordSearch
from windowshop.store.edge.vectors import sparse
from windowshop.store.schema import LEARNED, OVERSAMPLING, WORDS, Plan, breadth


class Way:
    """The part of a search that its filter decides."""

    __slots__ = ("_dropped", "_filter", "_how", "_total")

    def __init__(self, passing: q.Filter | None, how: Plan, dropped: int, total: int) -> None:
        self._filter = passing
        self._how = how
        self._dropped, self._total = dropped, total

    def spare(self, limit: int) -> int:
        """So many more than wanted are asked for, because so many may have to be dropped."""
        if not self._dropped:
            return 0
        return min(self._dropped, 10 + 2 * limit * self._dropped // self._total)

    def request(self, search: Search | WordSearch) -> q.QueryRequest:
        limit = search.limit + self.spare(search.limit)
        if isinstance(search, WordSearch):
            near = q.Query.Nearest(sparse(search.words), WORDS)
            return q.QueryRequest(limit=limit, query=near, filter=self._filter)
        return q.QueryRequest(
            limit=limit,
            query=q.Query.Nearest(search.vector.tolist(), search.using),
            filter=self._filter,
            params=_params(self._how, search.using),
        )


def can_find(search: Search | WordSearch, version: str) -> bool:
    """Whether the collection has what is asked for; Edge would call it an error otherwise."""
    if isinstance(search, WordSearch):
        return len(search.words.indices) > 0
    return search.using != LEARNED or (version != "" and search.made_by in (None, version))


def _params(how: Plan, using: str) -> q.SearchParams:
    if how.exact:
        return q.SearchParams(exact=True)
    return q.SearchParams(
        hnsw_ef=breadth(how, using),
        quantization=q.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        acorn=q.AcornSearchParams(enable=True, max_selectivity=1.0) if how.detours else None,
    )
