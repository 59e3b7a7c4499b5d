"""The event log in a DynamoDB table (docs/decisions/0007-event-log-on-dynamodb.md)."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from windowshop.aws.log.appending import Appending
from windowshop.aws.log.expressions import Item
from windowshop.aws.log.feed import SETTLE_MS, STORES, Feed
from windowshop.aws.log.folding import Folding
from windowshop.aws.log.heads import Heads
from windowshop.aws.log.table import Table
from windowshop.blobs import Blobs
from windowshop.errors import NotFound, Unavailable

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
TRIES = 5


class DynamoLog(Folding):
    """A `Log` for many processes at once. Thread-safe.

    `client` gives the DynamoDB client, anew after a restore; `wall` the time in ms. Bodies of
    snapshots lie in `blobs` below `state/`. With `retention_days` DynamoDB deletes older events
    itself, some days late and without telling: `expire` is what puts the counts right. Events are
    replayed once they are `settle_ms` old.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        table: str,
        blobs: Blobs,
        wall: Callable[[], int],
        retention_days: float | None = None,
        *,
        settle_ms: int = SETTLE_MS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        Appending.__init__(self)
        self._table = Table(client, table, pause)
        self._feed = Feed(self._table, wall, settle_ms)
        self._heads = Heads(self._table)
        self._blobs = blobs
        self._swept: set[tuple[str, str]] = set()
        self._kept_ms = None if retention_days is None else int(retention_days * DAY_MS)

    # --- stores -------------------------------------------------------------------------------

    def stores(self) -> list[str]:
        return [item["sk"] for item in self._table.query(STORES, attributes=("sk",))]

    def count(self, store: str) -> int:
        return sum(head.total for head in self._all_heads(store))

    def newest(self, store: str) -> int | None:
        return self._feed.newest(store)

    def items(self, store: str) -> list[tuple[int, str, int]]:
        counts: Counter[bytes] = Counter()
        ids: dict[bytes, str] = {}
        for item in self._scan_events(store, ("packed", "item")):
            if "item" in item:
                key = item["packed"][:8]
                counts[key] += 1
                ids[key] = max(ids.get(key, ""), item["item"])
        return [
            (int(np.frombuffer(key, "<u8")[0]), ids[key], count) for key, count in counts.items()
        ]

    def fields(self, store: str) -> dict[str, Any]:
        found = self._table.get((STORES, store)) or {}
        return dict(sorted(found.get("fields", {}).items()))

    def put_field(self, store: str, name: str, kind: str) -> None:
        self._table.put_in((STORES, store), "fields", name, kind)

    # --- snapshots ----------------------------------------------------------------------------

    def snapshot(self, store: str, name: str, after: int = -1) -> tuple[int, bytes] | None:
        for _ in range(TRIES):
            found = self._table.get((f"s/{store}", name))
            if found is None or found["seq"] <= after:
                return None
            try:
                return found["seq"], self._blobs.read(found["blob"])
            except NotFound:
                continue  # two others took its place meanwhile
        raise Unavailable(f"the saved {name} of {store} is being replaced: try again shortly")

    def put_snapshot(self, store: str, name: str, seq: int, body: bytes) -> None:
        """A body of its own, then the pointer to it. The body before stays until the next, for
        those who are reading it.
        """
        pk, now = f"s/{store}", self._feed.now()
        blob = f"state/{store}/{name}/{now:013d}-{secrets.token_hex(4)}"
        self._blobs.write(blob, body)
        for attempt in range(TRIES):
            held = self._table.get((pk, name)) or {}
            if held.get("seq", seq) > seq:
                self._blobs.delete([blob])
                return
            written = {"pk": pk, "sk": name, "seq": seq, "blob": blob}
            if held:
                written["previous"] = held["blob"]
            same = "#blob = :was" if held else "attribute_not_exists(#blob)"
            was = {"was": held["blob"]} if held else {}
            if self._table.put(written, same, was):
                self._sweep(store, name, written, held, now)
                return
            self._table.wait(attempt)
        raise Unavailable(f"the saved {name} of {store} is being replaced: try again shortly")

    def _sweep(
        self, store: str, name: str, written: Item, held: Mapping[str, Any], now: int
    ) -> None:
        """Delete the body that nothing points to any more; once a process, also those that crashes
        left behind.
        """
        gone = [held["previous"]] if "previous" in held else []
        if (store, name) not in self._swept:
            folder = f"state/{store}/{name}/"
            hour_ago = f"{folder}{now - HOUR_MS:013d}"
            used = {written["blob"], written.get("previous")}
            left = (blob.key for blob in self._blobs.list(folder) if blob.key < hour_ago)
            gone += [key for key in left if key not in used and key not in gone]
            self._swept.add((store, name))
        if gone:
            self._blobs.delete(gone)

    # --- the whole ----------------------------------------------------------------------------

    def check(self) -> None:
        self._table.get((STORES, "-"))

    def close(self) -> None:
        self._table.close()
