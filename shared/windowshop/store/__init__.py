"""The port to the vectors: what the rest of windowshop may ask of Qdrant.

Two implementations: `edge.EdgeStore` (in this process) and `server.ServerStore` (a Qdrant server).
`tenant` is the contract's store name: one shop of many; nothing ever crosses it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from windowshop.filters import FieldType, Filter

Vector = NDArray[np.float32]
Payload = dict[str, Any]

LEARNED_DIM = 128
"""Numbers in a `learned` vector, whichever tower made it."""


class Hit(NamedTuple):
    """One found item: its key, and its cosine or (of a `WordSearch`) its dot product."""

    key: int
    score: float


@dataclass(frozen=True, slots=True)
class Sparse:
    """Weights by 32-bit dimension, each named once; the dimension of an item is the low 32 bits of
    its key, that of a word a hash of it.
    """

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Search:
    """One dense search: the `limit` items nearest to `vector` among those that pass `where`.

    `vector` is [dim] for the `text` vectors, [LEARNED_DIM] for the `learned` ones. `made_by` names
    the version of the tower that a `learned` one is from: items learned by another are not found
    (None: whatever the items have).
    """

    vector: Vector
    limit: int
    where: Filter | None = None
    using: Literal["text", "learned"] = "text"
    made_by: str | None = None


@dataclass(frozen=True, slots=True)
class WordSearch:
    """One search by words: the `limit` items with the greatest dot product of their `words` and
    these, among those that share a word and pass `where`. IDF is the asker's to multiply in.
    """

    words: Sparse
    limit: int
    where: Filter | None = None


Make = Callable[[Sequence[int], Vector], Vector]
"""(keys, their text vectors [n, dim]) -> their learned vectors [n, LEARNED_DIM]."""
Progress = Callable[[int, int], None]
"""Told (items done, items in all)."""


@dataclass(slots=True)
class StoredUser:
    """What is kept of one user. `version` counts the writes; 0 means not stored yet.

    `payload` holds the packed profile (`profile.pack`), its `tail`, `last_event_at`, ...
    """

    key: str
    version: int = 0
    payload: Payload = field(default_factory=dict)
    taste: Vector | None = None
    history: Sparse | None = None


class Neighbour(NamedTuple):
    """A like-minded user: the dot product of the histories, and the bytes that their payload says
    under `tail`, in base64.
    """

    key: str
    score: float
    tail: bytes


class Store(Protocol):
    """Every method raises Unavailable when Qdrant cannot be reached or fails, and a write of items
    NotReady when others keep writing the same ones.
    """

    @property
    def model(self) -> str:
        """Name of the encoder whose vectors this store holds."""

    # items
    def put_items(
        self,
        tenant: str,
        items: Mapping[int, Payload],
        words: Mapping[int, Sparse] | None = None,
    ) -> None:
        """Write payloads whole (keeping vectors, and `embedded_at` / `vector_hash`), unless the
        stored `order` is greater. At most 1,000 a call.

        `words` are written with the payload and replace what the item had; an item that is not
        named in them keeps its own, and an empty `Sparse` takes them away.
        """

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
        """Set the `text` vectors [n, dim] of items whose `text_hash` still equals the given hash;
        sets `vector_hash` and `embedded_at`. Returns the keys that took effect.

        `learned` [n, LEARNED_DIM] is written with them, unless this store has no learned vectors
        (see `learned_by`), or has those of another version than `made_by` (None: never mind).
        Without it, items keep the learned vector they have.
        """

    def items(
        self, tenant: str, keys: Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[int, Payload]:
        """Payloads of those that exist (all of it, or only the named top-level fields)."""

    def vectors(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        """Text vectors [dim] of those that have one."""

    def learned(self, tenant: str, keys: Sequence[int]) -> dict[int, Vector]:
        """Learned vectors [LEARNED_DIM] of those that have one, all made by `learned_by`."""

    def delete_items(self, tenant: str, keys: Sequence[int], order: int | None = None) -> None:
        """Remove them; with `order`, only those stored with a smaller or equal order."""

    def scan(
        self,
        tenant: str,
        cursor: int | None,
        limit: int,
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> tuple[list[tuple[int, Payload]], int | None]:
        """A page of items by key, and the cursor of the next page (None at the end)."""

    def waiting(self, tenant: str, limit: int) -> list[int]:
        """Keys of items whose vector is missing or was made from an older text."""

    def search(self, tenant: str, searches: Sequence[Search | WordSearch]) -> list[list[Hit]]:
        """All searches in one round trip, each best first. Items without the vector are not found,
        so a search by what the store has of no item finds nothing.
        """

    def count(self, tenant: str, where: Filter | None = None) -> int:
        """Number of items (exact)."""

    # learned vectors
    def learned_by(self, tenant: str) -> str | None:
        """Version of the tower that made the learned vectors of this store; None: it has none.

        Cheap, so ask before every use: another process may have swapped them (seen within a
        minute on a server).
        """

    def learn(self, tenant: str, version: str, make: Make, progress: Progress | None = None) -> int:
        """Put learned vectors made by `make` in the place of those that the items have; returns how
        many items got one. Items without a text vector get none. Version "" takes them all away.

        A new version of the items' collection is made beside the one that serves, items written
        meanwhile are taken along, and it takes its place at once: a search sees the vectors of one
        version only. A process that dies on the way leaves the old one, and what is half made is
        removed later. Raises NotReady while another `learn` or upkeep is at work, InvalidInput when
        `make` returns another shape or numbers that are not finite.
        """

    # users
    def users(
        self, tenant: str, keys: Sequence[str], vectors: bool = False
    ) -> dict[str, StoredUser]:
        """Those that exist; `taste` and `history` only with `vectors`."""

    def put_users(self, tenant: str, users: Sequence[StoredUser]) -> list[str]:
        """Conditional writes: each takes effect only if the stored version is `user.version`
        (0: not stored); the stored version is then one more. Returns the keys that lost.
        """

    def delete_users(self, tenant: str, keys: Sequence[str]) -> None: ...

    def neighbours(
        self, tenant: str, query: Sparse, limit: int, exclude: Sequence[str] = ()
    ) -> list[Neighbour]:
        """Users by dot product of `query` with their `history`, best first."""

    def count_users(self, tenant: str) -> int: ...

    def user_keys(self, tenant: str) -> Iterator[str]: ...

    # the tenant and the whole
    def tenants(self) -> list[str]: ...

    def declare(self, tenant: str, name: str, kind: FieldType) -> None:
        """Index attribute `name`, so that filters may use it. Idempotent."""

    def promote(self) -> None:
        """Make the collections of this store's model the ones that count (see `fill`)."""

    def maintain(self) -> list[str]:
        """Build or tidy indexes where it pays, without a pause in serving; says what was done."""

    def flush(self) -> None:
        """Everything written so far is on disk when this returns."""

    def close(self) -> None: ...
