"""Shop: what one can do with a recommender, and nothing of how a world is wired.

The verbs live by subject in `items`, `users` and `slates`; this class binds them to one `World`.
Every verb takes the store's name first (`tenant`: one shop of many).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from windowshop import folding, items, recording, slates, users, vocabulary
from windowshop.filters import FieldType
from windowshop.items import Written
from windowshop.log import EventRow
from windowshop.recording import Recorded
from windowshop.records import Batch, Event, Item, Request, Slate
from windowshop.world import World

Progress = Callable[[int], None]
FALLBACK_ITEMS = 200


class Shop:
    """A recommender over one world. Methods raise the errors of `windowshop.errors` only."""

    def __init__(self, world: World) -> None:
        self.world = world

    # --- items ------------------------------------------------------------------------------------

    def put_items(self, tenant: str, rows: Sequence[Item], order: int | None = None) -> Written:
        """Write items whole; searchable after `embed_waiting`."""
        return items.put_items(self.world, tenant, rows, order)

    def patch_items(self, tenant: str, patches: Sequence[object]) -> Written:
        """Merge the given fields into stored items."""
        return items.patch_items(self.world, tenant, patches)

    def delete_items(self, tenant: str, item_ids: Iterable[str], order: int | None = None) -> int:
        """Remove items; returns how many there were."""
        return items.delete_items(self.world, tenant, item_ids, order)

    def embed_waiting(
        self, tenant: str, limit: int = 2048, progress: Progress | None = None
    ) -> int:
        """Encode up to `limit` items that wait; 0 when none does."""
        return items.embed_waiting(self.world, tenant, limit, progress)

    def get_item(self, tenant: str, item_id: str) -> dict[str, Any]:
        """One item. Raises NotFound."""
        return items.get_item(self.world, tenant, item_id)

    def list_items(
        self, tenant: str, cursor: str | None = None, limit: int = 100
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of items, and the cursor of the next."""
        return items.list_items(self.world, tenant, cursor, limit)

    def declare_field(self, tenant: str, name: str, kind: FieldType) -> None:
        """Make an attribute filterable."""
        items.declare_field(self.world, tenant, name, kind)

    def fields(self, tenant: str) -> dict[str, FieldType]:
        """The attributes that filters may use."""
        return dict(self.world.log.fields(tenant))

    # --- events -----------------------------------------------------------------------------------

    def record(
        self, tenant: str, events: Sequence[Event], received_ms: int, fold: bool = True
    ) -> Recorded:
        """Log events, durable on return, and fold them (or leave that to `fold_waiting`)."""
        if fold:
            return recording.record(self.world, tenant, events, received_ms)
        rows, rejected = recording.rows_of(self.world, tenant, events, received_ms)
        recorded = recording.log_rows(self.world, tenant, rows, received_ms)
        recorded.rejected = rejected
        return recorded

    def record_many(
        self, tenant: str, batches: Sequence[tuple[Sequence[Event], int]]
    ) -> list[Recorded]:
        """Log and fold batches of events together, each with the time (ms) it was received."""
        return recording.record_many(self.world, tenant, batches)

    def log_rows(self, tenant: str, rows: Sequence[EventRow], received_ms: int) -> Recorded:
        """Rows straight into the log, for bulk loads; `fold_waiting` comes after."""
        return recording.log_rows(self.world, tenant, rows, received_ms)

    def fold(self, tenant: str, some: Collection[str]) -> None:
        """Bring these users' profiles up to the log."""
        folding.fold(self.world, tenant, some)

    def fold_waiting(self, tenant: str | None = None, progress: Progress | None = None) -> int:
        """Fold every user whose log is ahead of the profile."""
        return folding.fold_waiting(self.world, tenant, progress)

    def rebuild(self, tenant: str, progress: Progress | None = None) -> dict[str, int]:
        """All profiles and counts again from the log."""
        return folding.rebuild(self.world, tenant, progress)

    # --- slates -----------------------------------------------------------------------------------

    def recommend(self, tenant: str, request: Request) -> Slate:
        """Answer one request. What fails behind it degrades the slate and is said in it."""
        return slates.recommend(self.world, tenant, request)

    def recommend_batch(self, tenant: str, batch: Batch) -> list[Slate]:
        """Several slates in one call."""
        return slates.recommend_batch(self.world, tenant, batch)

    # --- users ------------------------------------------------------------------------------------

    def export(
        self, tenant: str, who: str, cursor: str | None = None, limit: int = 1000
    ) -> dict[str, Any]:
        """Everything held about a user."""
        return users.export(self.world, tenant, who, cursor, limit)

    def forget(self, tenant: str, who: str) -> dict[str, Any]:
        """Erase a user, look again, and say so."""
        return users.forget(self.world, tenant, who)

    def erasure(self, tenant: str, erasure_id: str) -> dict[str, Any]:
        """The state of an erasure. Raises NotFound."""
        return users.erasure(self.world, tenant, erasure_id)

    def merge(self, tenant: str, user_id: str, anonymous_id: str) -> int:
        """A guest turned out to be a user; returns the number of the guest's events."""
        return users.merge(self.world, tenant, user_id, anonymous_id)

    def unmerge(self, tenant: str, user_id: str, anonymous_id: str) -> int:
        """Undo a merge. Raises NotFound."""
        return users.unmerge(self.world, tenant, user_id, anonymous_id)

    # --- the whole --------------------------------------------------------------------------------

    def ready(self, tenant: str) -> dict[str, Any]:
        """What can be recommended. Raises Unavailable when store or log cannot be used."""
        self.world.log.check()
        return {
            "status": "ready",
            "store": tenant,
            "model": self.world.encoder.name,
            "items": self.world.store.count(tenant),
            "users": self.world.store.count_users(tenant),
        }

    def maintain(self) -> list[str]:
        """What a quiet moment is good for: indexes, retention, profiles that a crash left behind,
        and all that `refresh` does.
        """
        done = self.world.store.maintain()
        for name in self.world.log.stores():
            done += self._expire(name)
            if self.world.tenant(name).stale:
                self.world.recount(name)
        folding.fold_waiting(self.world)
        self.refresh()
        for name in self.world.store.tenants():  # last: of a large catalogue it takes a while
            if vocabulary.count_words(self.world, self.world.tenant(name)):
                done.append(f"counted the words of {name}'s items")
        return done

    def refresh(self) -> None:
        """Count what was logged, save the counts, and keep popular items at hand for when the store
        is away. One process at a time; on AWS a scheduler calls it every minute.
        """
        try:
            users.finish_erasures(self.world)
        finally:  # the counts need no store
            for name in self.world.log.stores():
                self.world.catch_up(name)
            self.world.save_counts()
        for name in self.world.log.stores():
            self.refresh_fallback(name)

    def _expire(self, name: str) -> list[str]:
        """Delete events older than the shop's retention, if it set one."""
        days = self.world.settings.retention_days
        if days is None:
            return []
        tenant = self.world.tenant(name)
        gone = self.world.log.expire(name, int(self.world.now(tenant) - days * 86_400_000))
        if not gone:
            return []
        tenant.stale = True
        folding.fold_waiting(self.world, name)
        return [f"{name}: {gone} events were older than {days:g} days and are deleted"]

    def refresh_fallback(self, tenant: str) -> None:
        """Keep the popular items' payloads at hand for when the store is away."""
        state = self.world.tenant(tenant)
        half_life = float(self.world.blend["popular_half_life"])
        keys, _ = state.popularity.top(FALLBACK_ITEMS, half_life, self.world.now(state))
        cards = self.world.cards(state, keys.tolist())
        kept = {key: cards[key] for key in keys.tolist() if key in cards}
        if len(kept) < FALLBACK_ITEMS:  # a young store has little that is popular
            for key, card in self.world.store.scan(tenant, None, FALLBACK_ITEMS)[0]:
                kept.setdefault(key, card)
        self.world.keep_fallback(state, list(kept.values())[:FALLBACK_ITEMS])

    def close(self) -> None:
        """Save what is worth saving and let go of files."""
        try:
            self.world.save_counts()
        finally:
            self.world.store.close()
            self.world.log.close()
