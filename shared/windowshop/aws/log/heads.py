"""The heads of users: read in batches, and their counts written so that no writer undoes another.

Whoever writes counts has read the head before writing any event, and writes on condition that it
still is what was read. If it is not, or if events of a broken-off batch are among those written,
the events are counted one by one, on the same condition. So the counts are exact whatever crashes
and whoever writes beside.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from windowshop.aws.log.expressions import Value
from windowshop.aws.log.layout import (
    EVENTS,
    GUESTS,
    OWNERS,
    Head,
    head_key,
    head_of,
    partition,
    stamp_of,
    unchanged,
)
from windowshop.aws.log.table import Table
from windowshop.profile import IMPRESSION
from windowshop.records import user_key

EFFECTIVE = "#received > :forgotten"
"""The filter for events that count: what is left of before a user was forgotten does not."""


class Tally(NamedTuple):
    """Events of a user that are there: impressions apart, and all."""

    counted: int
    total: int


class Added(NamedTuple):
    """What a batch added to a user, who is called `name`: how many events, impressions apart and
    all; their latest receipt and earliest time (ms); the `seq` of the first.
    """

    name: str
    seq: str
    counted: int
    total: int
    received: int
    oldest: int


class Heads:
    """Thread-safe. Every method raises Unavailable. Users are named by name or by `user_key`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # --- reading ------------------------------------------------------------------------------

    def of(self, store: str, users: Iterable[str]) -> dict[str, Head]:
        """The heads of users by name, NOBODY for one whom the log has never heard of."""
        keys = {user: user_key(store, user) for user in users}
        found = self.by_key(store, keys.values())
        return {user: found[key] for user, key in keys.items()}

    def by_key(self, store: str, keys: Iterable[str]) -> dict[str, Head]:
        wanted = {head_key(store, key): key for key in keys}
        found = self._table.get_many(wanted) if wanted else {}
        return {key: head_of(found.get(place)) for place, key in wanted.items()}

    def read(self, store: str, key: str) -> Head:
        return head_of(self._table.get(head_key(store, key)))

    def guests(self, store: str, user: str) -> list[str]:
        return self._linked(store, user, GUESTS)

    def owners(self, store: str, guest: str) -> list[str]:
        return self._linked(store, guest, OWNERS)

    def _linked(self, store: str, user: str, kind: str) -> list[str]:
        found = self._table.query(
            partition(store, user_key(store, user)), kind, attributes=("name",)
        )
        return sorted(item["name"] for item in found)

    def tally(self, store: str, key: str, forgotten: int) -> Tally:
        """The events that are there, one by one, but for those of before the user was forgotten."""
        kinds = [
            item["kind"]
            for item in self._table.query(
                partition(store, key),
                EVENTS,
                where=EFFECTIVE,
                values={"forgotten": forgotten},
                attributes=("kind",),
            )
        ]
        return Tally(len(kinds) - kinds.count(IMPRESSION), len(kinds))

    # --- writing ------------------------------------------------------------------------------

    def add(self, store: str, head: Head, added: Added, tally: Tally | None = None) -> bool:
        """Add a batch to the head as it was read; with a tally, the counts are that. False if
        somebody wrote it since.
        """
        counts = tally or Tally(head.count + added.counted, head.total + added.total)
        oldest = added.oldest if head.oldest is None else min(added.oldest, head.oldest)
        was: dict[str, Value] = {} if head.last is None else {"was": head.last}
        return self._table.update(
            head_key(store, user_key(store, added.name)),
            "SET #name = :name, #since = if_not_exists(#since, :since), #last = :stamp,"
            " #count = :count, #total = :total, #received = :received, #oldest = :oldest,"
            " #folded = if_not_exists(#folded, :zero),"
            " #version = if_not_exists(#version, :zero) + :more",
            {
                "name": added.name,
                "since": added.seq,
                "stamp": stamp_of(added.seq),
                "count": counts.counted,
                "total": counts.total,
                "received": max(added.received, head.received),
                "oldest": oldest,
                "zero": 0,
                "more": int(added.counted > 0 or counts.counted != head.count),
                **was,
            },
            unchanged(head),
        )

    def repair(self, store: str, key: str, head: Head, tally: Tally, stamp: str) -> bool:
        """Set the counts of a head to what is there. False if somebody wrote it since."""
        was: dict[str, Value] = {} if head.last is None else {"was": head.last}
        return self._table.update(
            head_key(store, key),
            "SET #count = :count, #total = :total, #last = :stamp",
            {"count": tally.counted, "total": tally.total, "stamp": stamp, **was},
            f"attribute_exists(#name) AND {unchanged(head)}",
        )

    def touch(self, store: str, users: Sequence[str]) -> None:
        """The profiles of these have to follow something new; of those who are not forgotten."""
        self._table.each(
            lambda user: self._table.update(
                head_key(store, user_key(store, user)),
                "ADD #version :one",
                {"one": 1},
                "attribute_exists(#name)",
            ),
            users,
        )

    def mark(self, store: str, versions: Mapping[str, int]) -> list[str]:
        """See `Log.mark_folded`."""

        def one(user: str) -> bool:
            key = user_key(store, user)
            return self._table.update(
                head_key(store, key),
                "SET #folded = :version",
                {"version": versions[user]},
                "attribute_exists(#name) AND #version >= :version AND #folded < :version",
            ) or (self.read(store, key).name is not None)

        users = list(versions)
        known = self._table.each(one, users)
        return [user for user, there in zip(users, known, strict=True) if not there]


def live(heads: Mapping[str, Head]) -> dict[str, Head]:
    """The heads of those who are there: neither unknown nor forgotten."""
    return {user: head for user, head in heads.items() if head.name is not None}
