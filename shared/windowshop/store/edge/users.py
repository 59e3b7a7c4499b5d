"""The users of one store in Edge."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as q

from windowshop.store import Neighbour, Sparse, StoredUser
from windowshop.store.edge.layout import UserLayout
from windowshop.store.edge.shard import PointId, Shard, translated
from windowshop.store.edge.vectors import sparse, sparse_held
from windowshop.store.schema import HISTORY, TASTE, chunks, stored_user, tail_of, user_payload

WRITE_CHUNK = 32
READ_CHUNK = 128
SCAN_CHUNK = 1_000
MAX_TAILS = 50_000
"""Tails kept at hand, about 1 KB each: reading a tail reads all that is stored of the user."""
REMOVED_LEAST = 5_000


class Users:
    """What `EdgeStore` does with one store's users; see the port for what each method promises."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.shard = Shard(folder, UserLayout(dim), str)
        self._tails: dict[int, tuple[str, bytes]] = {}

    @translated()
    def read(self, keys: Sequence[str], vectors: bool) -> dict[str, StoredUser]:
        found: dict[str, StoredUser] = {}
        for part in chunks(keys, READ_CHUNK):
            for record in self.shard.retrieve(part, True, vectors):
                key = str(record.id)
                found[key] = user = stored_user(key, record.payload or {})
                if vectors:
                    _add_vectors(user, record)
        return found

    @translated()
    def put(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        with self.shard.lock:
            versions = self._versions([user.key for user in users])
            lost: list[str] = []
            points: list[q.Point] = []
            for user in users:
                if versions.get(user.key, 0) != user.version:
                    lost.append(user.key)
                    continue
                versions[user.key] = user.version + 1
                points.append(q.Point(user.key, _vectors(user), user_payload(tenant, user)))
            for part in chunks(points, WRITE_CHUNK):
                self.shard.write(
                    q.UpdateOperation.upsert_points(list(part)), [str(point.id) for point in part]
                )
            for point in points:
                self._tails.pop(_number(point.id), None)
            return lost

    @translated()
    def delete(self, keys: Sequence[str]) -> None:
        with self.shard.lock:
            gone = list(self._versions(keys))
            if gone:
                self.shard.remove(gone)
            for key in gone:
                self._tails.pop(_number(key), None)

    def _versions(self, keys: Sequence[str]) -> dict[str, int]:
        records = self.shard.retrieve(keys, ["version"], False)
        return {str(record.id): int((record.payload or {})["version"]) for record in records}

    @translated()
    def neighbours(self, query: Sparse, limit: int, exclude: Sequence[str]) -> list[Neighbour]:
        near = q.Query.Nearest(sparse(query), HISTORY)
        request = q.QueryRequest(limit=limit + len(exclude), query=near, with_payload=False)
        points = self.shard.read(lambda shard: shard.query(request))
        found = [(_number(point.id), point.score) for point in points]
        near_by = [
            Neighbour(entry[0], score, entry[1])
            for entry, (_, score) in zip(self._tails_of(found), found, strict=True)
            if entry is not None and entry[0] not in exclude
        ]
        return near_by[:limit]

    def _tails_of(self, found: Sequence[tuple[int, float]]) -> Sequence[tuple[str, bytes] | None]:
        """Key and tail of each point; None for one that is gone meanwhile."""
        held = self._tails
        entries = [held.get(number) for number, _ in found]
        missing = [UUID(int=n) for (n, _), entry in zip(found, entries, strict=True) if not entry]
        if not missing:
            return entries
        with self.shard.lock:  # or a tail read before a write could be kept after it
            records = self.shard.retrieve(missing, ["tail"], False)
            if len(held) + len(records) > MAX_TAILS:
                for number in list(held)[: MAX_TAILS // 4 + len(records)]:
                    del held[number]
            for record in records:
                held[_number(record.id)] = (str(record.id), tail_of(record.payload))
            return [held.get(number) for number, _ in found]

    def count(self) -> int:
        return self.shard.read(lambda shard: int(shard.count(q.CountRequest(exact=True))))

    def keys(self) -> Iterator[str]:
        cursor: Any = None
        while True:
            request = q.ScrollRequest(cursor, SCAN_CHUNK, None, False, False)
            records, cursor = self._scroll(request)
            yield from (str(record.id) for record in records)
            if cursor is None:
                return

    def _scroll(self, request: q.ScrollRequest) -> tuple[list[q.Record], Any]:
        return self.shard.read(lambda shard: shard.scroll(request))

    def wants_building(self) -> bool:
        """Whether what was removed takes as much room as what is there.

        Rewriting users alone does not swell the shard (0.9.0: 10,000 rewrites of 2,500 users), and
        neighbours are found as fast without a build; only what is removed leaves a hole.
        """
        return self.shard.removed >= max(REMOVED_LEAST, self.shard.points() // 2)


def _number(ident: PointId) -> int:
    """A user's id as a number: to hash and compare a UUID takes Python a microsecond."""
    return ident.int if isinstance(ident, UUID) else UUID(str(ident)).int


def _vectors(user: StoredUser) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if user.taste is not None:
        found[TASTE] = user.taste.tolist()
    if user.history is not None and len(user.history.indices):
        found[HISTORY] = sparse(user.history)
    return found


def _add_vectors(user: StoredUser, record: q.Record) -> None:
    vectors: Any = record.vector or {}
    if TASTE in vectors:
        user.taste = np.asarray(vectors[TASTE], np.float32)
    user.history = sparse_held(record, HISTORY)
