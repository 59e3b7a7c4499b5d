"""A trace: everything that happened in one store, as columns in the order of time. Pure."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import orjson
from numpy.typing import NDArray

from windowshop.profile import IMPRESSION, SEARCH, EventRow, of_kinds, query_of
from windowshop.records import item_key

Places = NDArray[np.intp]
"""Places in a trace, or numbers of users or items."""

_ALWAYS, _RATED, _ELSE = of_kinds("purchase", "like"), of_kinds("rate"), of_kinds("view", "click")
LIKED_STARS = 4.0


@dataclass(frozen=True, eq=False)
class Trace:
    """Events [n] by (time, user, row, event key). `users`, `items`: names by number, both sorted;
    `items` are those of the catalogue and those that only events name (`listed` tells).
    """

    users: Sequence[str]  # records.user_name
    items: Sequence[str]
    listed: NDArray[np.bool_]  # [items]
    user: NDArray[np.int32]
    item: NDArray[np.int32]  # -1 for none
    time: NDArray[np.int64]  # ms since the epoch
    row: NDArray[np.uint32]
    key: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    value: NDArray[np.float32]
    searches: Mapping[int, str]  # place -> what was searched for

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Purchases, likes and ratings of four stars and more; where there are none of these,
        views and clicks.
        """
        named = self.item >= 0
        wanted = _ALWAYS[self.kind] | (_RATED[self.kind] & (self.value >= LIKED_STARS))
        found = named & wanted
        return found if found.any() else named & _ELSE[self.kind]

    @cached_property
    def counts(self) -> NDArray[np.bool_]:
        """Events that make their item a seen one: on an item, and no impression."""
        found: NDArray[np.bool_] = (self.item >= 0) & (self.kind != IMPRESSION)
        return found

    @cached_property
    def timed(self) -> bool:
        """Whether times say anything: data without any has one and the same for all."""
        return len(self) > 0 and bool(self.time[0] != self.time[-1])

    @cached_property
    def _by_user(self) -> tuple[Places, Places]:
        order = np.argsort(self.user, kind="stable")
        return order, np.searchsorted(self.user[order], np.arange(len(self.users) + 1))

    def of(self, user: int) -> Places:
        """The places of one user's events, in order."""
        order, starts = self._by_user
        found: Places = order[starts[user] : starts[user + 1]]
        return found

    def before(self, time_ms: int) -> "Trace":
        """The events before a moment; users and items keep their numbers."""
        end = int(np.searchsorted(self.time, time_ms))
        fields = ("user", "item", "time", "row", "key", "kind", "value")
        some = {name: getattr(self, name)[:end] for name in fields}
        searches = {at: text for at, text in self.searches.items() if at < end}
        return replace(self, **some, searches=searches)

    def rows(self, store: str, places: Iterable[int]) -> Iterator[EventRow]:
        """These events as a log of `store` takes them."""
        keys: dict[int, int] = {}
        for at in places:
            item, key, query = int(self.item[at]), int(self.key[at]), self.searches.get(at)
            if item >= 0 and item not in keys:
                keys[item] = item_key(store, self.items[item])
            yield EventRow(
                user=self.users[self.user[at]],
                event_id=f"{key:016x}",
                event_key=key,
                kind=int(self.kind[at]),
                time_ms=int(self.time[at]),
                row=int(self.row[at]),
                item_id=None if item < 0 else self.items[item],
                item_key=0 if item < 0 else keys[item],
                value=float(self.value[at]),
                rest=None if query is None else orjson.dumps({"query": query}),
            )


@dataclass(slots=True)
class Draft:
    """A trace in the making: add rows in any order, then `finish`."""

    users: dict[str, int] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    searches: dict[int, str] = field(default_factory=dict)
    user: "array[int]" = field(default_factory=lambda: array("i"))
    item: "array[int]" = field(default_factory=lambda: array("i"))
    time: "array[int]" = field(default_factory=lambda: array("q"))
    row: "array[int]" = field(default_factory=lambda: array("I"))
    key: "array[int]" = field(default_factory=lambda: array("q"))
    kind: "array[int]" = field(default_factory=lambda: array("B"))
    value: "array[float]" = field(default_factory=lambda: array("f"))

    def add(self, event: EventRow) -> None:
        if event.kind == SEARCH:
            self.searches[len(self.user)] = query_of(event.rest)
        item = -1
        if event.item_id is not None:
            item = self.items.setdefault(event.item_id, len(self.items))
        self.user.append(self.users.setdefault(event.user, len(self.users)))
        self.item.append(item)
        self.time.append(event.time_ms)
        self.row.append(event.row)
        self.key.append(event.event_key)
        self.kind.append(event.kind)
        self.value.append(event.value)

    def finish(self, catalogue: Iterable[str], owners: Mapping[str, str] | None = None) -> Trace:
        """The trace. `owners`: guest -> the user whom the guest turned out to be."""
        owners = owners or {}
        users = sorted({owners.get(name, name) for name in self.users})
        listed = set(catalogue)
        items = sorted(listed | self.items.keys())
        user = _renumbered(self.user, [owners.get(name, name) for name in self.users], users)
        item = _renumbered(self.item, list(self.items), items)
        time, row = np.array(self.time, np.int64), np.array(self.row, np.uint32)
        key = np.array(self.key, np.int64).view(np.uint64)
        order = np.lexsort((key, row, user, time))
        order = order[_first_of_each(user[order], key[order])]
        places = {int(old): new for new, old in enumerate(order)} if self.searches else {}
        return Trace(
            users=users,
            items=items,
            listed=np.fromiter((name in listed for name in items), np.bool_, len(items)),
            user=user[order],
            item=item[order],
            time=time[order],
            row=row[order],
            key=key[order],
            kind=np.array(self.kind, np.uint8)[order],
            value=np.array(self.value, np.float32)[order],
            searches={places[at]: text for at, text in self.searches.items() if at in places},
        )


def _renumbered(
    numbers: "array[int]", names: Sequence[str], ranked: Sequence[str]
) -> NDArray[np.int32]:
    """Numbers of `names` as numbers of the same names in `ranked`; -1 stays."""
    places = {name: place for place, name in enumerate(ranked)}
    table = np.array([*(places[name] for name in names), -1], np.int32)
    moved: NDArray[np.int32] = table[np.array(numbers, np.int32)]
    return moved


def _first_of_each(user: NDArray[np.int32], key: NDArray[np.uint64]) -> Places:
    """Places of the events, each once: the same id of the same user is the same event."""
    order = np.lexsort((key, user))
    again = (user[order][1:] == user[order][:-1]) & (key[order][1:] == key[order][:-1])
    kept = np.ones(len(user), np.bool_)
    kept[order[1:][again]] = False
    return np.flatnonzero(kept)
