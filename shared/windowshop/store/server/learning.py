"""New versions of the items' collection: made beside the one that serves, then in its place.

One collection holds the items of all stores, so what a tower learned of one store's is a new
version of all of it: every point is copied with all that it has, those of the store with new
learned vectors. Meanwhile others write to the version that serves. Since every write names itself
in the point (`operations.WRITE`) and a copy keeps that name, what was written meanwhile shows, and
is copied again on condition that nobody has written to the copy itself; that holds before and after
the aliases are moved, and so nothing is lost in between: neither a write that came to the old
version last, nor one that came to the new version first.

Whoever makes a version renews a lease on it. A version that does not serve and whose lease is over
was left by a process that died: whoever comes by removes it.
"""

import contextlib
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import models as m

from windowshop.errors import NotReady, Unavailable
from windowshop.store import LEARNED_DIM, Make, Payload, Progress, Vector
from windowshop.store.schema import LEARNED, TEXT, check_vectors, chunks
from windowshop.store.server import layout
from windowshop.store.server.collection import PAGE, Collection
from windowshop.store.server.filters import among, one_of
from windowshop.store.server.line import Line
from windowshop.store.server.opening import SERVING, Aliases, Version
from windowshop.store.server.operations import WRITE, by_size, insert, replace, vectors_held

LEASE_S = 120.0
COPIED = 250
"""Points copied in one request: 2 MB of vectors."""
FEW = 200
ROUNDS = 10
GRACE_S = 2.0
"""A write that had found its collection before the aliases were moved is done by then."""
INDEXING_S = 3600.0
UNTIL = "until"


class Learning:
    """`learned` vectors of `version` in the place of those that the items of `tenant` have."""

    def __init__(self, tenant: str, version: str, make: Make) -> None:
        self.tenant, self.version = tenant, version
        self._make = make

    def made(self, records: Sequence[m.Record]) -> dict[int, Vector]:
        """The learned vectors of those that are of this store and have a text vector."""
        ours = {
            int(record.id): row
            for record in records
            if (record.payload or {}).get("store") == self.tenant
            and (row := vectors_held(record).get(TEXT)) is not None
        }
        if not self.version or not ours:
            return {}
        keys, text = list(ours), np.asarray(list(ours.values()), np.float32)
        rows = np.asarray(self._make(keys, text), np.float32)
        check_vectors(rows, len(keys), LEARNED_DIM, "learned vectors")
        return dict(zip(keys, rows, strict=True))

    def points(self, records: Sequence[m.Record]) -> list[m.PointStruct]:
        made = self.made(records)
        points = []
        for record in records:
            vectors = vectors_held(record)
            if (record.payload or {}).get("store") == self.tenant:
                vectors.pop(LEARNED, None)
                if int(record.id) in made:
                    vectors[LEARNED] = made[int(record.id)].tolist()
            points.append(m.PointStruct(id=record.id, vector=vectors, payload=record.payload))
        return points


def _as_they_are(records: Sequence[m.Record]) -> list[m.PointStruct]:
    return [m.PointStruct(id=r.id, vector=vectors_held(r), payload=r.payload) for r in records]


class Copy:
    """One version that becomes the copy of another, and stays it while that is written to."""

    def __init__(
        self,
        old: Collection,
        new: Collection,
        learning: Learning | None,
        stay: Callable[[], None],
    ) -> None:
        """`stay` is called now and then, to renew the lease."""
        self._old, self._new, self._stay = old, new, stay
        self._points = learning.points if learning else _as_they_are
        self._seen: dict[int, str] = {}
        """Which write each point was from when it was copied: some 100 bytes a point."""

    def fill(self, progress: Progress | None) -> None:
        total, done = self._old.count(None), 0
        for records in self._old.everything(COPIED, True, True):
            self._write(records, {})
            self._seen |= {int(record.id): _write_of(record) for record in records}
            done += len(records)
            self._stay()
            if progress is not None:
                progress(min(done, total), total)

    def catch_up(self) -> int:
        """Copy what was written since; so many points were."""
        now: dict[int, str] = {}
        for records in self._old.everything(PAGE, [WRITE], False):
            now |= {int(record.id): _write_of(record) for record in records}
            self._stay()
        changed = [key for key, write in now.items() if self._seen.get(key) != write]
        for part in chunks(changed, COPIED):
            records = self._old.retrieve(part, True, True)
            self._write(records, self._seen)
            # As read, which may be later than looked at; who is gone since is gone from `now` too.
            for key in part:
                del now[key]
            now |= {int(record.id): _write_of(record) for record in records}
            self._stay()
        gone = {key: write for key, write in self._seen.items() if key not in now}
        for some in chunks(list(gone), PAGE):
            still = one_of(WRITE, sorted({gone[key] for key in some}))
            self._new.delete(m.Filter(must=[among(list(some)), still]))
        self._seen = now
        return len(changed) + len(gone)

    def _write(self, records: Sequence[m.Record], seen: Mapping[int, str]) -> None:
        """Insert points; those seen before replace what was copied then, and nothing later."""
        points = {int(point.id): point for point in self._points(records)}
        payloads: dict[int, Payload] = {key: p.payload or {} for key, p in points.items()}
        most = max((_numbers(point) for point in points.values()), default=0)
        for part in by_size(payloads, numbers=most):
            fresh = [points[key] for key in part if key not in seen]
            stale = [points[key] for key in part if key in seen]
            writes = [insert(fresh)] if fresh else []
            if stale:
                marks = sorted({seen[int(point.id)] for point in stale})
                writes.append(replace(stale, m.Filter(must=[one_of(WRITE, marks)])))
            self._new.update(writes)


def _write_of(record: m.Record) -> str:
    return sys.intern(str((record.payload or {}).get(WRITE, "")))


def _numbers(point: m.PointStruct) -> int:
    vectors: Any = point.vector
    return sum(
        2 * len(row.indices) if isinstance(row, m.SparseVector) else len(row)
        for row in vectors.values()
    )


class Versions:
    """The versions of the items' collections on a server."""

    def __init__(self, line: Line, aliases: Aliases, wall: Callable[[], float] = time.time) -> None:
        """`wall` counts unix seconds."""
        self._line, self._aliases, self._wall = line, aliases, wall

    def clear(self) -> list[str]:
        """Remove what processes that died left over; the names."""
        left = [name for name, until in self._left_over().items() if until < self._wall()]
        for name in left:
            with self._line.calling() as client:
                client.delete_collection(name)
        return left

    def replace(
        self,
        before: Version,
        learning: Learning | None,
        card: Mapping[str, Any],
        progress: Progress | None,
        swapped: Callable[[], None],
    ) -> None:
        """Make a new version and put it in the place of `before`; `swapped` is called then.

        Raises NotReady when another process is about to.
        """
        learned = dict(before.learned)
        if learning is not None:
            learned.pop(learning.tenant, None)
            if learning.version:
                learned[learning.tenant] = learning.version
        old = Collection(self._line, before.name)
        name = f"{self._aliases.own['items']}-{secrets.token_hex(4)}"
        lease = _Lease(self._line, name, self._wall)
        new = self._make(name, old, {**card, LEARNED: learned, **lease.card()})
        try:
            others = {n for n, until in self._left_over().items() if until >= self._wall()}
            if others - {name}:
                raise NotReady("another process is writing learned vectors: try again in minutes")
            copy = Copy(old, new, learning, lease.renew)
            copy.fill(progress)
            self._wait_for_indexes(name, lease)
            for _ in range(ROUNDS):
                if copy.catch_up() <= FEW:
                    break
            _Lease(self._line, before.name, self._wall).renew()  # or others may remove it at once
            self._serve(name, before.name)
        except BaseException:
            with contextlib.suppress(Unavailable):
                if name in self._left_over():
                    with self._line.calling() as client:
                        client.delete_collection(name)
            raise
        swapped()
        copy.catch_up()
        time.sleep(GRACE_S)
        copy.catch_up()
        lease.end()
        with self._line.calling() as client:
            client.delete_collection(before.name)

    def _serve(self, name: str, before: str) -> None:
        try:
            self._aliases.serve(name, count=self._aliases.present().get("items") == before)
        except Unavailable:  # which does not say that it was not done
            if self._aliases.present().get(SERVING) != name:
                raise

    def _wait_for_indexes(self, name: str, lease: "_Lease") -> None:
        """Until then a large store would be searched point by point."""
        end = self._wall() + INDEXING_S
        while self._wall() < end:
            with self._line.calling() as client:
                if client.get_collection(name).status != m.CollectionStatus.YELLOW:
                    return
            lease.renew()
            time.sleep(1.0)

    def _make(self, name: str, old: Collection, card: dict[str, Any]) -> Collection:
        new = Collection(self._line, name)
        with self._line.calling() as client:
            dim = int(card["dim"])
            layout.create_items(client, name, dim, card, learned=bool(card[LEARNED]))
        for path, schema in layout.item_indexes().items():
            new.index(path, schema)
        for path, index in old.indexes().items():
            if path.startswith("attributes."):
                new.index(path, index.params or index.data_type)
        return new

    def _left_over(self) -> dict[str, float]:
        """{collection: until when somebody may be at work on it}."""
        aliases = self._aliases.all()
        with self._line.calling() as client:
            names = [one.name for one in client.get_collections().collections]
        found = {}
        for name in names:
            if self._aliases.is_left_over(name, aliases):
                found[name] = float(self._aliases.card(name).get(UNTIL, 0))
        return found


class _Lease:
    """Says in a collection until when somebody is at work on it."""

    def __init__(self, line: Line, name: str, wall: Callable[[], float]) -> None:
        self._line, self._name, self._wall = line, name, wall
        self._renewed = 0.0

    def card(self) -> dict[str, float]:
        self._renewed = self._wall()
        return {UNTIL: self._renewed + LEASE_S}

    def renew(self) -> None:
        if self._wall() - self._renewed > LEASE_S / 6:
            self._say(self.card())

    def end(self) -> None:
        self._say({UNTIL: 0.0})

    def _say(self, card: dict[str, float]) -> None:
        with self._line.calling() as client:
            client.update_collection(self._name, metadata=card)
