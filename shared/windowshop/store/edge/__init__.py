"""The store in this process: Qdrant Edge, one folder a store and collection.

vectors/
    lock                   held by the one process that has them open; its id is inside
    model.json             whose vectors count
    default/               a store
        items-1a2b3c4d/    see `shard.py`
        users-1a2b3c4d/
"""

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

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
from windowshop.store.edge.files import replace_file
from windowshop.store.edge.items import Items
from windowshop.store.edge.shard import Shard
from windowshop.store.edge.users import Users
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
    read_card,
)

CHECKPOINT_FROM = 2_000
"""Writes since the last checkpoint that a quiet moment is used to write out."""


class EdgeStore:
    """The `Store` port on Qdrant Edge. Safe to use from several threads, not from two processes."""

    def __init__(self, root: Path, model: str, dim: int, *, fill: bool = False) -> None:
        """Opens `root` (made if need be) for vectors [dim] of `model`.

        With `fill` it may hold another model's: the items are then taken over without vectors, into
        collections that nobody sees until `promote`. Raises NotReady when another process has it
        open, Misconfigured when it holds the vectors of another model.
        """
        self._root, self._model, self._dim = root, model, dim
        self._opening = threading.Lock()
        self._building = threading.Lock()
        self._items: dict[str, Items] = {}
        self._users: dict[str, Users] = {}
        self._closed = False
        root.mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(root)
        try:
            self._check_model(fill)
        except BaseException:
            self.close()
            raise

    def _check_model(self, fill: bool) -> None:
        card = self._root / "model.json"
        if not card.exists():
            self.promote()
            return
        held = read_card(card.read_text())
        if fill and held != model_card(self._model, self._dim):
            self._take_over(held)
        else:
            check_model(held, self._model, self._dim, str(self._root))

    def _take_over(self, held: Mapping[str, Any]) -> None:
        """Bring the items of the model that counts now into the collections of this one."""
        for tenant in self.tenants():
            folder = self._folder(tenant, "items", fingerprint(held["model"], held["dim"]))
            if folder.exists():
                old = Items(folder, held["dim"])
                try:
                    self._open_items(tenant, make=True).index_like(old)
                    take_over(old.pages(), self, tenant)
                finally:
                    old.shard.close()

    def promote(self) -> None:
        """Make this model's collections the ones that count, and remove all others."""
        replace_file(self._root / "model.json", json.dumps(model_card(self._model, self._dim)))
        ours = {self._folder("any", what).name for what in ("items", "users")}
        for tenant in self.tenants():
            for folder in (self._root / tenant).iterdir():
                if folder.name not in ours:
                    shutil.rmtree(folder, ignore_errors=True)

    @property
    def model(self) -> str:
        return self._model

    # --- the collections of a store, opened when first used --------------------------------------

    def _folder(self, tenant: str, collection: str, mark: str | None = None) -> Path:
        mark = mark or fingerprint(self._model, self._dim)
        return self._root / check_tenant(tenant) / f"{collection}-{mark}"

    @overload
    def _open_items(self, tenant: str, make: Literal[True]) -> Items: ...
    @overload
    def _open_items(self, tenant: str) -> Items | None: ...
    def _open_items(self, tenant: str, make: bool = False) -> Items | None:
        """The items of a store; None where there are none yet, unless they shall be made."""
        found = self._items.get(tenant)
        if found is None:
            folder = self._folder(tenant, "items")
            with self._opening:
                self._check_open()
                found = self._items.get(tenant)
                if found is None and (make or folder.exists()):
                    found = self._items[tenant] = Items(folder, self._dim)
        return found

    @overload
    def _open_users(self, tenant: str, make: Literal[True]) -> Users: ...
    @overload
    def _open_users(self, tenant: str) -> Users | None: ...
    def _open_users(self, tenant: str, make: bool = False) -> Users | None:
        found = self._users.get(tenant)
        if found is None:
            folder = self._folder(tenant, "users")
            with self._opening:
                self._check_open()
                found = self._users.get(tenant)
                if found is None and (make or folder.exists()):
                    found = self._users[tenant] = Users(folder, self._dim)
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the vector store is closed")

    # --- items -----------------------------------------------------------------------------------

    def put_items(
        self,
        tenant: str,
        items: Mapping[int, Payload],
        words: Mapping[int, Sparse] | None = None,
    ) -> None:
        check_batch(len(items))
        check_words(words or {}, items)
        if items:
            self._open_items(tenant, make=True).put(tenant, items, words or {})

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
        held = self._open_items(tenant)
        if held is None:
            return []
        return held.put_vectors(keys, vectors, hashes, now_ms, learned, made_by)

    def items(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        held = self._open_items(tenant)
        return {} if held is None else held.read(keys, fields)

    def vectors(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        held = self._open_items(tenant)
        return {} if held is None else held.vectors(keys)

    def learned(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        held = self._open_items(tenant)
        return {} if held is None else held.vectors(keys, LEARNED)

    def delete_items(self, tenant: str, keys: Sequence[int], order: int | None = None) -> None:
        held = self._open_items(tenant)
        if held is not None:
            held.delete(keys, order)

    def scan(
        self,
        tenant: str,
        cursor: int | None,
        limit: int,
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> tuple[list[tuple[int, Payload]], int | None]:
        held = self._open_items(tenant)
        return ([], None) if held is None else held.scan(cursor, limit, where, fields)

    def waiting(self, tenant: str, limit: int) -> list[int]:
        held = self._open_items(tenant)
        return [] if held is None else held.waiting(limit)

    def search(self, tenant: str, searches: Sequence[Search | WordSearch]) -> list[list[Hit]]:
        held = self._open_items(tenant)
        return [[] for _ in searches] if held is None else held.search(searches)

    def count(self, tenant: str, where: Filter | None = None) -> int:
        held = self._open_items(tenant)
        return 0 if held is None else held.count(where)

    # --- learned vectors -------------------------------------------------------------------------

    def learned_by(self, tenant: str) -> str | None:
        held = self._open_items(tenant)
        return (held.shard.version or None) if held is not None else None

    def learn(self, tenant: str, version: str, make: Make, progress: Progress | None = None) -> int:
        if not self._building.acquire(blocking=False):
            raise NotReady("an index is being built or learned vectors are written: try again")
        try:
            held = self._open_items(tenant)
            if held is None or version == held.shard.version == "":
                return 0
            return held.learn(version, make, progress)
        finally:
            self._building.release()

    # --- users -----------------------------------------------------------------------------------

    def users(
        self, tenant: str, keys: Sequence[str], vectors: bool = False
    ) -> dict[str, StoredUser]:
        held = self._open_users(tenant)
        return {} if held is None else held.read(keys, vectors)

    def put_users(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        if not users:
            return []
        return self._open_users(tenant, make=True).put(tenant, users)

    def delete_users(self, tenant: str, keys: Sequence[str]) -> None:
        held = self._open_users(tenant)
        if held is not None and keys:
            held.delete(keys)

    def neighbours(
        self, tenant: str, query: Sparse, limit: int, exclude: Sequence[str] = ()
    ) -> list[Neighbour]:
        held = self._open_users(tenant)
        if held is None or not len(query.indices):
            return []
        return held.neighbours(query, limit, exclude)

    def count_users(self, tenant: str) -> int:
        held = self._open_users(tenant)
        return 0 if held is None else held.count()

    def user_keys(self, tenant: str) -> Iterator[str]:
        held = self._open_users(tenant)
        return iter(()) if held is None else held.keys()

    # --- the store and the whole -----------------------------------------------------------------

    def tenants(self) -> list[str]:
        return sorted(entry.name for entry in self._root.iterdir() if entry.is_dir())

    def declare(self, tenant: str, name: str, kind: FieldType) -> None:
        self._open_items(tenant, make=True).declare(name, kind)

    def maintain(self) -> list[str]:
        if not self._building.acquire(blocking=False):
            return []
        try:
            done: list[str] = []
            for tenant in self.tenants():
                kinds: dict[str, Items | Users | None] = {
                    "items": self._open_items(tenant),
                    "users": self._open_users(tenant),
                }
                for kind, held in kinds.items():
                    if held is None:
                        continue
                    if held.wants_building():
                        points = held.shard.points()
                        held.shard.rebuild()
                        done.append(f"built the index of {tenant}'s {kind} ({points})")
                    elif held.shard.unflushed >= CHECKPOINT_FROM:
                        held.shard.checkpoint()
            return done
        finally:
            self._building.release()

    def copy_items(self, tenant: str, root: Path) -> None:
        """The items of a store as of now, vectors and all, in a new folder that is opened as an
        `EdgeStore` of the same model. Writers of items wait meanwhile. Raises Unavailable.
        """
        root.mkdir()
        replace_file(root / "model.json", json.dumps(model_card(self._model, self._dim)))
        held = self._open_items(tenant)
        if held is not None:
            held.shard.copy(root / tenant / self._folder(tenant, "items").name)

    def flush(self) -> None:
        for shard in self._shards():
            shard.flush()

    def close(self) -> None:
        with self._opening:
            if self._closed:
                return
            self._closed = True
        for shard in self._shards():
            shard.close()
        os.close(self._lock)

    def _shards(self) -> list[Shard]:
        held: list[Items | Users] = [*self._items.values(), *self._users.values()]
        return [one.shard for one in held]


def _take_lock(root: Path) -> int:
    """A lock that ends with the process, however it ends. Raises NotReady."""
    lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise NotReady(
            f"{root} is in use by process {holder}: let that one do it, or end it first"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
