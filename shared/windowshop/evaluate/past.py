"""The shop's past, told to it again: what is logged and folded when, on a clock that is moved."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from windowshop.evaluate.protocol import Query, Trial
from windowshop.evaluate.trace import Places, Trace
from windowshop.folding import fold
from windowshop.log import EventRow
from windowshop.records import item_key
from windowshop.shop import Shop
from windowshop.store import Neighbour, Sparse, Store

READ = 1_000
LOGGED = 20_000
"""Events that are logged at once where many have to be."""


class Past:
    """What a shop has been told so far; it only grows, from trial to trial. Users are folded when
    they ask, or when others' histories are read: then all of those whose log grew.

    `shop`: with the items and without any event. It is of no other use from then on.
    """

    def __init__(self, shop: Shop, tenant: str, trace: Trace) -> None:
        self.shop, self.tenant, self.trace = shop, tenant, trace
        self._told = np.zeros(len(trace), np.bool_)
        self._until = 0  # all events before this place are told
        self._whole: Trial | None = None
        self._ms = 0
        self._behind: dict[str, list[EventRow]] = {}
        shop.world.wall = self.now
        shop.world.store = cast(Store, Crowd(shop.world.store, self.fold_all))

    def now(self) -> int:
        """The shop's clock: the time of the query that is being asked."""
        return self._ms

    def text_vectors(self) -> NDArray[np.float32]:
        """Of the trace's items [items, dim]; zeros where there is none."""
        world, names = self.shop.world, self.trace.items
        rows = np.zeros((len(names), world.encoder.dim), np.float32)
        for start in range(0, len(names), READ):
            some = enumerate(names[start : start + READ], start)
            places = {item_key(self.tenant, name): place for place, name in some}
            for key, vector in world.store.vectors(self.tenant, list(places)).items():
                rows[places[key]] = vector
        return rows

    def advance(self, trial: Trial, query: Query) -> None:
        """Everything that a query of the trial may know, and its time."""
        trace = self.trace
        self._ms = query.time
        if trial.live:
            until = max(int(np.searchsorted(trace.time, query.time)), self._until)
            places: Places = np.arange(self._until, until)
            self._until = until
        elif trial is not self._whole:
            places = np.flatnonzero(trial.known)
            self._whole = trial
        else:
            places = np.arange(0)
        if len(places):
            self._log(places[~self._told[places]])
            self._told[places] = True
        name = trace.users[query.user]
        if name in self._behind:
            self._fold([name])

    def fold_all(self) -> None:
        """Bring every profile up to the log."""
        if self._behind:
            self._fold(list(self._behind))

    def _log(self, places: Places) -> None:
        trace = self.trace
        if len(places) > LOGGED:  # a log is written fastest user by user
            places = places[np.argsort(trace.user[places], kind="stable")]
        rows: list[EventRow] = []
        for start in range(0, len(places), LOGGED):
            rows = list(trace.rows(self.tenant, places[start : start + LOGGED].tolist()))
            recorded = self.shop.log_rows(self.tenant, rows, self._ms)
            for user, fresh in recorded.fresh.items():
                held = self._behind.setdefault(user, [])
                if len(places) <= LOGGED:  # else they are folded from the log
                    held += fresh

    def _fold(self, users: Sequence[str]) -> None:
        fresh = {user: self._behind.pop(user) for user in users}
        fold(self.shop.world, self.tenant, users, fresh)


class Crowd:
    """A store whose users are up to date whenever one user's request reads the others: through
    `neighbours`, the only way to do so.
    """

    def __init__(self, store: Store, catch_up: Callable[[], None]) -> None:
        self._store, self._catch_up = store, catch_up

    def neighbours(
        self, tenant: str, query: Sparse, limit: int, exclude: Sequence[str] = ()
    ) -> list[Neighbour]:
        self._catch_up()
        return self._store.neighbours(tenant, query, limit, exclude)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
