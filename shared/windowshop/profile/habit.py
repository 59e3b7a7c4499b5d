"""What a user comes back to, by item: habit (for repeats) and history (to find like-minded users).

Pure: computed on reading, vectorised, from the profile's events and the given clock.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowshop.profile.events import STRONG, Events, Keys, ages, of_kinds
from windowshop.profile.fold import Profile
from windowshop.profile.taste import DEFAULT, Floats, Weights

Basis = Literal["purchase", "strong", "weak"]


class Habit(NamedTuple):
    """What a user does again and again: arrays [n], by item key, ascending.

    `basis` says on which events it rests: purchases; without any, other positive strong ones
    (carts, likes, ratings); without those, views and clicks; None for nothing at all.
    """

    keys: Keys
    scores: Floats  # decayed frequency: 1 for one event just now; always above 0
    last_ms: NDArray[np.int64]
    counts: NDArray[np.int64]
    kinds: NDArray[np.uint8]  # of the last one
    basis: Basis | None


class History(NamedTuple):
    """A sparse vector: the low 32 bits of item keys, ascending, and their weights."""

    indices: NDArray[np.uint32]
    values: Floats


_BOUGHT, _RETURNED, _VISITED = of_kinds("purchase"), of_kinds("return"), of_kinds("view", "click")


def habit(
    profile: Profile, now_ms: int, half_life_days: float = 90.0, weights: Weights = DEFAULT
) -> Habit:
    """Decayed frequency of the user's positive events. A return takes back one of them."""
    events = profile.events
    basis, positive = _basis(events, weights)
    returned = _RETURNED[events["kind"]]
    done = events[positive | returned] if basis else events[:0]
    sign = np.where(_RETURNED[done["kind"]], -1.0, 1.0)
    decayed = sign * np.exp2(-ages(done["time"], now_ms) / half_life_days)
    keys, place = np.unique(done["item"], return_inverse=True)
    scores = np.bincount(place, decayed, minlength=len(keys)).astype(np.float32)
    plus = np.flatnonzero(sign > 0)
    count = np.bincount(place[plus], minlength=len(keys))
    last = np.zeros(len(keys), np.intp)
    last[place[plus]] = plus  # events are sorted by time: of several writes the last stays
    keep = (scores > 0) & (count > 0)
    newest = done[last[keep]] if len(keys) else done
    return Habit(keys[keep], scores[keep], newest["time"], count[keep], newest["kind"], basis)


def history(
    profile: Profile, now_ms: int, half_life_days: float = 120.0, weights: Weights = DEFAULT
) -> History:
    """Decayed log-counts of what the user did, L2-normalised; a purchase just now counts 1, other
    kinds their share of that, negative ones take away. No two indices are the same.
    """
    events = profile.events
    decayed = weights.share(events) * np.exp2(-ages(events["time"], now_ms) / half_life_days)
    indices, place = np.unique(events["item"].astype(np.uint32), return_inverse=True)
    counts = np.bincount(place, decayed, minlength=len(indices))
    logs = np.log1p(np.maximum(counts, 0))
    keep = logs > 0
    values = logs[keep] / max(np.linalg.norm(logs), 1e-300)
    return History(indices[keep], values.astype(np.float32))


def _basis(events: Events, weights: Weights) -> tuple[Basis | None, NDArray[np.bool_]]:
    bought = _BOUGHT[events["kind"]]
    if bought.any():
        return "purchase", bought
    strong = STRONG[events["kind"]] & (weights.weigh(events) > 0)
    if strong.any():
        return "strong", strong
    visited = _VISITED[events["kind"]]
    return ("weak" if visited.any() else None), visited
