"""Forgetting users, and letting old events go.

An erasure is on record before anything is deleted, with the moment until which each user's events
come to nothing. Whatever then stops it, `unfinished_erasures` goes through the same steps again:
undo the links, strip the head to a tombstone, take the events out of the feed, delete them. Every
step may be repeated, also beside a writer: one that has not seen the tombstone fails at the head
and deletes what it wrote.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from windowshop.aws.log.expressions import Value, put
from windowshop.aws.log.heads import EFFECTIVE, Tally
from windowshop.aws.log.layout import (
    EVENTS,
    GUESTS,
    NEVER,
    Head,
    head_key,
    number,
    partition,
    stamp_of,
    unchanged,
)
from windowshop.aws.log.links import Links
from windowshop.errors import NotFound, Unavailable
from windowshop.log import Forgotten
from windowshop.profile import IMPRESSION
from windowshop.records import user_key

ERASING = "erasing"
TRIES = 12

_STRIPPED = "SET #forgotten = :until, #last = :stamp"
_DROPPED = " REMOVE #name, #since, #count, #total, #folded, #received, #oldest, #guests, #owners"
_UNLINKED = (
    "(attribute_not_exists(#guests) OR #guests = :zero)"
    " AND (attribute_not_exists(#owners) OR #owners = :zero)"
)


class Forgetting(Links):
    """Every method raises Unavailable."""

    def forget(self, store: str, user: str, now_ms: int, erasure_id: str) -> Forgotten:
        group = [user, *self._heads.guests(store, user)]
        names = {user_key(store, name): name for name in group}
        events = sum(
            self._table.each(lambda key: self._heads.tally(store, key, NEVER).total, list(names))
        )
        owners = self.owners_of(store, group)
        until = dict.fromkeys(names, now_ms)
        self._record(store, erasure_id, until, events)
        names |= self._erase(store, erasure_id, until)
        users = tuple(names.values())
        return Forgotten(users, tuple(one for one in owners if one not in users), events)

    def put_erasure(self, store: str, erasure_id: str, record: Mapping[str, Any]) -> None:
        written = self._table.update(
            (f"x/{store}", erasure_id),
            "SET #record = :record",
            {"record": orjson.dumps(record).decode()},
            "attribute_exists(#pk)",
        )
        if not written:
            raise NotFound(f"no erasure {erasure_id[:64]!r}")
        if record.get("status") == "done":
            self._table.remove((ERASING, f"{store}/{erasure_id}"))

    def erasure(self, store: str, erasure_id: str) -> dict[str, Any] | None:
        found = self._table.get((f"x/{store}", erasure_id))
        return None if found is None else dict(orjson.loads(found["record"]))

    def unfinished_erasures(self) -> list[tuple[str, str, list[str]]]:
        unfinished = []
        for item in list(self._table.query(ERASING)):
            store, _, erasure_id = item["sk"].partition("/")
            until = dict(orjson.loads(item["until"]))
            self._erase(store, erasure_id, until)
            unfinished.append((store, erasure_id, list(until)))
        return unfinished

    def _record(self, store: str, erasure_id: str, until: Mapping[str, int], events: int) -> None:
        record = {
            "erasure_id": erasure_id,
            "status": "running",
            "erased": {"events": events, "profiles": 0},
            "verified": False,
        }
        kept = {"pk": f"x/{store}", "sk": erasure_id, "record": orjson.dumps(record).decode()}
        pending = {
            "pk": ERASING,
            "sk": f"{store}/{erasure_id}",
            "until": orjson.dumps(until).decode(),
        }
        self._table.transact([put(self._table.name, kept), put(self._table.name, pending)])

    def _erase(self, store: str, erasure_id: str, until: dict[str, int]) -> dict[str, str]:
        """Erase the users in `until`. Guests who were merged into one of them meanwhile are erased
        with them and added to it; returns their names by key.
        """
        more: dict[str, str] = {}
        waiting = list(until)
        while waiting:
            key = waiting.pop()
            for attempt in range(TRIES):
                head = self._heads.read(store, key)
                if head.forgotten >= until[key]:
                    break  # an earlier try got here, and the user may have come back since
                linked = head.guests or head.owners
                found = {
                    other: name
                    for kind, other, name in (self._links(store, key) if linked else ())
                    if kind == GUESTS and other not in until
                }
                latest = max(until[key], head.received)
                if found or latest > until[key]:
                    until[key] = latest  # all that is in the log goes, by whatever clock it came
                    until |= dict.fromkeys(found, latest)
                    more |= found
                    waiting += found
                    self._amend(store, erasure_id, until)
                if linked:
                    self._detach(store, key)
                if self._strip(store, key, head, until[key]):
                    break
                self._table.wait(attempt)
            else:
                raise Unavailable("a user's events are written by many at once: try again shortly")
        self._table.each(
            lambda key: self._erase_events(store, erasure_id, key, until[key]), list(until)
        )
        return more

    def _amend(self, store: str, erasure_id: str, until: Mapping[str, int]) -> None:
        self._table.update(
            (ERASING, f"{store}/{erasure_id}"),
            "SET #until = :until",
            {"until": orjson.dumps(until).decode()},
            "attribute_exists(#pk)",
        )

    def _strip(self, store: str, key: str, head: Head, until: int) -> bool:
        """Leave nothing of a head but a tombstone. False if somebody wrote it since."""
        was: dict[str, Value] = {} if head.last is None else {"was": head.last}
        return self._table.update(
            head_key(store, key),
            _STRIPPED + _DROPPED,
            {"until": until, "stamp": self._feed.stamp(self._feed.now()), "zero": 0, **was},
            f"{unchanged(head)} AND {_UNLINKED}",
        )

    def _erase_events(self, store: str, erasure_id: str, key: str, until: int) -> None:
        """Delete a user's events, after they are taken out of the feed."""
        pk = partition(store, key)
        found = {
            item["sk"]: stamp_of(item["seq"])
            for item in self._table.query(
                pk,
                EVENTS,
                where="#received <= :until",
                values={"until": until},
                attributes=("sk", "seq"),
            )
        }
        stamps = set(found.values())
        fed = stamps - self._feed.abandoned(store, stamps)
        known = [stamp for stamp in fed if self._feed.is_known(stamp)]
        self._table.each(lambda stamp: self._feed.scrub(store, stamp, number(key)), known)
        self._table.delete([(pk, sk) for sk in found], "received", until)

    # --- retention ----------------------------------------------------------------------------

    def expire(self, store: str, before_ms: int) -> int:
        heads = self._all_heads(store, "#oldest < :before", {"before": before_ms})
        return sum(
            self._table.each(lambda head: self._expire(store, str(head.name), before_ms), heads)
        )

    def _expire(self, store: str, user: str, before_ms: int) -> int:
        """Delete a user's old events, and count what is left: DynamoDB itself may have deleted some
        of them already, without telling. Returns how many of those counted are gone.
        """
        key = user_key(store, user)
        for attempt in range(TRIES):
            head = self._heads.read(store, key)
            if head.name is None:
                return 0
            items = list(
                self._table.query(
                    partition(store, key),
                    EVENTS,
                    where=EFFECTIVE,
                    values={"forgotten": head.forgotten},
                    attributes=("pk", "sk", "kind", "time"),
                )
            )
            old = [(item["pk"], item["sk"]) for item in items if item["time"] < before_ms]
            self._table.delete(old, "time", before_ms - 1)
            left = [item for item in items if item["time"] >= before_ms]
            impressions = sum(item["kind"] == IMPRESSION for item in left)
            tally = Tally(len(left) - impressions, len(left))
            oldest = min((item["time"] for item in left), default=None)
            if self._shorten(store, key, head, tally, oldest):
                if head.owners and tally.counted != head.count:
                    self._heads.touch(store, self._heads.owners(store, user))
                return max(head.total - tally.total, 0)
            self._table.wait(attempt)
        raise Unavailable("a user's events are written by many at once: try again shortly")

    def _shorten(self, store: str, key: str, head: Head, tally: Tally, oldest: int | None) -> bool:
        """The counts of a head after old events went. False if somebody wrote it since."""
        values: dict[str, Value] = {
            "count": tally.counted,
            "total": tally.total,
            "more": int(tally.counted != head.count),
            "stamp": self._feed.stamp(self._feed.now()),
        }
        change = "SET #count = :count, #total = :total, #last = :stamp, #version = #version + :more"
        if oldest is None:
            change += " REMOVE #oldest"
        else:
            change, values["oldest"] = f"{change}, #oldest = :oldest", oldest
        if head.last is not None:
            values["was"] = head.last
        when = f"attribute_exists(#name) AND {unchanged(head)}"
        return self._table.update(head_key(store, key), change, values, when)
