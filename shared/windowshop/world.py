"""What the verbs of a shop work with: the ports, the settings, and small caches of what they read.

One `World` a process. Where all writes go through this process they keep its caches exact; where
others write too (`believed_ms`), what was read is believed for that long.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import orjson

from windowshop.blend import Blend, overlaid
from windowshop.caches import look_up, make_room
from windowshop.encode import Encoder
from windowshop.errors import InvalidInput, Unavailable
from windowshop.filters import FieldType
from windowshop.keys import Keyring
from windowshop.kinds import Kinds
from windowshop.letters import Letters
from windowshop.lexicon import Kept
from windowshop.log import Appended, Batch, Log
from windowshop.logs import log
from windowshop.popularity import Popularity
from windowshop.profile import Events, Keys, Weights, as_events
from windowshop.profile.events import IMPRESSION
from windowshop.rank import Floats, Rankers, Towerless, Towers, Unlearned
from windowshop.settings import Settings, default_blend
from windowshop.signals import Signals, Silent
from windowshop.store import Payload, Store, Vector
from windowshop.store.sought import Found, Wanted, content_of, search_of

MAX_CARDS = 200_000
MAX_VECTORS = 40_000
MAX_QUERIES = 2_000
MAX_KNOWN = 2_000_000
MAX_FOUND = 20_000
READ = 1_000
SNAPSHOT = "popularity"
COUNTS = "counts"  # the same without the users, for processes that only read it
FALLBACK = "fallback"
VECTORS_BELIEVED = 30
"""So many times as long as anything else: a vector changes with its item's text alone."""


class Clock(Protocol):
    def __call__(self) -> int:
        """Milliseconds since the epoch."""


@dataclass(slots=True)
class Counted:
    """Live counts, and how far in the log they have come."""

    popularity: Popularity
    seq: int
    saved: int = -1
    """The `seq` that these were saved with last."""
    known: int = -1
    """The greatest `seq` of saved counts that this process has seen."""


@dataclass(slots=True)
class Tenant:
    """What this process holds of one store. Its counts are read when they are first asked for."""

    name: str
    newest_ms: int
    fields: dict[str, FieldType]
    read_counts: "Callable[[Tenant], Counted]"
    until_ms: int = 0
    """Until when what was read is believed, where others write too."""
    vectors_until_ms: int = 0
    counted: Counted | None = None
    cards: dict[int, Payload | None] = field(default_factory=dict)
    vectors: dict[int, Vector | None] = field(default_factory=dict)
    learned: dict[int, Vector | None] = field(default_factory=dict)
    """Vectors of the tower `learned_by`; see `space`."""
    learned_by: str = ""
    found: dict[Found, tuple[Keys, Floats]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    stale: bool = False
    """Events were deleted: the counts are due to be made again."""
    fallback: list[Payload] = field(default_factory=list)
    words: Kept = field(default_factory=Kept)
    kinds: Kinds = field(default_factory=Kinds)

    @property
    def counts(self) -> Counted:
        return self.counted or self.read_counts(self)

    @property
    def popularity(self) -> Popularity:
        return self.counts.popularity


@dataclass(slots=True)
class World:
    """The ports, chosen once, and what is derived from the settings.

    `counting`: this process counts what is logged; otherwise it reads what another one has saved.
    """

    store: Store
    log: Log
    encoder: Encoder
    settings: Settings
    wall: Clock
    keyring: Keyring
    letters: Letters
    signals: Signals = field(default_factory=Silent)
    rankers: Rankers = field(default_factory=Unlearned)
    towers: Towers = field(default_factory=Towerless)
    believed_ms: int | None = None
    counting: bool = True
    weights: Weights = field(init=False)
    blend: Blend = field(init=False)
    tenants: dict[str, Tenant] = field(default_factory=dict)
    queries: dict[str, Vector] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.weights = Weights().replaced(self.settings.weights)
        self.blend = overlaid(default_blend(), self.settings.blend)

    # --- tenants and time -----------------------------------------------------------------------

    def tenant(self, name: str) -> Tenant:
        """The store's state; read from the log on first use, and again when it is too old."""
        found = self.tenants.get(name)
        if found is None:
            with self.lock:
                found = self.tenants.get(name) or self._open(name)
                self.tenants[name] = found
        elif self.believed_ms is not None and self.wall() >= found.until_ms:
            with self.lock:
                self._look_again(found, self.believed_ms)
        return found

    def _open(self, name: str) -> Tenant:
        return Tenant(
            name,
            self._newest(name),
            self.log.fields(name),
            self._read_counts,
            until_ms=self.wall() + (self.believed_ms or 0),
        )

    def _newest(self, name: str) -> int:
        """Time of the newest event (ms), which only the clock of the events asks for; else 0."""
        return (self.log.newest(name) or 0) if self.settings.clock == "events" else 0

    def _look_again(self, tenant: Tenant, believed_ms: int) -> None:
        """Believe no longer what other processes may have changed. What cannot be read anew just
        now is believed a little longer.
        """
        now = self.wall()
        if now < tenant.until_ms:
            return  # another thread just did
        tenant.until_ms = now + believed_ms
        tenant.cards, tenant.known, tenant.found = {}, set(), {}
        tenant.kinds = Kinds()
        if now >= tenant.vectors_until_ms:
            tenant.vectors, tenant.learned = {}, {}
            tenant.vectors_until_ms = now + VECTORS_BELIEVED * believed_ms
        else:
            tenant.vectors = {key: row for key, row in tenant.vectors.items() if row is not None}
            tenant.learned = {key: row for key, row in tenant.learned.items() if row is not None}
        try:
            tenant.fields = self.log.fields(tenant.name)
            tenant.newest_ms = max(tenant.newest_ms, self._newest(tenant.name))
            if not self.counting:
                tenant.fallback = []
                if tenant.counted is not None:
                    tenant.counted = self._newer(tenant.name, tenant.counted)
        except Unavailable as error:
            log("world").warning("state_not_refreshed", detail=error.detail)

    def _newer(self, name: str, held: Counted) -> Counted:
        """The counts saved last; those held if none came since, or if they are new and unsaved."""
        if held.saved < 0 < held.seq:
            return held
        saved = self.log.snapshot(name, SNAPSHOT if self.counting else COUNTS, held.known)
        if saved is None:
            return held
        seq, body = saved
        try:
            return Counted(Popularity.load(body), seq, seq, seq)
        except InvalidInput as error:  # of another version: counted anew
            log("world").warning("counts_rejected", detail=error.detail)
            return held

    def _read_counts(self, tenant: Tenant) -> Counted:
        with self.lock:
            if tenant.counted is None:
                counted = self._newer(tenant.name, Counted(Popularity(), 0))
                if self.counting:
                    self._replay(tenant.name, counted)
                tenant.counted = counted
            return tenant.counted

    def _replay(self, name: str, counted: Counted) -> None:
        for part in self.log.replay_since(name, counted.seq):
            self._count(counted, part.events, part.users, part.seq)

    def _count(self, counted: Counted, events: Events, users: Keys, seq: int) -> None:
        """Add logged events [n] and their users [n] to live counts."""
        folded = events["kind"] != IMPRESSION
        counted.popularity.add(
            events["item"][folded],
            events["time"][folded],
            self.weights.gain(events[folded]),
            users=users[folded],
        )
        counted.seq = max(counted.seq, seq)

    def catch_up(self, name: str) -> None:
        """Count what was logged since; where others write too, from where one of them has come."""
        tenant = self.tenant(name)
        with self.lock:
            counted = tenant.counts
            if self.believed_ms is not None:
                counted = tenant.counted = self._newer(name, counted)
            self._replay(name, counted)

    def append(self, batches: Sequence[Batch]) -> list[tuple[Tenant, Appended]]:
        """Write batches to the log in one transaction and count what was new in them.

        Under one lock, so that a store that is opened or counted anew counts nothing twice.
        """
        with self.lock:
            tenants = [self.tenant(name) for name, _, _ in batches]
            if self.counting:
                for tenant in tenants:
                    self._read_counts(tenant)  # before, or they would hold the batch already
            appended = self.log.append_many(batches)
            for tenant, (_, rows, _), one in zip(tenants, batches, appended, strict=True):
                new = np.array(one.new, bool)
                if new.any():
                    events = as_events(rows)[new]
                    tenant.newest_ms = max(tenant.newest_ms, int(events["time"].max()))
                    if self.counting:
                        self._count(tenant.counts, events, one.users[new], one.seq)
        return list(zip(tenants, appended, strict=True))

    def recount(self, name: str) -> None:
        """The store's live counts again from the log."""
        tenant = self.tenant(name)
        with self.lock:
            before = self._read_counts(tenant)
            counted = Counted(Popularity(), 0, known=before.known)
            self._replay(name, counted)  # all of it, or what was counted before stays
            self._replay(name, counted)  # and what came meanwhile: the newest that is saved counts
            # What was deleted at the end of the log is not to be looked for again.
            counted.seq = max(counted.seq, before.seq)
            tenant.counted, tenant.stale = counted, False

    def now(self, tenant: Tenant) -> int:
        """The store's clock: the wall's time, or that of the newest event."""
        if self.settings.clock == "events" and tenant.newest_ms:
            return tenant.newest_ms
        return self.wall()

    def stamp(self, name: str, received_ms: int) -> int:
        """The time of an event that came without one: its receipt, by the store's clock.

        Under the clock of the events a replayed 2017 must not end because somebody clicks today.
        """
        if self.settings.clock == "events" and (newest := self.tenant(name).newest_ms):
            return newest + 1
        return received_ms

    # --- reading through the caches ---------------------------------------------------------------

    def cards(self, tenant: Tenant, keys: Iterable[int]) -> dict[int, Payload]:
        """Payloads of the items that exist, by key."""
        wanted = [int(key) for key in keys]
        found, missing = look_up(tenant.cards, wanted)
        if missing:
            read = self.store.items(tenant.name, missing)
            make_room(tenant.cards, len(missing), MAX_CARDS)
            for key in missing:
                found[key] = tenant.cards[key] = read.get(key)
        return {key: card for key in wanted if (card := found[key]) is not None}

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
        wanted = [int(key) for key in keys]
        found, missing = look_up(tenant.vectors, wanted)
        if missing:
            read = self.store.vectors(tenant.name, missing)
            make_room(tenant.vectors, len(missing), MAX_VECTORS)
            for key in missing:
                found[key] = tenant.vectors[key] = read.get(key)
        return {key: vector for key in wanted if (vector := found[key]) is not None}

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
        keys = list(keys)
        tenant.kinds.forget(np.array(keys, np.uint64))
        for key in keys:
            tenant.cards.pop(key, None)
            tenant.known.discard(key)
            if vectors:
                tenant.vectors.pop(key, None)
                tenant.learned.pop(key, None)

    def search(self, tenant: Tenant, searches: Sequence[Wanted]) -> list[tuple[Keys, Floats]]:
        """Keys and cosines of each search, best first; all that are not remembered in one call.

        What a user's interests find changes with their events and with the items, not with every
        page they look at: answers are remembered by content until any item is written.
        """
        held = tenant.found  # one that a write replaces meanwhile is filled for nothing
        names = [content_of(one) for one in searches]
        found, missing = look_up(held, names)
        if missing:
            asked = dict(zip(names, searches, strict=True))
            answers = self.store.search(tenant.name, [search_of(asked[name]) for name in missing])
            make_room(held, len(missing), MAX_FOUND)
            for name, hits in zip(missing, answers, strict=True):
                keys = np.fromiter((hit.key for hit in hits), np.uint64, len(hits))
                cosines = np.fromiter((hit.score for hit in hits), np.float32, len(hits))
                found[name] = held[name] = keys, cosines
        return [found[name] for name in names]

    def query_vector(self, text: str) -> Vector:
        """The vector [dim] of a search; the last few thousand are remembered."""
        text = " ".join(text.split())
        vector = self.queries.get(text)
        if vector is None:
            vector = self.encoder.encode([text], query=True)[0]
            make_room(self.queries, 1, MAX_QUERIES)
            self.queries[text] = vector
        return vector

    def save_counts(self) -> None:
        """Write every store's counts to the log, for the next start and for who only reads them."""
        for tenant in list(self.tenants.values()):
            with self.lock:
                counted = tenant.counted
                if counted is None or counted.saved == counted.seq:
                    continue  # a shop at rest costs nothing
                seq, blob = counted.seq, counted.popularity.save()
                shown = counted.popularity.save(people=False)
            self.log.put_snapshot(tenant.name, SNAPSHOT, seq, blob)
            if self.believed_ms is not None:
                self.log.put_snapshot(tenant.name, COUNTS, seq, shown)
            counted.saved, counted.known = seq, max(seq, counted.known)

    def keep_fallback(self, tenant: Tenant, cards: list[Payload]) -> None:
        """Have these payloads at hand, here and elsewhere, for when the store is away."""
        if cards != tenant.fallback:
            tenant.fallback = cards
            self.log.put_snapshot(tenant.name, FALLBACK, self.wall(), orjson.dumps(cards))

    def fallback(self, tenant: Tenant) -> list[Payload]:
        """The payloads that were kept last. Raises Unavailable."""
        if not tenant.fallback:
            saved = self.log.snapshot(tenant.name, FALLBACK)
            tenant.fallback = [] if saved is None else orjson.loads(saved[1])
        return tenant.fallback
