"""Which points pass a filter, remembered: local mode looks at every payload for every search."""

from typing import Any

import numpy as np
from qdrant_client import models as m
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.payload_filters import check_filter, validate_filter

MAX_FILTERS = 200


class Masks:
    """The answers of one collection, mended where points were written since."""

    def __init__(self, collection: LocalCollection) -> None:
        self._collection = collection
        self._held: dict[str, tuple[np.ndarray, int]] = {}
        self._written: list[int] = []
        self._unmarked = collection._payload_and_non_deleted_mask  # noqa: SLF001 - has no other door
        collection._payload_and_non_deleted_mask = self  # type: ignore[method-assign,assignment] # noqa: SLF001

    def wrote(self, ids: list[Any] | None) -> None:
        """These points (None: any) may pass other filters than before. Called after the write."""
        if ids is None:
            self._held.clear()
            return
        rows = self._collection.ids
        self._written += [rows[point] for point in ids if point in rows]

    def __call__(self, where: m.Filter | None, vector_name: str | None = None) -> np.ndarray:
        """Rows of living points that pass, and have the vector."""
        collection = self._collection
        if where is None:
            return self._unmarked(where, vector_name)
        mask: np.ndarray = self._passing(where) & ~collection.deleted.astype(bool)
        if vector_name is not None:
            mask &= ~collection.deleted_per_vector[vector_name].astype(bool)
        return mask

    def _passing(self, where: m.Filter) -> np.ndarray:
        validate_filter(where)
        name = where.model_dump_json(exclude_none=True)
        total = len(self._collection.payload)
        mask, seen = self._held.get(name, (np.zeros(0, bool), len(self._written)))
        changed = {*self._written[seen:], *range(len(mask), total)}
        if len(mask) < total:
            mask = np.concatenate([mask, np.zeros(total - len(mask), bool)])
        for row in changed:
            mask[row] = check_filter(
                where,
                self._collection.payload[row],
                self._collection.ids_inv[row],
                self._collection._calculate_has_vector(row),  # noqa: SLF001
            )
        if name not in self._held and len(self._held) >= MAX_FILTERS:
            self._held.clear()
        self._held[name] = mask, len(self._written)
        return mask
