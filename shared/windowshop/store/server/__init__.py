"""All stores of a deployment on one Qdrant server (1.17 or later) or Qdrant Cloud.

One collection of items and one of users for each model, `items-<fingerprint>` and
`users-<fingerprint>`; the aliases `items` and `users` say which of them count. What towers learn of
the items makes a new version of their collection (see `learning`). Every point carries its `store`
and every filter names it.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from qdrant_client import QdrantClient

from windowshop.errors import NotReady, Unavailable
from windowshop.filters import FieldType, Filter
from windowshop.store import (
    LEARNED_DIM,
    Hit,
    Make,
    Neighbour,
    Payload,
    Progress,
    Search,
    Sparse,
    StoredUser,
    Vector,
    WordSearch,
)
from windowshop.store.refill import take_over
from windowshop.store.schema import (
    LEARNED,
    check_batch,
    check_model,
    check_tenant,
    check_vectors,
    check_words,
    fingerprint,
    model_card,
)
from windowshop.store.server import opening
from windowshop.store.server.collection import Collection
from windowshop.store.server.errors import is_gone
from windowshop.store.server.items import Items
from windowshop.store.server.learning import Learning, Versions
from windowshop.store.server.line import Clock, Line, Patience, Place
from windowshop.store.server.users import Users

__all__ = ["Patience", "Place", "ServerStore"]

BELIEVED_S = 60.0
"""For so long we do not ask whether another version of the items serves by now."""
MAX_CONVERTED = 200_000
"""Items that upkeep copies to make room for words, on a server that can do it in no other way."""


class _Held(NamedTuple):
    """The collections of our model, found or made, and until when that is believed."""

    items: Collection
    users: Collection
    as_items: Items
    as_users: Users
    until: float


class ServerStore:
    """The `Store` port on a Qdrant server.

    Nothing is asked of the server before the first use, and after a failure the next use asks
    again: a process may start, and be useful, while Qdrant is away. So every method may also raise
    Misconfigured (the key, the version, another model's vectors), as `open` does.
    """

    def __init__(
        self,
        server: Place | QdrantClient | str,
        model: str,
        dim: int,
        *,
        prefix: str = "",
        fill: bool = False,
        patience: Patience | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """`server`: where it is, or a client that is left open. `prefix` begins all names;
        `clock` counts seconds.

        With `fill` the server may hold another model's vectors: the items are then taken over
        without vectors, into collections that nobody sees until `promote`. Raises Misconfigured
        (the address).
        """
        self._model, self._dim, self._fill = model, dim, fill
        place = Place(server) if isinstance(server, str) else server
        self._line = Line(place, patience or Patience(), clock)
        self._clock = clock
        self._aliases = opening.Aliases(self._line, prefix, fingerprint(model, dim))
        self._versions = Versions(self._line, self._aliases)
        self._opening = threading.RLock()
        self._learning = threading.Lock()
        self._held: _Held | None = None

    def open(self) -> Self:
        """Look now what the server holds, and make what is missing.

        Raises Unavailable, Misconfigured (the key, or the server holds another model's vectors).
        """
        self._open()
        return self

    def renew(self, url: str | None = None, key: str | None = None, ca: str | None = None) -> None:
        """Forget connections and what was seen through them, as a process must that wakes up from a
        snapshot; without `url` the place stays the same. Asks nothing. Raises Misconfigured.
        """
        with self._opening:
            self._held = None
            self._line.renew(url, key, ca)

    def _open(self) -> _Held:
        held = self._held
        if held is None or self._line.lost or self._clock() > held.until:
            with self._opening:
                held = self._held
                if held is None or self._line.lost:
                    held = self._look()
                elif self._clock() > held.until:
                    held = self._look_again(held)
        return held

    def _look_again(self, held: _Held) -> _Held:
        serving = self._aliases.present().get(opening.SERVING)
        if serving != held.as_items.version.name:
            return self._look()
        self._held = held = held._replace(until=self._clock() + BELIEVED_S)
        return held

    def _look(self) -> _Held:
        card, own = model_card(self._model, self._dim), self._aliases.own
        with self._line.calling() as client:
            opening.check_version(client)
        present = self._aliases.present()
        before = present.get("items", own["items"])
        ours = self._aliases.is_own(before)
        if not ours and not self._fill:
            where = f"collection {before}"
            check_model(self._aliases.card(before), self._model, self._dim, where)
        named = before if ours else present.get(opening.SERVING, own["items"])
        with self._line.calling() as client:
            version = opening.create(client, {**own, "items": named}, self._dim, card)
        if present.get(opening.SERVING) != named:
            self._aliases.serve(named)
        held = self._made(version)
        self._line.lost = False
        if ours:
            if (present.get("items"), present.get("users")) != (named, own["users"]):
                self._aliases.promote(named)
            self._held = held
            return held
        self._held = held  # for what follows; nobody else waits for a store that is being filled
        try:
            self._take_over(held, before)
        except BaseException:
            self._held = None
            raise
        return held

    def _made(self, version: opening.Version) -> _Held:
        items, serving, users = (
            Collection(self._line, name)
            for name in (self._aliases.serving, version.name, self._aliases.own["users"])
        )
        as_items = Items(items, serving, version)
        return _Held(items, users, as_items, Users(users), self._clock() + BELIEVED_S)

    def _take_over(self, new: _Held, before: str) -> None:
        """Bring the items of the model that counts now into the collections of this one."""
        old = Collection(self._line, before)
        for path, index in old.indexes().items():
            if path.startswith("attributes."):
                new.items.index(path, index.params or index.data_type)
        words = old.has_words()
        for tenant in old.tenants():
            pages = Items(old, old, opening.Version(before, words)).pages(tenant)
            take_over(pages, self, tenant)

    def promote(self) -> None:
        """Make this model's collections the ones that count, and remove those that were."""
        self._aliases.promote(self._open().as_items.version.name)

    @property
    def model(self) -> str:
        return self._model

    @property
    def _items(self) -> Items:
        return self._open().as_items

    @property
    def _users(self) -> Users:
        return self._open().as_users

    # --- items -----------------------------------------------------------------------------------

    def put_items(
        self,
        tenant: str,
        items: Mapping[int, Payload],
        words: Mapping[int, Sparse] | None = None,
    ) -> None:
        check_batch(len(items))
        check_words(words or {}, items)
        self._items.put(check_tenant(tenant), items, words or {})

    def put_vectors(
        self,
        tenant: str,
        keys: Sequence[int],
        vectors: Vector,
        hashes: Sequence[str],
        now_ms: int,
        learned: Vector | None = None,
        made_by: str | None = None,
    ) -> list[int]:
        check_batch(len(keys))
        check_vectors(vectors, len(keys), self._dim)
        if learned is not None:
            check_vectors(learned, len(keys), LEARNED_DIM, "learned vectors")
            held = self._fresh().as_items.version.learned.get(tenant)
            if held is None or made_by not in (None, held):
                learned = None
        return self._items.put_vectors(tenant, keys, vectors, hashes, now_ms, learned)

    def items(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        return self._items.read(tenant, keys, fields)

    def vectors(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        return self._items.vectors(tenant, keys)

    def learned(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        items = self._items
        try:
            return items.vectors(tenant, keys, LEARNED)
        except Unavailable as error:
            if not is_gone(error.__cause__):
                raise
        return self._items.vectors(tenant, keys, LEARNED, instead_of=items.version)

    def delete_items(self, tenant: str, keys: Sequence[int], order: int | None = None) -> None:
        self._items.delete(tenant, keys, order)

    def scan(
        self,
        tenant: str,
        cursor: int | None,
        limit: int,
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> tuple[list[tuple[int, Payload]], int | None]:
        return self._items.scan(tenant, cursor, limit, where, fields)

    def waiting(self, tenant: str, limit: int) -> list[int]:
        return self._items.waiting(tenant, limit)

    def search(self, tenant: str, searches: Sequence[Search | WordSearch]) -> list[list[Hit]]:
        items = self._items
        try:
            return items.search(tenant, searches)
        except Unavailable as error:
            if not is_gone(error.__cause__):
                raise
        return self._items.search(tenant, searches, instead_of=items.version)

    def count(self, tenant: str, where: Filter | None = None) -> int:
        return self._items.count(tenant, where)

    # --- learned vectors -------------------------------------------------------------------------

    def learned_by(self, tenant: str) -> str | None:
        return self._items.version.learned.get(tenant)

    def learn(self, tenant: str, version: str, make: Make, progress: Progress | None = None) -> int:
        before = self._fresh().as_items.version
        if not version and tenant not in before.learned:
            return 0
        self._replace(before, Learning(check_tenant(tenant), version, make), progress)
        return self._items.count_learned(tenant) if version else 0

    def _replace(
        self, before: opening.Version, learning: Learning | None, progress: Progress | None
    ) -> None:
        """Let a new version of the items' collection take the place of the one that serves."""
        if not self._learning.acquire(blocking=False):
            raise NotReady("learned vectors are being written: try again")
        try:
            self._versions.clear()
            card = model_card(self._model, self._dim)
            self._versions.replace(before, learning, card, progress, self._swapped)
        finally:
            self._learning.release()

    def _swapped(self) -> None:
        with self._opening:
            self._look()

    def _fresh(self) -> _Held:
        """What serves at this moment."""
        with self._opening:
            return self._look_again(self._open())

    # --- users -----------------------------------------------------------------------------------

    def users(
        self, tenant: str, keys: Sequence[str], vectors: bool = False
    ) -> dict[str, StoredUser]:
        return self._users.read(tenant, keys, vectors)

    def put_users(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        return self._users.put(check_tenant(tenant), users)

    def delete_users(self, tenant: str, keys: Sequence[str]) -> None:
        self._users.delete(tenant, keys)

    def neighbours(
        self, tenant: str, query: Sparse, limit: int, exclude: Sequence[str] = ()
    ) -> list[Neighbour]:
        return self._users.neighbours(tenant, query, limit, exclude)

    def count_users(self, tenant: str) -> int:
        return self._users.count(tenant)

    def user_keys(self, tenant: str) -> Iterator[str]:
        return self._users.keys(tenant)

    # --- the store and the whole -----------------------------------------------------------------

    def tenants(self) -> list[str]:
        held = self._open()
        return sorted({*held.items.tenants(), *held.users.tenants()})

    def declare(self, tenant: str, name: str, kind: FieldType) -> None:
        self._items.declare(name, kind)

    def maintain(self) -> list[str]:
        """A server builds its indexes by itself; what is left over of versions is removed."""
        done = [f"removed {name}, which was left over" for name in self._versions.clear()]
        held = self._open()
        if not held.as_items.version.words and held.items.count(None) <= MAX_CONVERTED:
            self._replace(held.as_items.version, None, None)
            done.append("made room for words in the items")
        return done

    def flush(self) -> None:
        """A server has written a change down when it acknowledges it."""

    def close(self) -> None:
        self._line.close()
