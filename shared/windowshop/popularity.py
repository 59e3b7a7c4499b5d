"""What everybody takes: decayed counts of one store's items at several half-lives, live in memory.

A count is kept as of a fixed moment (`base`), where every event weighs 2 ** ((time - base) / half
life): adding is one addition, in any order, and reading scales all counts of a half-life alike. So
time alone never changes an order, only events do, and the best few are kept sorted.
"""

import io
import threading
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.blend import COUNTED
from windowshop.errors import InvalidInput, Misconfigured
from windowshop.numbering import Index, Members, distinct

Keys = NDArray[np.uint64]
Scores = NDArray[np.float64]

HALF_LIVES = COUNTED  # days
DAY_MS = 86_400_000
BEST = 2_000  # how many are kept sorted; asking for more than that sorts all
MAX_EXPONENT = 500.0  # far below 1023, where doubles end
TINY = 1e-290  # below it arithmetic gets slow and says nothing
FAST, SLOW = 2.0, 21.0  # half-lives that a trend compares
DOUBT = 4.0  # events that a trend is smoothed with
RISE = 1.0  # standard deviations from which on it is one: on a new item, three purchases of late


class Popularity:
    """Decayed counts by item key. Thread-safe. Weights are in purchases: a purchase adds 1."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index = Index()
        self._sums = np.zeros((len(HALF_LIVES), 1024))
        self._base: int | None = None  # ms; as of when the sums are
        self._users = np.zeros(1024, np.int64)
        self._pairs = Members()
        self._people = Members()
        self._population: int | None = None
        self._best: list[NDArray[np.intp] | None] = [None] * len(HALF_LIVES)
        self._touched: list[list[NDArray[np.intp]]] = [[] for _ in HALF_LIVES]

    def __len__(self) -> int:
        return len(self._index)

    @property
    def population(self) -> int:
        """How many users have any of the items."""
        return len(self._people) if self._population is None else self._population

    # --- writing ------------------------------------------------------------------------------

    def add(
        self,
        keys: Keys,
        times_ms: NDArray[np.int64],
        weights: NDArray[np.floating[Any]],
        users: Keys | None = None,
    ) -> None:
        """Count events [n]: item keys, times, weights >= 0, and a number for each one's user.

        Rows of key 0 (no item) or weight 0 count for nothing.
        """
        rows = (keys != 0) & (weights > 0)
        if not rows.any():
            return
        keys, times, gains = keys[rows], times_ms[rows], weights[rows]
        with self._lock:
            slots = self._place(keys)
            self._accumulate(slots, times, gains.astype(np.float64))
            if users is not None:
                self._people.add(users[rows])
                new = self._pairs.add(_pairs(keys, users[rows]))
                np.add.at(self._users, slots[new], 1)
            self._note(slots)

    def remove(self, keys: Keys) -> None:
        """Items that are gone: they are counted no more."""
        with self._lock:
            slots = self._index.find(keys)
            slots = slots[slots >= 0]
            self._sums[:, slots] = 0
            self._users[slots] = 0
            self._forget_order()

    # --- reading ------------------------------------------------------------------------------

    def top(self, n: int, half_life: float, now_ms: int) -> tuple[Keys, Scores]:
        """The n most popular keys and their counts as of now, best first; ties by key."""
        row = _row(half_life)
        with self._lock:
            slots = self._ranking(row, n)[:n]
            return self._index.keys[slots], self._counts(row, slots, now_ms)

    def scores(self, keys: Keys, half_life: float, now_ms: int) -> Scores:
        """The counts [n] of the given items as of now; 0 for those nobody took."""
        row = _row(half_life)
        with self._lock:
            slots = self._index.find(keys)
            return np.where(slots < 0, 0.0, self._counts(row, slots, now_ms))

    def counts(self, keys: Keys, now_ms: int) -> tuple[Scores, Scores]:
        """The counts [len(HALF_LIVES), n] of the given items at every half-life, and how many users
        have each [n].
        """
        with self._lock:
            slots = self._index.find(keys)
            scales = np.array([[self._scale(row, now_ms)] for row in range(len(HALF_LIVES))])
            taken, users = self._sums[:, slots] * scales, self._users[slots].astype(np.float64)
        taken[:, slots < 0], users[slots < 0] = 0, 0
        return taken, users

    def trend(self, n: int, now_ms: int) -> tuple[Keys, Scores]:
        """Up to n keys that are taken more than they used to be, strongest first.

        How far the fast count lies above what the slow one leads one to expect, in its standard
        deviations; smoothed, so that a single event makes no trend.
        """
        fast, slow = _row(FAST), _row(SLOW)
        with self._lock:
            slots = self._ranking(fast, BEST)
            lately = self._counts(fast, slots, now_ms)
            expected = self._counts(slow, slots, now_ms) * (FAST / SLOW)
            rise = (lately - expected) / np.sqrt(expected + DOUBT)
            keys = self._index.keys[slots]
            order = np.lexsort((keys, -rise))[:n]
            order = order[rise[order] >= RISE]
            return keys[order], rise[order]

    def users(self, keys: Keys) -> Scores:
        """How many users have each item [n]."""
        with self._lock:
            slots = self._index.find(keys)
            return np.where(slots < 0, 0, self._users[slots]).astype(np.float64)

    def idf(self, keys: Keys) -> Scores:
        """What sharing an item [n] says, from this store's users alone: Qdrant's own formula."""
        have = self.users(keys)
        return np.log1p((self.population - have + 0.5) / (have + 0.5))

    # --- storing ------------------------------------------------------------------------------

    def save(self, *, people: bool = True) -> bytes:
        """As the bytes of an .npz; `load` reads them. Without `people`, who has what, it is small,
        says nothing of anybody, and is good for reading alone.
        """
        with self._lock:
            size = len(self._index)
            body = io.BytesIO()
            whose: dict[str, Any] = {}
            if people:
                whose = {"pairs": self._pairs.all(), "people": self._people.all()}
            np.savez(
                body,
                half_lives=np.array(HALF_LIVES),
                keys=self._index.keys[:size],
                sums=self._sums[:, :size],
                base=np.array(self._base or 0),
                users=self._users[:size],
                population=np.array(self.population),
                **whose,
            )
            return body.getvalue()

    @classmethod
    def load(cls, saved: bytes) -> "Popularity":
        """Raises InvalidInput for what `save` of this version did not write."""
        try:
            with np.load(io.BytesIO(saved), allow_pickle=False) as parts:
                held = {name: parts[name] for name in parts.files}
            self = cls()
            self._index = Index(held["keys"].astype(np.uint64))
            self._base = int(held["base"]) if len(held["keys"]) else None
            if "people" in held:
                self._pairs, self._people = Members(held["pairs"]), Members(held["people"])
            else:
                self._population = int(held["population"])
            size = len(self._index)
            self._sums = np.zeros((len(HALF_LIVES), size + 1024))
            self._sums[:, :size] = held["sums"]
            self._users = np.zeros(size + 1024, np.int64)
            self._users[:size] = held["users"]
            whole = held["half_lives"].tolist() == list(HALF_LIVES)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
            whole = False
        if not whole:
            raise InvalidInput("the saved counts cannot be read: count the events of the log again")
        return self

    # --- inside (the lock is held) ------------------------------------------------------------

    def _place(self, keys: Keys) -> NDArray[np.intp]:
        slots = self._index.place(keys)
        room = self._sums.shape[1]
        if len(self._index) > room:
            more = max(len(self._index), 2 * room) - room
            self._sums = np.pad(self._sums, ((0, 0), (0, more)))
            self._users = np.pad(self._users, (0, more))
        return slots

    def _accumulate(self, slots: NDArray[np.intp], times: NDArray[np.int64], gains: Scores) -> None:
        newest = int(times.max())
        base = newest if self._base is None else self._base
        if (newest - base) / DAY_MS / HALF_LIVES[0] > MAX_EXPONENT:
            age = (newest - base) / DAY_MS
            self._sums *= np.exp2(-age / np.array(HALF_LIVES))[:, None]
            self._sums[self._sums < TINY] = 0
            base = newest
        self._base = base
        days = (times - base) / DAY_MS
        for row, half_life in enumerate(HALF_LIVES):
            np.add.at(self._sums[row], slots, gains * np.exp2(days / half_life))

    def _scale(self, row: int, now_ms: int) -> float:
        """What turns a sum as of `base` into a count as of now."""
        half_lives = ((self._base or 0) - now_ms) / DAY_MS / HALF_LIVES[row]
        # Beyond that counts would all be 0; scaled less they still tell one item from another.
        return float(2.0 ** np.clip(half_lives, -MAX_EXPONENT, MAX_EXPONENT))

    def _counts(self, row: int, slots: NDArray[np.intp], now_ms: int) -> Scores:
        counts: Scores = self._sums[row, slots] * self._scale(row, now_ms)
        return counts

    def _ranking(self, row: int, n: int) -> NDArray[np.intp]:
        """Slots by falling count, ties by key: at least the best n, or all that have any."""
        best, touched = self._best[row], self._touched[row]
        if best is None or BEST <= len(best) < n:
            best = self._sorted(row, self._foremost(row, max(n, BEST)))
        elif touched:
            # Counts only grow: what enters the best, or moves in them, was touched.
            best = self._moved(row, best, np.concatenate(touched))
        self._best[row], self._touched[row] = best[: max(n, BEST)], []
        return best

    def _foremost(self, row: int, n: int) -> NDArray[np.intp]:
        """Slots, in no order, that hold the best n (ties of the last one too)."""
        values = self._sums[row, : len(self._index)]
        some = np.flatnonzero(values > 0)
        if len(some) > n:
            least = np.partition(values[some], len(some) - n)[len(some) - n]
            some = some[values[some] >= least]
        return some

    def _moved(
        self, row: int, best: NDArray[np.intp], touched: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """`best` with the touched slots at their places."""
        values = self._sums[row]
        if len(best) >= BEST:
            touched = touched[values[touched] >= values[best[-1]]]
        if not len(touched):
            return best
        moved = self._sorted(row, distinct(touched))
        stay = best[~np.isin(best, moved)]
        ours, theirs = -values[stay], -values[moved]
        places = np.searchsorted(ours, theirs)
        if (places != np.searchsorted(ours, theirs, "right")).any():  # ties: keys decide
            return self._sorted(row, np.concatenate((stay, moved)))
        return np.insert(stay, places, moved)

    def _sorted(self, row: int, slots: NDArray[np.intp]) -> NDArray[np.intp]:
        values = self._sums[row, slots]
        order = np.lexsort((self._index.keys[slots], -values))
        ranked: NDArray[np.intp] = slots[order[values[order] > 0]]
        return ranked

    def _note(self, slots: NDArray[np.intp]) -> None:
        """Remember what was touched since the best were sorted; too much is not worth it."""
        for row, best in enumerate(self._best):
            if best is not None:
                self._touched[row].append(slots)
                if len(self._touched[row]) > BEST or len(slots) > BEST:
                    self._best[row], self._touched[row] = None, []

    def _forget_order(self) -> None:
        self._best = [None] * len(HALF_LIVES)
        self._touched = [[] for _ in HALF_LIVES]


def _row(half_life: float) -> int:
    try:
        return HALF_LIVES.index(half_life)
    except ValueError:
        known = ", ".join(f"{days:g}" for days in HALF_LIVES)
        raise Misconfigured(
            f"no counts with a half-life of {half_life} days: take {known}"
        ) from None


def _pairs(keys: Keys, users: Keys) -> Keys:
    """One number for (user, item): item keys are hashes, so a scrambled user number will do."""
    mixed = users * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    return keys ^ (mixed * np.uint64(0xBF58476D1CE4E5B9))
