"""What a learned ranker is told of each candidate: one row of numbers, computed for all at once.

A model names the features that it was trained with, so their order here may change; what a name
means may not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop import space
from windowshop.ask import Ask
from windowshop.kinds import PRICE, row_of
from windowshop.numbering import among, distinct
from windowshop.popularity import HALF_LIVES
from windowshop.profile import Events
from windowshop.rank import Floats, Keys, Source
from windowshop.world import Tenant, World

SIGNALS = ("habit", "like_minded", "intent", "meaning", "popular", "trend", "learned")
OWN_HALF_LIVES = (7.0, 30.0, 90.0)
DAY_MS = 86_400_000
NEVER = 1e4
"""Days since what never happened, and the rank of what a source did not propose."""
READ_CARDS = 200
"""The shopper's newest items whose category and brand say what they are after."""

Doubles = NDArray[np.float64]


def features(ask: Ask, sources: Sequence[Source], keys: Keys) -> tuple[tuple[str, ...], Floats]:
    """Names [f] and rows [n, f] for the candidates `keys` [n], distinct and ascending."""
    columns: dict[str, Doubles] = {}
    _of_sources(columns, sources, keys)
    users = _of_popularity(columns, ask, keys)
    own = _own(ask)
    _of_habit(columns, own, keys, ask.now)
    _of_crowd(columns, ask, own, keys, users)
    _of_cards(columns, ask, own, keys)
    _of_space(columns, ask, own, keys)
    _of_user(columns, own, len(keys), ask.now)
    rows = np.empty((len(keys), len(columns)), np.float32)
    for at, column in enumerate(columns.values()):
        rows[:, at] = column
    return tuple(columns), rows


def _of_sources(columns: dict[str, Doubles], sources: Sequence[Source], keys: Keys) -> None:
    for signal in SIGNALS:
        scores, ranks = np.zeros(len(keys)), np.full(len(keys), NEVER)
        for source in sources:
            if source.signal != signal or not len(source.keys):
                continue
            at = np.searchsorted(keys, source.keys)
            here = (at < len(keys)) & (keys[np.minimum(at, len(keys) - 1)] == source.keys)
            np.maximum.at(scores, at[here], source.scores[here])
            order = np.empty(len(source.keys))
            order[np.argsort(-source.scores, kind="stable")] = np.arange(len(source.keys))
            np.minimum.at(ranks, at[here], order[here])
        columns[f"{signal}_score"] = scores
        columns[f"{signal}_share"] = scores / max(float(scores.max(initial=0)), 1e-12)
        columns[f"{signal}_rank"] = ranks


def _of_popularity(columns: dict[str, Doubles], ask: Ask, keys: Keys) -> Doubles:
    """Returns how many users have each [n]."""
    taken, users = ask.tenant.popularity.counts(keys, ask.now)
    told = np.log1p(np.maximum(taken, 0) * 1e3)
    ranks = np.empty_like(told)
    order = np.argsort(-taken, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(len(keys), dtype=np.float64)[None], axis=1)
    for row, half_life in enumerate(HALF_LIVES):
        columns[f"taken_{half_life:g}"] = told[row]
        columns[f"taken_{half_life:g}_rank"] = ranks[row]
    columns["users"] = np.log1p(users)
    columns["users_share"] = users / max(ask.tenant.popularity.population, 1)
    columns["taken_per_user"] = taken[-1] / np.maximum(users, 1)
    columns["rise"] = told[2] - told[4]
    return users


def _own(ask: Ask) -> Events:
    """The shopper's positive events, oldest first."""
    events = ask.profile.events
    found: Events = events[(ask.world.weights.weigh(events) > 0) & (events["item"] != 0)]
    return found


def _of_habit(columns: dict[str, Doubles], own: Events, keys: Keys, now: int) -> None:
    held, place, counts = np.unique(own["item"], return_inverse=True, return_counts=True)
    at = np.searchsorted(held, keys)
    mine = np.zeros(len(keys), bool)
    if len(held):
        at = np.minimum(at, len(held) - 1)
        mine = held[at] == keys
    days = np.maximum((now - own["time"]) / DAY_MS, 0.0)

    def spread(values: NDArray[Any], default: float = 0.0) -> Doubles:
        found = np.full(len(keys), default)
        found[mine] = values[at[mine]]
        return found

    for half_life in OWN_HALF_LIVES:
        decayed = np.bincount(place, np.exp2(-days / half_life), minlength=len(held))
        columns[f"own_{half_life:g}"] = spread(decayed)
    last, first = np.full(len(held), NEVER), np.zeros(len(held))
    np.minimum.at(last, place, days)
    np.maximum.at(first, place, days)
    gap = (first - last) / np.maximum(counts - 1, 1)
    moments, moment = np.unique(own["time"], return_inverse=True)
    pairs = np.unique(place * max(len(moments), 1) + moment) // max(len(moments), 1)
    baskets = np.bincount(pairs, minlength=len(held)) / max(len(moments), 1)
    columns["own_count"] = spread(counts)
    columns["own_days"] = spread(last, NEVER)
    columns["own_gap"] = spread(np.where(counts > 1, gap, NEVER), NEVER)
    columns["own_due"] = spread(
        np.where((counts > 1) & (gap > 0), last / np.maximum(gap, 1e-9), -1.0), -1.0
    )
    columns["own_baskets"] = spread(baskets)
    newest = own["item"][own["time"] == own["time"][-1]] if len(own) else own["item"]
    columns["own_last_basket"] = among(keys, distinct(newest)).astype(float)


def _of_crowd(
    columns: dict[str, Doubles], ask: Ask, own: Events, keys: Keys, users: Doubles
) -> None:
    """What the neighbours' events say, part by part: their number, the strongest, their likeness
    whatever the order and the age, their nearness to what is shared, and to the newest of it.
    """
    others = ask.others
    rows = np.minimum(np.searchsorted(keys, others.distinct), max(len(keys) - 1, 0))
    rows[keys[rows] != others.distinct] = -1
    at = rows[others.place]
    here = at >= 0
    at, weights, alike, near = at[here], others.weights[here], others.alike[here], others.near[here]
    lately = others.lately[here]
    via, last = others.via[here], own["item"][-1] if len(own) else 0
    after = (via == last) & (via != 0)
    columns["crowd_events"] = np.bincount(at, minlength=len(keys)).astype(float)
    neighbours = int(others.whose.max(initial=0)) + 1
    people = distinct(at * neighbours + others.whose[here]) // neighbours
    columns["crowd_people"] = np.bincount(people, minlength=len(keys)).astype(float)
    best = np.zeros(len(keys))
    np.maximum.at(best, at, weights)
    columns["crowd_best"] = best / max(float(best.max(initial=0)), 1e-300)
    nearest = np.zeros(len(keys))
    np.maximum.at(nearest, at, near)
    columns["crowd_nearest"] = nearest
    for name, values in (
        ("alike", alike),
        ("lately", alike * lately),
        ("near", alike * near),
        ("after", np.where(after, alike * near, 0.0)),
    ):
        sums: Doubles = np.bincount(at, values, len(keys)).astype(float)
        columns[f"crowd_{name}"] = sums
        columns[f"crowd_{name}_share"] = sums / max(float(sums.max(initial=0)), 1e-300)
    lift = columns["crowd_near"] / np.sqrt(users + 4.0)
    columns["crowd_lift"] = lift / max(float(lift.max(initial=0)), 1e-300)


def _of_cards(columns: dict[str, Doubles], ask: Ask, own: Events, keys: Keys) -> None:
    """What the shopper took of the candidate's category and brand: its share, how long ago the
    last was, how many different things it was; and its price against theirs.
    """
    newest = own[::-1][:READ_CARDS]
    wanted, place = np.unique(np.concatenate((keys, newest["item"])), return_inverse=True)
    kinds = _kinds(ask.world, ask.tenant, wanted)
    theirs, mine = kinds[place[: len(keys)]], kinds[place[len(keys) :]]
    things = np.zeros(len(newest), np.bool_)
    things[np.unique(newest["item"], return_index=True)[1]] = True
    days = np.maximum((ask.now - newest["time"]) / DAY_MS, 0.0)
    for column, name in enumerate(("type", "aisle", "brand")):
        values, last, which, counts = np.unique(
            mine[:, column], return_index=True, return_inverse=True, return_counts=True
        )
        shares, ago = np.zeros(len(keys)), np.full(len(keys), NEVER)
        variety = np.zeros(len(keys))
        if len(values):
            at = np.minimum(np.searchsorted(values, theirs[:, column]), len(values) - 1)
            here = (values[at] == theirs[:, column]) & (theirs[:, column] != 0)
            at = at[here]
            shares[here] = counts[at] / len(newest)
            ago[here] = days[last[at]]
            variety[here] = np.bincount(which, things, len(values))[at] / counts[at]
        columns[f"{name}_share"] = shares
        columns[f"{name}_days"] = ago
        columns[f"{name}_variety"] = variety
    paid = mine[:, PRICE][mine[:, PRICE] > 0]
    priced = theirs[:, PRICE] > 0
    dear = np.zeros(len(keys))
    if len(paid):
        dear[priced] = np.log(theirs[priced, PRICE] / np.median(paid))
    columns["dear"] = dear


def _kinds(world: World, tenant: Tenant, keys: Keys) -> Doubles:
    """What is compared of items [n], as `kinds` has it."""
    rows, held = tenant.kinds.find(keys)
    missing = np.flatnonzero(~held)
    if len(missing):
        wanted = keys[missing].tolist()
        cards = world.cards(tenant, wanted)
        rows[missing] = [row_of(cards.get(key)) for key in wanted]
        known = missing[[key in cards for key in wanted]]
        tenant.kinds.put(keys[known], rows[known])
    return rows


def _of_space(columns: dict[str, Doubles], ask: Ask, own: Events, keys: Keys) -> None:
    """How near a candidate lies, in the learned space, to the shopper (`gap`: against the nearest
    candidate) and to what they took last; zeros without a space.
    """
    near, last, rank = np.zeros(len(keys)), np.zeros(len(keys)), np.full(len(keys), NEVER)
    if ask.learned is not None and ask.wants("learned"):
        wanted = [*keys.tolist(), *own["item"][-1:].tolist()]
        places = space.matrix(ask.world, ask.tenant, wanted)
        near = (places[: len(keys)] @ ask.learned.vector).astype(float)
        last = (places[: len(keys)] @ places[-1]).astype(float) if len(own) else last
        rank[np.argsort(-near, kind="stable")] = np.arange(len(keys))
    columns["learned_near"] = near
    columns["learned_gap"] = near - near.max(initial=-1)
    columns["learned_place"] = rank
    columns["learned_last"] = last


def _of_user(columns: dict[str, Doubles], own: Events, count: int, now: int) -> None:
    baskets = len(np.unique(own["time"]))
    values = {
        "user_events": np.log1p(len(own)),
        "user_items": np.log1p(len(np.unique(own["item"]))),
        "user_baskets": np.log1p(baskets),
        "user_basket": len(own) / max(baskets, 1),
        "user_idle": (now - int(own["time"][-1])) / DAY_MS if len(own) else NEVER,
    }
    for name, value in values.items():
        columns[name] = np.full(count, float(value))
