"""All stores of a deployment on one Qdrant server (1.17 or later) or Qdrant Cloud.

One collection of items and one of users for each model, `items-<fingerprint>` and
`users-<fingerprint>`; the aliases `items` and `users` say which of them count. Every point carries
its `store` and every filter names it.
"""

from collections.abc import Iterator, Mapping, Sequence

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
from windowshop.store.server.errors import translated
from windowshop.store.server.items import Items
from windowshop.store.server.users import Users


class ServerStore:
    """The `Store` port on a Qdrant server."""

    def __init__(
        self,
        server: QdrantClient | str,
        model: str,
        dim: int,
        *,
        key: str | None = None,
        prefix: str = "",
        timeout_s: int = 10,
        fill: bool = False,
    ) -> None:
        """`server` is an address, or a client that is left open. `prefix` begins all names.

        With `fill` the server may hold another model's vectors: the items are then taken over
        without vectors, into collections that nobody sees until `promote`. Raises
        Unavailable, Misconfigured (the key, or the server holds another model's vectors).
        """
        self._model, self._dim = model, dim
        self._ours = isinstance(server, str)
        with translated():
            self._client = (
                QdrantClient(url=server, api_key=key, timeout=timeout_s, check_compatibility=False)
                if isinstance(server, str)
                else server
            )
        self._aliases = opening.Aliases(self._client, prefix, fingerprint(model, dim))
        card = model_card(model, dim)
        with translated():
            opening.check_version(self._client)
            held = self._aliases.other_card()
            if held is not None and not fill:
                check_model(held, model, dim, f"collection {self._aliases.present()['items']}")
            opening.create(self._client, self._aliases, dim, card)
        self._points = {
            kind: Collection(self._client, name) for kind, name in self._aliases.own.items()
        }
        self._items, self._users = Items(self._points["items"]), Users(self._points["users"])
        if held is None:
            self.promote()
        else:
            self._take_over()

    def _take_over(self) -> None:
        """Bring the items of the model that counts now into the collections of this one."""
        with translated():
            old = Collection(self._client, self._aliases.present()["items"])
        for path, index in old.indexes().items():
            if path.startswith("attributes."):
                self._points["items"].index(path, index.params or index.data_type)
        for tenant in old.tenants():
            take_over(Items(old).pages(tenant), self, tenant)

    def promote(self) -> None:
        """Make this model's collections the ones that count, and remove those that were."""
        with translated():
            self._aliases.promote()

    @property
    def model(self) -> str:
        return self._model

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
        return sorted({name for points in self._points.values() for name in points.tenants()})

    def declare(self, tenant: str, name: str, kind: FieldType) -> None:
        self._items.declare(name, kind)

    def maintain(self) -> list[str]:
        return []  # a server builds its indexes by itself

    def flush(self) -> None:
        """A server has written a change down when it acknowledges it."""

    def close(self) -> None:
        if self._ours:
            self._client.close()
