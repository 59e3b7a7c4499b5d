"""What a shop would know that learns of events late: by the last midnight, or never since the test
began. Users' profiles and everybody's counts, each as of an earlier moment than a query's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from windowshop import profile as profiles
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import Query, Trial
from windowshop.evaluate.trace import Places, Trace
from windowshop.folding import Known, learned_of, tastes_of
from windowshop.popularity import Popularity
from windowshop.profile import EVENT, IMPRESSION, Events, Profile, SearchEvent
from windowshop.records import item_key, user_key
from windowshop.slates import Held
from windowshop.world import Counted

Freshness = Literal["live", "daily", "frozen"]
"""Everything before the query; before the last midnight (UTC) before it; before the test."""

DAY_MS = 86_400_000
HELD = 20_000
"""Users of whom the profile as of the beginning is remembered."""


def known_until(freshness: Freshness, time_ms: int, begin_ms: int) -> int:
    """Events before this moment are known at `time_ms`, in a test that began at `begin_ms`."""
    if freshness == "daily":
        return time_ms // DAY_MS * DAY_MS
    return min(begin_ms, time_ms) if freshness == "frozen" else time_ms


class Late:
    """A shop's past as it was known too late, for a trial that is live."""

    def __init__(self, past: Past, trial: Trial) -> None:
        self._past, self._trial = past, trial
        self._columns = events_of(trial.trace, past.tenant)
        self._counts: dict[Freshness, Counts] = {}
        self._frozen: dict[int, Known] = {}

    def held(self, query: Query, freshness: Freshness) -> Held | None:
        """The profile of the query's user for a slate; None for the stored one."""
        if freshness == "live":
            return None
        until = known_until(freshness, query.time, self._trial.begin)
        known = self._frozen.get(query.user) if freshness == "frozen" else None
        if known is None:
            known = self._known(query.user, until)
            if freshness == "frozen" and len(self._frozen) < HELD:
                self._frozen[query.user] = known
        return {self._trial.trace.users[query.user]: known}

    def since(self, query: Query, freshness: Freshness) -> list[str]:
        """Ids of the items that the query's user had events with, after what is known."""
        trace = self._trial.trace
        until = known_until(freshness, query.time, self._trial.begin)
        places = trace.of(query.user)[: query.before]
        places = places[np.searchsorted(trace.time[places], until) :]
        items = np.unique(trace.item[places[trace.counts[places]]])
        return [trace.items[item] for item in items.tolist()]

    @contextmanager
    def counting(self, query: Query, freshness: Freshness) -> Iterator[None]:
        """While the shop's counts are those of then."""
        if freshness == "live":
            yield
            return
        counts = self._counts.get(freshness)
        if counts is None:
            counts = self._counts[freshness] = Counts(self._past, self._trial.trace, self._columns)
        until = known_until(freshness, query.time, self._trial.begin)
        state = self._past.shop.world.tenant(self._past.tenant)
        live = state.counts
        state.counted = Counted(counts.until(until), live.seq)
        try:
            yield
        finally:
            state.counted = live

    def _known(self, user: int, until: int) -> Known:
        """As `folding.read_profile` would have found the user then."""
        trace, world, tenant = self._trial.trace, self._past.shop.world, self._past.tenant
        places = trace.of(user)
        places = places[: np.searchsorted(trace.time[places], until)]
        events = self._columns[places]
        profile = profiles.fold_events(Profile.EMPTY, events, searches_at(trace, places))
        point = user_key(tenant, trace.users[user])
        state = world.tenant(tenant)
        tastes, learned = tastes_of(world, state, profile), learned_of(world, state, profile)
        return Known(profile, tastes, (point,), learned)


class Counts:
    """Everybody's counts as of a moment that only moves on."""

    def __init__(self, past: Past, trace: Trace, events: Events) -> None:
        self._weights, self._trace, self._events = past.shop.world.weights, trace, events
        self._popularity, self._place = Popularity(), 0

    def until(self, time_ms: int) -> Popularity:
        """What was counted of the events before then."""
        end = int(np.searchsorted(self._trace.time, time_ms))
        if end > self._place:
            events = self._events[self._place : end]
            users = self._trace.user[self._place : end].astype(np.uint64) + np.uint64(1)
            counted = events["kind"] != IMPRESSION
            events = events[counted]
            gains = self._weights.gain(events)
            self._popularity.add(events["item"], events["time"], gains, users=users[counted])
            self._place = end
        return self._popularity


def events_of(trace: Trace, tenant: str) -> Events:
    """All events of a trace as profiles hold them [n]."""
    keys = np.array([*(item_key(tenant, name) for name in trace.items), 0], np.uint64)
    events: NDArray[np.void] = np.empty(len(trace), EVENT)
    events["item"] = keys[trace.item]  # -1, no item, is the last: 0
    events["event"], events["time"], events["row"] = trace.key, trace.time, trace.row
    events["kind"], events["value"] = trace.kind, trace.value
    return events


def searches_at(trace: Trace, places: Places) -> list[SearchEvent]:
    """The searches among the events at these places."""
    if not trace.searches:
        return []
    return [
        SearchEvent(int(trace.time[at]), int(trace.row[at]), int(trace.key[at]), text)
        for at in places.tolist()
        if (text := trace.searches.get(at)) is not None
    ]
