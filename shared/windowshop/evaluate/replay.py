"""The product itself, asked as it would have been: its log, profiles, counts and slates, in a home
that is thrown away, on a clock that is moved from query to query.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from windowshop.errors import Unavailable
from windowshop.evaluate.contest import Entry
from windowshop.evaluate.metrics import TOP, Lists
from windowshop.evaluate.protocol import Query, Task, Trial
from windowshop.evaluate.trace import Places
from windowshop.folding import fold
from windowshop.log import EventRow
from windowshop.records import Request
from windowshop.shop import Shop
from windowshop.store import Neighbour, Sparse, Store

LOGGED = 20_000
"""Events that are logged at once where many have to be."""

Advance = Callable[[int], None]


def replay(shop: Shop, tenant: str, trial: Trial, advance: Advance = lambda _: None) -> Entry:
    """The product's lists for a trial. `shop`: with the items and without any event; it is moved
    through the trial's time and of no use then. Raises Unavailable where a slate is not whole.
    """
    past = _Past(shop, tenant, trial)
    shop.world.wall = past.now
    shop.world.store = cast(Store, _Crowd(shop.world.store, past.fold_all))
    numbers = {name: number for number, name in enumerate(trial.trace.items)}
    count = len(trial.queries)
    lists: dict[Task, Lists] = {task: np.full((count, TOP), -1, np.intp) for task in trial.tasks}
    spent = 0.0
    for row, query in enumerate(trial.queries):
        past.advance(query)
        for task, found in lists.items():
            if task == "new" and not len(query.new):
                continue
            begin = time.process_time()
            names = _ask(shop, tenant, trial.trace.users[query.user], task)
            spent += time.process_time() - begin
            found[row, : len(names)] = [numbers[name] for name in names]
        advance(1)
    asked = sum(int((found[:, 0] >= 0).sum()) for found in lists.values())
    return Entry(lists, {}, spent * 1000 / max(asked, 1))


def _ask(shop: Shop, tenant: str, user: str, task: Task) -> list[str]:
    space, _, name = user.partition(":")
    request = Request(
        scenario="for_you",
        user_id=name if space == "u" else None,
        anonymous_id=name if space == "a" else None,
        limit=TOP,
        seen="drop" if task == "new" else "keep",
        fields=[],
    )
    slate = shop.recommend(tenant, request)
    if slate.degraded is not None:
        raise Unavailable(f"a slate was not whole: {slate.degraded.detail}")
    return [item.item_id for item in slate.items]


class _Past:
    """What the shop has been told so far. Users are folded when they ask, or when others' histories
    are read: then all of those whose log grew.
    """

    def __init__(self, shop: Shop, tenant: str, trial: Trial) -> None:
        self._shop, self._tenant, self._trial = shop, tenant, trial
        self._logged = 0
        self._ms = 0
        self._behind: dict[str, list[EventRow]] = {}

    def now(self) -> int:
        """The shop's clock: the time of the query that is being asked."""
        return self._ms

    def advance(self, query: Query) -> None:
        """Everything that the query may know, and its time."""
        trace = self._trial.trace
        self._ms = query.time
        if self._trial.live:
            until = int(np.searchsorted(trace.time, query.time))
            places: Places = np.arange(self._logged, until)
        else:
            until = len(trace)
            places = np.flatnonzero(self._trial.known) if not self._logged else np.arange(0)
        self._log(places)
        self._logged = until
        name = trace.users[query.user]
        if name in self._behind:
            self._fold([name])

    def fold_all(self) -> None:
        """Bring every profile up to the log."""
        if self._behind:
            self._fold(list(self._behind))

    def _log(self, places: Places) -> None:
        trace = self._trial.trace
        if len(places) > LOGGED:  # a log is written fastest user by user
            places = places[np.argsort(trace.user[places], kind="stable")]
        rows: list[EventRow] = []
        for start in range(0, len(places), LOGGED):
            rows = list(trace.rows(self._tenant, places[start : start + LOGGED].tolist()))
            recorded = self._shop.log_rows(self._tenant, rows, self._ms)
            for user, fresh in recorded.fresh.items():
                held = self._behind.setdefault(user, [])
                if len(places) <= LOGGED:  # else they are folded from the log
                    held += fresh

    def _fold(self, users: Sequence[str]) -> None:
        fresh = {user: self._behind.pop(user) for user in users}
        fold(self._shop.world, self._tenant, users, fresh)


class _Crowd:
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
