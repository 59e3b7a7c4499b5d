"""What the verbs of a shop work with: the ports, the settings, and small caches of what they read.

One `World` a process. Caches are kept exact by the writes, which all go through this process.
"""

import threading
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Protocol

import numpy as np

from windowshop.encode import Encoder
from windowshop.errors import InvalidInput, Misconfigured
from windowshop.filters import FieldType, Filter
from windowshop.log import Appended, Batch, Log
from windowshop.logs import log
from windowshop.popularity import Popularity
from windowshop.profile import Events, Keys, Weights, as_events
from windowshop.profile.events import IMPRESSION
from windowshop.rank import Floats
from windowshop.settings import Settings
from windowshop.store import Payload, Search, Store, Vector

MAX_CARDS = 200_000
MAX_VECTORS = 40_000
MAX_QUERIES = 2_000
MAX_KNOWN = 2_000_000
MAX_FOUND = 20_000
READ = 1_000
SNAPSHOT = "popularity"


Found = tuple[bytes, int, Filter | None]
"""A search by content: vector, limit, filter."""


class Clock(Protocol):
    def __call__(self) -> int:
        """Milliseconds since the epoch."""


@dataclass(slots=True)
class Tenant:
    """What this process holds of one store."""

    name: str
    popularity: Popularity
    newest_ms: int
    seq: int
    fields: dict[str, FieldType]
    cards: dict[int, Payload | None] = field(default_factory=dict)
    vectors: dict[int, Vector | None] = field(default_factory=dict)
    found: dict[Found, tuple[Keys, Floats]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    stale: bool = False
    """Events were deleted: the counts are due to be made again."""
    fallback: list[Payload] = field(default_factory=list)


@dataclass(slots=True)
class World:
    """The ports, chosen once, and what is derived from the settings."""

    store: Store
    log: Log
    encoder: Encoder
    settings: Settings
    wall: Clock
    weights: Weights = field(init=False)
    blend: Mapping[str, Any] = field(init=False)
    tenants: dict[str, Tenant] = field(default_factory=dict)
    queries: dict[str, Vector] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.weights = Weights().replaced(self.settings.weights)
        self.blend = read_blend()

    # --- tenants and time -----------------------------------------------------------------------

    def tenant(self, name: str) -> Tenant:
        """The store's state; read from the log's snapshot and what came after it, on first use."""
        found = self.tenants.get(name)
        if found is None:
            with self.lock:
                found = self.tenants.get(name) or self._open(name)
                self.tenants[name] = found
        return found

    def _open(self, name: str) -> Tenant:
        seq, popularity = 0, Popularity()
        saved = self.log.snapshot(name, SNAPSHOT)
        if saved is not None:
            try:
                seq, popularity = saved[0], Popularity.load(saved[1])
            except InvalidInput as error:  # of another version: counted anew
                log("world").warning("counts_rejected", detail=error.detail)
        tenant = Tenant(name, popularity, self.log.newest(name) or 0, seq, self.log.fields(name))
        self._replay(tenant)
        return tenant

    def _replay(self, tenant: Tenant) -> None:
        for part in self.log.replay_since(tenant.name, tenant.seq):
            self.count(tenant, part.events, part.users, part.seq)

    def count(self, tenant: Tenant, events: Events, users: Keys, seq: int) -> None:
        """Add logged events [n] and their users [n] to the store's live counts."""
        folded = events["kind"] != IMPRESSION
        with self.lock:
            tenant.popularity.add(
                events["item"][folded],
                events["time"][folded],
                self.weights.gain(events[folded]),
                users=users[folded],
            )
            tenant.newest_ms = max(tenant.newest_ms, int(events["time"].max(initial=0)))
            tenant.seq = max(tenant.seq, seq)

    def append(self, batches: Sequence[Batch]) -> list[tuple[Tenant, Appended]]:
        """Write batches to the log in one transaction and count what was new in them.

        Under one lock, so that a store that is opened or counted anew counts nothing twice.
        """
        with self.lock:
            tenants = [self.tenant(name) for name, _, _ in batches]
            appended = self.log.append_many(batches)
            for tenant, (_, rows, _), one in zip(tenants, batches, appended, strict=True):
                new = np.array(one.new, bool)
                if new.any():
                    self.count(tenant, as_events(rows)[new], one.users[new], one.seq)
        return list(zip(tenants, appended, strict=True))

    def recount(self, name: str) -> None:
        """The store's live counts again from the log."""
        tenant = self.tenant(name)
        with self.lock:
            tenant.popularity, tenant.seq, tenant.stale = Popularity(), 0, False
            self._replay(tenant)

    def now(self, tenant: Tenant) -> int:
        """The store's clock: the wall's time, or that of the newest event."""
        if self.settings.clock == "events" and tenant.newest_ms:
            return tenant.newest_ms
        return self.wall()

    def stamp(self, name: str, received_ms: int) -> int:
        """The time of an event that came without one: its receipt, by the store's clock.

        Under the clock of the events a replayed 2017 must not end because somebody clicks today.
        """
        tenant = self.tenant(name)
        if self.settings.clock == "events" and tenant.newest_ms:
            return tenant.newest_ms + 1
        return received_ms

    # --- reading through the caches ---------------------------------------------------------------

    def cards(self, tenant: Tenant, keys: Iterable[int]) -> dict[int, Payload]:
        """Payloads of the items that exist, by key."""
        held = tenant.cards
        wanted = [int(key) for key in keys]
        missing = [key for key in wanted if key not in held]
        if missing:
            read = self.store.items(tenant.name, missing)
            _make_room(held, len(missing), MAX_CARDS)
            for key in missing:
                held[key] = read.get(key)
        return {key: card for key in wanted if (card := held.get(key)) is not None}

    def known(self, tenant: Tenant, keys: Collection[int]) -> set[int]:
        """Those of the keys whose items exist."""
        missing = [key for key in keys if key not in tenant.known]
        if len(tenant.known) > MAX_KNOWN:
            tenant.known.clear()
            missing = list(keys)
        for start in range(0, len(missing), READ):
            part = missing[start : start + READ]
            tenant.known.update(self.store.items(tenant.name, part, ("item_id",)))
        return tenant.known.intersection(keys)

    def vectors(self, tenant: Tenant, keys: Iterable[int]) -> dict[int, Vector]:
        """Unit vectors of the items that have one, by key."""
        held = tenant.vectors
        wanted = [int(key) for key in keys]
        missing = [key for key in wanted if key not in held]
        if missing:
            read = self.store.vectors(tenant.name, missing)
            _make_room(held, len(missing), MAX_VECTORS)
            for key in missing:
                held[key] = read.get(key)
        return {key: vector for key in wanted if (vector := held.get(key)) is not None}

    def matrix(self, tenant: Tenant, keys: Sequence[int]) -> Floats:
        """Unit vectors as rows [n, dim]; a zero row where an item has none."""
        rows = np.zeros((len(keys), self.encoder.dim), np.float32)
        found = self.vectors(tenant, keys)
        for row, key in enumerate(keys):
            vector = found.get(int(key))
            if vector is not None:
                rows[row] = vector
        return rows

    def forget_cached(self, tenant: Tenant, keys: Iterable[int], vectors: bool = True) -> None:
        """Called after a write: what was read before is no longer believed."""
        tenant.found = {}
        for key in keys:
            tenant.cards.pop(key, None)
            tenant.known.discard(key)
            if vectors:
                tenant.vectors.pop(key, None)

    def search(
        self, tenant: Tenant, searches: Sequence[tuple[Vector, int, Filter | None]]
    ) -> list[tuple[Keys, Floats]]:
        """Keys and cosines of each search, best first; all that are not remembered in one call.

        What a user's interests find changes with their events and with the items, not with every
        page they look at: answers are remembered by content until any item is written.
        """
        held = tenant.found
        names = [(vector.tobytes(), limit, where) for vector, limit, where in searches]
        missing = [at for at, name in enumerate(names) if name not in held]
        if missing:
            asked = [Search(*searches[at]) for at in missing]
            answers = self.store.search(tenant.name, asked)
            _make_room(held, len(missing), MAX_FOUND)
            fresh: dict[Found, tuple[Keys, Floats]] = {}
            for at, hits in zip(missing, answers, strict=True):
                keys = np.fromiter((hit.key for hit in hits), np.uint64, len(hits))
                cosines = np.fromiter((hit.score for hit in hits), np.float32, len(hits))
                fresh[names[at]] = held[names[at]] = keys, cosines
            return [fresh.get(name) or held[name] for name in names]
        return [held[name] for name in names]

    def query_vector(self, text: str) -> Vector:
        """The vector [dim] of a search; the last few thousand are remembered."""
        text = " ".join(text.split())
        vector = self.queries.get(text)
        if vector is None:
            vector = self.encoder.encode([text], query=True)[0]
            _make_room(self.queries, 1, MAX_QUERIES)
            self.queries[text] = vector
        return vector

    def save_popularity(self) -> None:
        """Write every store's counts to the log, so that the next start replays little."""
        for tenant in list(self.tenants.values()):
            with self.lock:
                seq, blob = tenant.seq, tenant.popularity.save()
            self.log.put_snapshot(tenant.name, SNAPSHOT, seq, blob)


def _make_room(held: dict[Any, Any], more: int, limit: int) -> None:
    """Drop the oldest quarter of a full cache (dicts keep the order of insertion)."""
    if len(held) + more > limit:
        for key in list(held)[: limit // 4 + more]:
            held.pop(key, None)


def read_blend() -> Mapping[str, Any]:
    """weights.toml, checked."""
    text = resources.files("windowshop").joinpath("weights.toml").read_text("utf-8")
    blend = tomllib.loads(text)
    for name, part in blend.items():
        numbers = part.values() if isinstance(part, dict) else [part]
        if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
            raise Misconfigured(f"weights.toml: {name}: weights are numbers from 0")
    return blend
