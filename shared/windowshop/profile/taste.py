"""What each kind of event says about a user, and the tastes (directions in the items' space) that
their profile speaks of. Pure: computed on reading, from the profile's events and given vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.errors import Misconfigured
from windowshop.profile.events import SEARCH, Events, Keys, SearchEvent, ages
from windowshop.profile.fold import Profile
from windowshop.records import KIND_CODE, KINDS

Vector = NDArray[np.float32]
Floats = NDArray[np.float32]

NEUTRAL_STARS = 3.0
DWELL_SECONDS = 10.0  # a glance; the weight grows with the logarithm of dwells longer than that
DWELL_CAP = 3.0  # reached after about three minutes: from there on the tab was left open

READ_EVENTS = 200
READ_ITEMS = 50
ALIKE = 0.4  # cosine from which two items speak of the same interest
WORTH = 0.1  # share of all weight that a further interest must hold


# --- weights -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weights:
    """What an event of each kind says about its user's taste. `rate` is the weight of one star
    above three (below counts against), `dwell` that of a logarithmic step in seconds.
    """

    view: float = 1.0
    click: float = 1.5
    add_to_cart: float = 3.0
    remove_from_cart: float = -2.0
    purchase: float = 5.0
    return_: float = -4.0
    like: float = 4.0
    dislike: float = -5.0
    rate: float = 2.0
    search: float = 2.0
    dwell: float = 0.5
    impression: float = 0.0
    _table: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = np.zeros(256, dtype=np.float32)
        for kind in KINDS:
            table[KIND_CODE[kind]] = getattr(self, _FIELD[kind])
        object.__setattr__(self, "_table", table)

    def replaced(self, weights: Mapping[str, float]) -> "Weights":
        """These, with some kinds changed. Raises Misconfigured for what is no kind."""
        for kind in weights:
            if kind not in _FIELD:
                kinds = ", ".join(KINDS)
                raise Misconfigured(f"weights: {kind!r} is no kind of event; these are: {kinds}")
        changed: dict[str, Any] = {_FIELD[kind]: float(w) for kind, w in weights.items()}
        return replace(self, **changed)

    def weigh(self, events: Events) -> Floats:
        """The weight [n] of each record that has the fields `kind` and `value`."""
        kind, value = events["kind"], events["value"]
        weights: Floats = self._table[kind]
        rated, dwelt = kind == KIND_CODE["rate"], kind == KIND_CODE["dwell"]
        if rated.any():
            weights[rated] *= value[rated] - np.float32(NEUTRAL_STARS)
        if dwelt.any():
            steps = np.log1p(value[dwelt] / np.float32(DWELL_SECONDS))
            weights[dwelt] *= np.minimum(steps, np.float32(DWELL_CAP))
        return weights

    def share(self, events: Events) -> Floats:
        """The weights [n] as shares of a purchase's: what an event is worth when counting."""
        return self.weigh(events) / np.float32(max(self.purchase, 1e-6))

    def gain(self, events: Events) -> Floats:
        """As `share`, and nothing below 0: what an event adds to its item's popularity."""
        gained: Floats = np.maximum(self.share(events), np.float32(0))
        return gained


_FIELD: dict[str, str] = {kind: "return_" if kind == "return" else kind for kind in KINDS}
DEFAULT = Weights()


# --- pulls -------------------------------------------------------------------------------------


class Pulls(NamedTuple):
    """What a user's taste rests on [n]: items and searches, newest items first, each once.

    `items`: keys, 0 for a search; `weights`: decayed relative to the newest, below 0 where the
    user turned away; `kinds`: code of the event that weighs most; `queries`: the search, or None.
    """

    items: Keys
    weights: Floats
    kinds: NDArray[np.uint8]
    queries: Sequence[str | None]


def taste_keys(profile: Profile) -> Keys:
    """Keys of the newest distinct items, newest first: those whose vectors `tastes` can use."""
    items = profile.events["item"][-READ_EVENTS:][::-1]
    _, first = np.unique(items, return_index=True)
    keys: Keys = items[np.sort(first)[:READ_ITEMS]]
    return keys


def taste_searches(profile: Profile) -> Sequence[SearchEvent]:
    """The searches whose vectors `tastes` can use."""
    return profile.searches


def pulls(profile: Profile, weights: Weights = DEFAULT, half_life_days: float = 30.0) -> Pulls:
    """The newest items and searches with what they weigh. Decay is relative to the newest of them,
    so the clock does not matter.
    """
    events = profile.events[-READ_EVENTS:][::-1]
    searches = profile.searches[::-1]
    times = [int(events["time"][0])] if len(events) else []
    newest = max(times + [search.time for search in searches], default=0)
    weighed = weights.weigh(events) * np.exp2(-ages(events["time"], newest) / half_life_days)
    keys, first, place = np.unique(events["item"], return_index=True, return_inverse=True)
    sums = np.bincount(place, weighed, minlength=len(keys))
    order = np.argsort(first)[:READ_ITEMS]
    strongest = np.zeros(len(keys), np.intp)
    by_weight = np.argsort(np.abs(weighed), kind="stable")
    strongest[place[by_weight]] = by_weight  # of several writes to one place the last stays
    said: dict[str, float] = {}
    for search in searches:
        decay = 2.0 ** (-max(newest - search.time, 0) / 86_400_000 / half_life_days)
        said[search.text] = said.get(search.text, 0.0) + weights.search * decay
    return Pulls(
        np.concatenate((keys[order], np.zeros(len(said), np.uint64))),
        np.concatenate((sums[order], list(said.values()))).astype(np.float32),
        np.concatenate((events["kind"][strongest[order]], np.full(len(said), SEARCH, np.uint8))),
        [None] * len(order) + list(said),
    )


# --- tastes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """`vectors` [k, dim]: the interests, L2-normalised, heaviest first; `weights` [k] add up to 1.
    `mean` [dim]: all of it in one direction; None, and k = 0, when nothing is known. `missing`: how
    many items had no vector yet. `items`: of each interest the keys that made it, heaviest first.
    """

    vectors: Vector
    weights: Floats
    mean: Vector | None = None
    missing: int = 0
    items: tuple[Keys, ...] = ()

    EMPTY: ClassVar["Tastes"]


_NONE = np.empty(0, np.float32)
Tastes.EMPTY = Tastes(_NONE.reshape(0, 0), _NONE)


def tastes(
    profile: Profile,
    vectors: Mapping[int, Vector],
    search_vectors: Mapping[str, Vector],
    weights: Weights = DEFAULT,
    half_life_days: float = 30.0,
    max_interests: int = 3,
) -> Tastes:
    """The user's interests, from the L2-normalised vectors [dim] of the items in `taste_keys` and
    the searches in `taste_searches`, as far as they are given.
    """
    pull = pulls(profile, weights, half_life_days)
    found = [
        vectors.get(key) if query is None else search_vectors.get(query)
        for key, query in zip(pull.items.tolist(), pull.queries, strict=True)
    ]
    places = [place for place, vector in enumerate(found) if vector is not None]
    missing = sum(v is None and q is None for v, q in zip(found, pull.queries, strict=True))
    weight, keys = pull.weights[places], pull.items[places]
    liked = weight > 0
    if not liked.any():
        return Tastes(_NONE.reshape(0, 0), _NONE, None, missing)

    known = np.array([vector for vector in found if vector is not None], np.float32)
    space, mass, keys = known[liked], weight[liked], keys[liked]
    member = _cluster(space, mass, max_interests)
    own = member == np.arange(member.max() + 1)[:, None]  # [k, n]
    sums = (own * mass) @ space
    totals = np.where(own, mass, np.float32(0)).sum(axis=1)
    mean, whole = (mass @ space)[None, :], mass.sum(keepdims=True)
    for i in np.flatnonzero(weight < 0):
        _subtract(sums, totals, known[i], weight[i])
        _subtract(mean, whole, known[i], weight[i])

    norms = np.linalg.norm(sums, axis=1)
    kept = np.flatnonzero((totals > 0) & (norms > 1e-6))
    kept = kept[np.argsort(-totals[kept], kind="stable")]
    heaviest = np.argsort(-mass, kind="stable")
    length = np.linalg.norm(mean)
    return Tastes(
        sums[kept] / norms[kept, None],
        totals[kept] / max(totals[kept].sum(), np.float32(1e-12)),
        mean[0] / length if length > 1e-6 and whole[0] > 0 else None,
        missing,
        tuple(keys[own_i] for own_i in (heaviest[own[i][heaviest]] for i in kept)),
    )


def _cluster(space: Vector, mass: Floats, most: int) -> NDArray[np.intp]:
    """For each row of `space` the interest [n] it belongs to; -1 for what is unlike all of them.

    Greedy: the densest place first, then the densest among what is unlike those found, as long as
    it holds enough of the weight; then everything to the nearest. Ties go to the newest.
    """
    cosines = space @ space.T
    alike = cosines >= ALIKE
    np.fill_diagonal(alike, True)
    free = np.ones(len(space), dtype=np.bool_)
    seeds: list[int] = []
    while len(seeds) < most and free.any():
        density = (alike & free) @ mass
        density[~free] = -1
        seed = int(np.argmax(density))
        if seeds and density[seed] < WORTH * mass.sum():
            break
        seeds.append(seed)
        free &= ~alike[seed]
    return np.where(free, -1, np.argmax(cosines[:, seeds], axis=1))


def _subtract(sums: Vector, totals: Floats, vector: Vector, weight: np.float32) -> None:
    """Take what the user turned away from out of the nearest of `sums` [k, dim], as far as it is
    like it: what has nothing to do with an interest says nothing about it.
    """
    cosines = sums @ vector / np.maximum(np.linalg.norm(sums, axis=1), 1e-6)
    nearest = int(np.argmax(cosines))
    likeness = weight * max(cosines[nearest], np.float32(0))
    sums[nearest] += likeness * vector
    totals[nearest] += likeness
