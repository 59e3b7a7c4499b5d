"""What batches added to the log, in the order in which they were complete: for counting.

An entry is written last of all that a batch writes, so it says that the batch is complete. Rows
whose stamp has no entry were left behind by a crash, or are being written just now; whoever gets
the same events again first voids that stamp (an entry that says so), and nobody can complete it any
more. So every event is in one entry, and counted once, whatever crashes.

Entries go after two weeks.
"""

import heapq
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from windowshop.aws.log.expressions import Item
from windowshop.aws.log.layout import (
    EVENTS,
    events_of,
    feed_key,
    feed_partitions,
    ms_of,
    number,
    read_packed,
)
from windowshop.aws.log.table import LAST, Table
from windowshop.log import EventRow, Replayed
from windowshop.profile import EVENT, IMPRESSION, as_events
from windowshop.profile.events import Keys

DAY_MS = 86_400_000
KEPT_MS = 15 * DAY_MS
KNOWN_MS = 14 * DAY_MS
"""For how long it is known whether a stamp is complete; older ones are believed to be. SQS keeps a
message no longer than that."""
SETTLE_MS = 20_000
"""Entries younger than this are not replayed yet: one with an earlier stamp may still come."""
LATE_MS = 5_000
"""A batch that took longer is completed under a new stamp: the old one might be missed."""
PART = 200_000
MANY = 100  # entries that are not read again and again

STORES = "stores"


class Feed:
    """Thread-safe. Every method raises Unavailable."""

    def __init__(self, table: Table, wall: Callable[[], int], settle_ms: int) -> None:
        self._table, self._wall, self._settle = table, wall, settle_ms
        self._lock = threading.Lock()
        self._last_ms = 0

    # --- stamps and entries -------------------------------------------------------------------

    def now(self) -> int:
        """The time (ms) of a new batch: later than any this process gave before."""
        with self._lock:
            self._last_ms = max(self._last_ms + 1, self._wall())
            return self._last_ms

    def stamp(self, ms: int) -> str:
        return f"{ms:013d}-{secrets.token_hex(4)}"

    def is_late(self, stamp: str) -> bool:
        return self._wall() - ms_of(stamp) > LATE_MS

    def is_known(self, stamp: str) -> bool:
        """Whether a lack of its entry says something."""
        return self._wall() - ms_of(stamp) < KNOWN_MS

    def complete(self, store: str, stamps: Collection[str]) -> set[str]:
        """Those of the stamps whose batches are complete."""
        young = {feed_key(store, stamp): stamp for stamp in stamps if self.is_known(stamp)}
        found = self._table.get_many(young, ("void",)) if young else {}
        done = {young[key] for key, entry in found.items() if "void" not in entry}
        return done | (set(stamps) - set(young.values()))

    def commit(self, store: str, stamp: str, rows: Sequence[EventRow], users: Keys) -> bool:
        """The batch is complete; `users` [n] are numbers. False if somebody voided its stamp."""
        events = as_events(rows)
        counted = (events["item"] != 0) & (events["kind"] != IMPRESSION)
        entry = self._entry(store, stamp) | {"newest": int(events["time"].max())}
        if counted.any():
            entry["events"] = events[counted].tobytes()
            entry["users"] = users[counted].astype("<u8").tobytes()
        if self._table.put(entry, "attribute_not_exists(#pk)"):
            return True
        # What boto3 sent twice, because the first answer was lost, finds itself.
        return "void" not in (self._table.get(feed_key(store, stamp)) or {})

    def abandoned(self, store: str, stamps: Collection[str]) -> set[str]:
        """The stamps among these that nobody completed; they are void now, so that nobody will."""
        open_ = set(stamps) - self.complete(store, stamps)
        return {stamp for stamp in open_ if self._void(store, stamp)}

    def _void(self, store: str, stamp: str) -> bool:
        entry = self._entry(store, stamp) | {"void": True}
        if self._table.put(entry, "attribute_not_exists(#pk)"):
            return True
        return "void" in (self._table.get(feed_key(store, stamp)) or {})

    def scrub(self, store: str, stamp: str, user: int) -> None:
        """Take a user's events out of an entry."""
        while True:
            entry = self._table.get(feed_key(store, stamp)) or {}
            users = np.frombuffer(entry.get("users", b""), "<u8")
            kept = users != user
            if kept.all():
                return
            events = np.frombuffer(entry["events"], EVENT)[kept].tobytes()
            revision = entry.get("revision", 0)
            same = "#revision = :was" if revision else "attribute_not_exists(#revision)"
            changed = {"events": events, "users": users[kept].tobytes(), "next": revision + 1}
            if self._table.update(
                feed_key(store, stamp),
                "SET #events = :events, #users = :users, #revision = :next",
                changed | ({"was": revision} if revision else {}),
                f"attribute_exists(#pk) AND {same}",
            ):
                return

    def _entry(self, store: str, stamp: str) -> Item:
        pk, sk = feed_key(store, stamp)
        return {"pk": pk, "sk": sk, "expires": (self._wall() + KEPT_MS) // 1000}

    # --- the store's clock --------------------------------------------------------------------

    def newest(self, store: str) -> int | None:
        """The greatest time (ms) of any event that was ever accepted: what is kept of the older
        entries, and the others. Whoever finds many of these keeps it for them, too.
        """
        kept = self._table.get((STORES, store)) or {}
        upto, settled = kept.get("settled", 0), self._wall() - self._settle
        shards = self._table.each(
            lambda pk: list(self._shard(pk, upto, None, ("sk", "newest"))),
            feed_partitions(store),
        )
        entries = [entry for shard in shards for entry in shard if "newest" in entry]
        older = [entry for entry in entries if ms_of(entry["sk"]) <= settled]
        known = [kept["newest"]] if "newest" in kept else []
        if older and (len(older) >= MANY or settled - upto > DAY_MS):
            self._table.update(
                (STORES, store),
                "SET #newest = :newest, #settled = :to",
                {
                    "newest": max(known + [entry["newest"] for entry in older]),
                    "to": settled,
                    **({"was": upto} if upto else {}),
                },
                "#settled = :was" if upto else "attribute_not_exists(#settled)",
            )
        return max(known + [entry["newest"] for entry in entries], default=None)

    # --- replaying ----------------------------------------------------------------------------

    def replay(self, store: str, seq: int) -> Iterator[Replayed]:
        """See `Log.replay_since`. What lies further back than the entries go is read from the
        events themselves.
        """
        settled = self._wall() - self._settle
        if seq > self._wall() - KNOWN_MS:
            came = settled - seq > DAY_MS
            for part in _parts(self._since(store, seq, settled)):
                yield part
                came = True
            if settled - seq > DAY_MS:  # or a shop at rest would one day read all events again
                yield Replayed(np.empty(0, EVENT), np.empty(0, np.uint64), settled)
            if came:
                self.newest(store)  # keeps it, before the entries go
        else:
            yield from self._from_events(store, max(seq, 0), settled)

    def _since(self, store: str, after: int, until: int) -> Iterator[Item]:
        wanted = ("sk", "events", "users")
        yield from heapq.merge(
            *(self._shard(pk, after, until, wanted) for pk in feed_partitions(store)),
            key=lambda entry: str(entry["sk"]),
        )

    def _shard(
        self, pk: str, after: int, until: int | None, attributes: Sequence[str]
    ) -> Iterator[Item]:
        """Entries after one ms until another, oldest first."""
        high = LAST if until is None else f"{max(until, 0):013d}{LAST}"
        low = f"{after:013d}{LAST}"
        if low < high:
            yield from self._table.query(pk, low, high, attributes=attributes, settled=True)

    def _from_events(self, store: str, after: int, until: int) -> Iterator[Replayed]:
        held: list[Item] = []
        found = self._table.scan(
            "begins_with(#pk, :pk) AND begins_with(#sk, :sk) AND #kind <> :seen"
            " AND #seq > :after AND #seq < :until AND attribute_exists(#item)",
            {
                "pk": f"u/{store}/",
                "sk": EVENTS,
                "seen": IMPRESSION,
                "after": f"{after:013d}{LAST}",
                "until": f"{max(until, 0):013d}{LAST}",
            },
            ("pk", "packed"),
        )
        for item in found:
            if len(held) == PART:
                yield _replayed(held, after)  # in no order: only the last part says how far it came
                held = []
            held.append(item)
        # Also where there is nothing: or a store without events on items would have the whole
        # table read for it every minute.
        yield _replayed(held, max(until, after))


def _parts(entries: Iterable[Item]) -> Iterator[Replayed]:
    """Entries together, in parts that end between two ms."""
    held: list[Item] = []
    size = 0
    for entry in entries:
        if not entry.get("users"):
            continue  # no events on items, or those of somebody who was forgotten
        if size >= PART and ms_of(entry["sk"]) != ms_of(held[-1]["sk"]):
            yield _joined(held)
            held, size = [], 0
        held.append(entry)
        size += len(entry["users"]) // 8
    if held:
        yield _joined(held)


def _joined(entries: Sequence[Item]) -> Replayed:
    return Replayed(
        np.frombuffer(b"".join(entry["events"] for entry in entries), EVENT),
        np.frombuffer(b"".join(entry["users"] for entry in entries), np.dtype("<u8")),
        ms_of(entries[-1]["sk"]),
    )


def _replayed(items: Sequence[Item], seq: int) -> Replayed:
    numbers = [number(item["pk"].rpartition("/")[2]) for item in items]
    events = events_of(read_packed(item["packed"] for item in items))
    return Replayed(events, np.array(numbers, np.uint64), seq)
