"""Reading events back: whose profile is behind, and profiles folded from the log alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.aws.log.forgetting import Forgetting
from windowshop.aws.log.heads import EFFECTIVE, Tally, live
from windowshop.aws.log.layout import (
    EVENTS,
    Head,
    events_of,
    partition,
    read_packed,
    unsqueezed,
)
from windowshop.log import Refolded, Replayed, Standing
from windowshop.profile import IMPRESSION, SEARCH, Profile, SearchEvent, fold_events, query_of
from windowshop.records import user_key

TRIES = 5


class Folding(Forgetting):
    """Every method raises Unavailable."""

    def standings(self, store: str, users: Sequence[str]) -> dict[str, Standing]:
        return self._standings(store, live(self._heads.of(store, users)))

    def _standings(self, store: str, heads: Mapping[str, Head]) -> dict[str, Standing]:
        merged = [user for user, head in heads.items() if head.guests]
        found = self._table.each(lambda user: self._heads.guests(store, user), merged)
        guests = dict(zip(merged, found, strict=True))
        others = self._heads.of(store, {guest for some in found for guest in some})
        return {
            user: Standing(
                head.version,
                head.count + sum(others[guest].count for guest in guests.get(user, ())),
                tuple(guests.get(user, ())),
            )
            for user, head in heads.items()
        }

    def refold(self, store: str, users: Sequence[str]) -> dict[str, Refolded]:
        folded = {user: Refolded(Profile.EMPTY, 0) for user in users}
        heads = live(self._heads.of(store, users))
        standings = self._standings(store, heads)
        done = self._table.each(
            lambda user: self._refold(store, user, standings[user]), list(standings)
        )
        folded.update(zip(standings, done, strict=True))
        return folded

    def _refold(self, store: str, user: str, standing: Standing) -> Refolded:
        """The version was read before the events: what came between is folded again, harmlessly."""
        parts = [self._read(store, one) for one in (user, *standing.guests)]
        rows = np.concatenate([rows for rows, _ in parts])
        searches = [search for _, some in parts for search in some]
        if not len(rows):
            return Refolded(Profile.EMPTY, standing.version)
        profile = fold_events(Profile.EMPTY, events_of(rows), searches)
        return Refolded(profile, standing.version)

    def _read(self, store: str, user: str) -> tuple[NDArray[Any], list[SearchEvent]]:
        """A user's own events. Where the head has another count, it is put right: a crash left
        events behind that nobody sent again, or DynamoDB deleted some that were too old.
        """
        key = user_key(store, user)
        for attempt in range(TRIES):
            head = self._heads.read(store, key)
            items = list(
                self._table.query(
                    partition(store, key),
                    EVENTS,
                    where=EFFECTIVE,
                    values={"forgotten": head.forgotten},
                    attributes=("packed", "search"),
                )
            )
            rows = read_packed(item["packed"] for item in items)
            impressions = rows["kind"] == IMPRESSION
            tally = Tally(int((~impressions).sum()), len(rows))
            if head.name is None or (head.count, head.total) == tally:
                break
            stamp = self._feed.stamp(self._feed.now())
            if self._heads.repair(store, key, head, tally, stamp):
                break
            self._table.wait(attempt)
        texts = [item.get("search") for item in items]
        searches = [
            SearchEvent(time, row, event, query_of(unsqueezed(text)))
            for (time, row, event), text, kind in zip(
                rows[["time", "row", "event"]].tolist(), texts, rows["kind"].tolist(), strict=True
            )
            if kind == SEARCH and text is not None
        ]
        return rows[~impressions], searches

    def mark_folded(self, store: str, versions: Mapping[str, int]) -> list[str]:
        return self._heads.mark(store, versions)

    def unfolded(self, store: str, limit: int | None = None) -> list[str]:
        behind = self._all_heads(store, "#version <> #folded")
        names = [str(head.name) for head in sorted(behind, key=lambda head: head.since)]
        return names if limit is None else names[:limit]

    def replay_since(self, store: str, seq: int) -> Iterator[Replayed]:
        return self._feed.replay(store, seq)
