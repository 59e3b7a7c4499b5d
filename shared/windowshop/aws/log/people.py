"""Users of the log, and what is held about them."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from windowshop.aws.log.appending import Appending
from windowshop.aws.log.expressions import Item, Key, Value
from windowshop.aws.log.heads import EFFECTIVE, live
from windowshop.aws.log.layout import (
    EVENTS,
    Head,
    head_of,
    head_partitions,
    is_seq,
    partition,
    row_of,
)
from windowshop.errors import InvalidInput
from windowshop.log import EventRow, as_sent
from windowshop.records import user_key

MAX_PAGE = 10_000


class People(Appending):
    """Every method raises Unavailable."""

    def users(self, store: str) -> list[str]:
        heads = sorted(self._all_heads(store), key=lambda head: head.since)
        return [head.name for head in heads if head.name is not None]

    def counts_of(self, store: str, users: Sequence[str]) -> dict[str, int]:
        return {user: head.count for user, head in live(self._heads.of(store, users)).items()}

    def export(
        self, store: str, users: Sequence[str], cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        if cursor is not None and not is_seq(cursor):
            raise InvalidInput("cursor: take the one that the last page gave as `next`")
        limit = max(1, min(limit, MAX_PAGE))
        heads = self._heads.of(store, users)

        def after(user: str) -> list[tuple[str, str, Key]]:
            found = self._table.query(
                partition(store, user_key(store, user)),
                EVENTS,
                where=f"#seq > :after AND {EFFECTIVE}",
                values={"after": cursor or "0", "forgotten": heads[user].forgotten},
                attributes=("pk", "sk", "seq"),
            )
            return [(item["seq"], user, (item["pk"], item["sk"])) for item in found]

        some = [one for found in self._table.each(after, list(heads)) for one in found]
        page = heapq.nsmallest(limit + 1, some)
        items = self._table.get_many([key for _, _, key in page[:limit]])
        rows = [row_of(user, items[key]) for _, user, key in page[:limit] if key in items]
        return [as_sent(row) for row in rows], page[limit - 1][0] if len(page) > limit else None

    def rows(self, store: str) -> Iterator[EventRow]:
        """All events of a store as they were appended, for a replay of them."""
        heads = {user_key(store, head.name): head for head in self._all_heads(store) if head.name}
        for item in self._scan_events(store, ()):
            head = heads.get(item["pk"].rpartition("/")[2])
            if head is not None and item["received"] > head.forgotten:
                yield row_of(str(head.name), item)

    def held(self, store: str, users: Sequence[str]) -> int:
        def count(user: str) -> int:
            pk = partition(store, user_key(store, user))
            return sum(1 for _ in self._table.query(pk, EVENTS, attributes=("sk",)))

        return sum(self._table.each(count, list(dict.fromkeys(users))))

    def _all_heads(
        self, store: str, where: str = "", values: dict[str, Value] | None = None
    ) -> list[Head]:
        """The heads of all users who are there, or of those for whom the filter holds."""

        def some(pk: str) -> list[Head]:
            found = self._table.query(
                pk,
                where=" AND ".join(filter(None, ("attribute_exists(#name)", where))),
                values=values,
            )
            return [head_of(item) for item in found]

        return [head for heads in self._table.each(some, head_partitions(store)) for head in heads]

    def _scan_events(self, store: str, attributes: Sequence[str]) -> Iterator[Item]:
        return self._table.scan(
            "begins_with(#pk, :pk) AND begins_with(#sk, :sk)",
            {"pk": f"u/{store}/", "sk": EVENTS},
            attributes,
        )
