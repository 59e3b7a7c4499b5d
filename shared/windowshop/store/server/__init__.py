"""All stores of a deployment on one Qdrant server (1.17 or later) or Qdrant Cloud.

One collection of items and one of users for each model, `items-<fingerprint>` and
`users-<fingerprint>`; the aliases `items` and `users` say which of them count. Every point carries
its `store` and every filter names it.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from qdrant_client import QdrantClient

from windowshop.filters import FieldType, Filter
from windowshop.store import Hit, Neighbour, Payload, Search, Sparse, StoredUser, Vector
from windowshop.store.refill import take_over
from windowshop.store.schema import (
    check_batch,
    check_model,
    check_tenant,
    check_vectors,
    fingerprint,
    model_card,
)
from windowshop.store.server import opening
from windowshop.store.server.collection import Collection
from windowshop.store.server.items import Items
from windowshop.store.server.line import Clock, Line, Patience, Place
from windowshop.store.server.users import Users

__all__ = ["Patience", "Place", "ServerStore"]


class _Held(NamedTuple):
    """The collections of our model, found or made."""

    items: Collection
    users: Collection
    as_items: Items
    as_users: Users


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
        self._aliases = opening.Aliases(self._line, prefix, fingerprint(model, dim))
        self._opening = threading.RLock()
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
        if held is None or self._line.lost:
            with self._opening:
                held = self._held
                if held is None or self._line.lost:
                    held = self._look()
        return held

    def _look(self) -> _Held:
        card, own = model_card(self._model, self._dim), self._aliases.own
        with self._line.calling() as client:
            opening.check_version(client)
        present = self._aliases.present()
        before = present.get("items", own["items"])
        if before != own["items"] and not self._fill:
            where = f"collection {before}"
            check_model(self._aliases.card(before), self._model, self._dim, where)
        with self._line.calling() as client:
            opening.create(client, own, self._dim, card)
        items, users = (Collection(self._line, own[kind]) for kind in opening.KINDS)
        self._line.lost = False
        held = _Held(items, users, Items(items), Users(users))
        if before == own["items"]:
            if present != own:
                self._aliases.promote()
            self._held = held
            return held
        self._held = held  # for what follows; nobody else waits for a store that is being filled
        try:
            self._take_over(held, Collection(self._line, before))
        except BaseException:
            self._held = None
            raise
        return held

    def _take_over(self, new: _Held, old: Collection) -> None:
        """Bring the items of the model that counts now into the collections of this one."""
        for path, index in old.indexes().items():
            if path.startswith("attributes."):
                new.items.index(path, index.params or index.data_type)
        for tenant in old.tenants():
            take_over(Items(old).pages(tenant), self, tenant)

    def promote(self) -> None:
        """Make this model's collections the ones that count, and remove those that were."""
        self._open()
        self._aliases.promote()

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

    def put_items(self, tenant: str, items: Mapping[int, Payload]) -> None:
        check_batch(len(items))
        self._items.put(check_tenant(tenant), items)

    def put_vectors(
        self, tenant: str, keys: Sequence[int], vectors: Vector, hashes: Sequence[str], now_ms: int
    ) -> list[int]:
        check_batch(len(keys))
        check_vectors(vectors, len(keys), self._dim)
        return self._items.put_vectors(tenant, keys, vectors, hashes, now_ms)

    def items(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        return self._items.read(tenant, keys, fields)

    def vectors(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        return self._items.vectors(tenant, keys)

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

    def search(self, tenant: str, searches: Sequence[Search]) -> list[list[Hit]]:
        return self._items.search(tenant, searches)

    def count(self, tenant: str, where: Filter | None = None) -> int:
        return self._items.count(tenant, where)

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
        return []  # a server builds its indexes by itself

    def flush(self) -> None:
        """A server has written a change down when it acknowledges it."""

    def close(self) -> None:
        self._line.close()
