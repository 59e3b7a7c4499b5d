"""The true cause of each item in a slate: its strongest signal, and the event that pulled most."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from windowshop import crowd, explain, space
from windowshop import profile as profiles
from windowshop.ask import Ask
from windowshop.rank import Candidate, Pool
from windowshop.records import Reason
from windowshop.retrieve import step_vectors


def reasons_of(ask: Ask, pool: Pool, chosen: Sequence[Candidate]) -> list[Reason]:
    """The true cause of each item: its strongest signal, in it the event that pulled most."""
    signals = [pool.strongest(c.row) if c.row >= 0 else None for c in chosen]
    pulled = [c.key for c, signal in zip(chosen, signals, strict=True) if signal == "meaning"]
    placed = [c.key for c, signal in zip(chosen, signals, strict=True) if signal == "learned"]
    causes = _causes(ask, pulled) | _led(ask, placed)
    own = [c.key for c, signal in zip(chosen, signals, strict=True) if signal == "habit"]
    again = _again(ask, own)
    half_life = float(ask.world.blend["popular_half_life"])
    reasons = []
    for candidate, signal in zip(chosen, signals, strict=True):
        key = candidate.key
        if candidate.pinned:
            reasons.append(explain.PINNED)
        elif signal == "habit":
            reasons.append(again[key])
        elif signal == "recent":
            reasons.append(explain.recent(profiles.last_kind(ask.profile, key) or 0))
        elif signal == "intent":
            reasons.append(_step(ask, key))
        elif signal in ("meaning", "learned") and key in causes:
            reasons.append(causes[key])
        elif signal in ("similar", "together"):
            reasons.append(
                _about(ask, key, "similar" if signal == "similar" else "bought_together")
            )
        elif signal in ("query", "words"):
            reasons.append(explain.search(ask.request.query or ""))
        elif signal == "like_minded":
            reasons.append(_shared(ask, key))
        elif signal == "trend":
            reasons.append(explain.TRENDING)
        elif ask.tenant.popularity.scores(np.array([key], np.uint64), half_life, ask.now)[0] > 0:
            reasons.append(explain.popular(half_life))
        else:
            reasons.append(explain.NEW)
    return reasons


def _causes(ask: Ask, keys: Sequence[int]) -> dict[int, Reason]:
    """For items found by meaning: the event whose pull (weight times cosine) is greatest."""
    if not keys:
        return {}
    pulls = profiles.pulls(
        ask.profile, ask.world.weights, float(ask.world.blend["interest_half_life"])
    )
    sources = ask.world.matrix(ask.tenant, pulls.items.tolist())
    for row, text in enumerate(pulls.queries):
        if text is not None:
            sources[row] = ask.world.query_vector(text)
    if len(sources) == 0 or len(ask.tastes.vectors) == 0:
        return {}
    found = ask.world.matrix(ask.tenant, keys)
    # Only what made the interest that found an item has contributed to its score.
    interest = ((found @ ask.tastes.vectors.T) * ask.tastes.weights).argmax(axis=1)
    belongs = (sources @ ask.tastes.vectors.T).argmax(axis=1)
    strength = (found @ sources.T) * pulls.weights
    strength[interest[:, None] != belongs[None, :]] = -np.inf
    # Nobody is recommended a thing because of that same thing.
    strength[np.array(keys, np.uint64)[:, None] == pulls.items[None, :]] = -np.inf
    best = strength.argmax(axis=1)
    cards = ask.world.cards(ask.tenant, {int(pulls.items[row]) for row in best})
    causes = {}
    for place, (key, row) in enumerate(zip(keys, best.tolist(), strict=True)):
        if strength[place, row] == -np.inf:
            continue
        text = pulls.queries[row]
        card = cards.get(int(pulls.items[row]))
        if text is not None or card is not None:
            causes[key] = explain.because_of(
                int(pulls.kinds[row]), None if text is not None else card, text
            )
    return causes


def _led(ask: Ask, keys: Sequence[int]) -> dict[int, Reason]:
    """For items found in the learned space: of the steps that the tower read the one that lies
    nearest to the item; what was done last counts most, as it does with like-minded shoppers.
    """
    if not keys:
        return {}
    steps = space.steps(ask.world, ask.tenant, ask.profile.events)
    back = np.arange(len(steps.events))[::-1]
    near = space.matrix(ask.world, ask.tenant, keys) @ steps.places.T
    strength = near * crowd.fading(back)
    # What a shopper turned away from led them nowhere, nor does a thing lead to itself.
    strength[:, ask.world.weights.weigh(steps.events) <= 0] = -np.inf
    strength[np.array(keys, np.uint64)[:, None] == steps.events["item"][None, :]] = -np.inf
    found = dict.fromkeys(keys, explain.LATELY)
    if not len(steps.events):
        return found
    best = strength.argmax(axis=1)
    cards = ask.world.cards(ask.tenant, steps.events["item"][best].tolist())
    for place, (key, row) in enumerate(zip(keys, best.tolist(), strict=True)):
        step = steps.events[row]
        card = cards.get(int(step["item"]))
        if card is not None and strength[place, row] > 0:
            found[key] = explain.because_of(int(step["kind"]), card, None)
    return found


def _again(ask: Ask, keys: Sequence[int]) -> dict[int, Reason]:
    """For items that the user's habit proposed: how often they came back to it."""
    if ask.habit is None or not keys:
        return {}
    rows = np.searchsorted(ask.habit.keys, np.array(keys, np.uint64))
    counts, kinds = ask.habit.counts[rows].tolist(), ask.habit.kinds[rows].tolist()
    return {
        key: explain.buy_again(count, kind)
        for key, count, kind in zip(keys, counts, kinds, strict=True)
    }


def _step(ask: Ask, key: int) -> Reason:
    """The browsing step that pulled most."""
    weights = np.array([step.weight for step in ask.steps], np.float32)
    pull = (step_vectors(ask) @ ask.world.matrix(ask.tenant, [key])[0]) * weights
    step = ask.steps[int(pull.argmax())]
    card = ask.world.cards(ask.tenant, [step.item]).get(step.item)
    if step.query is None and card is None:
        return explain.NEW
    return explain.because_of(step.kind, card, step.query)


def _shared(ask: Ask, key: int) -> Reason:
    """The item that this shopper and the like-minded ones have, and that led them on to this."""
    via = crowd.strongest_via(ask.others, key)
    return explain.like_minded(ask.world.cards(ask.tenant, [via]).get(via) if via else None)


def _about(ask: Ask, key: int, kind: Literal["similar", "bought_together"]) -> Reason:
    """The asked item that is nearest to this one."""
    cards = ask.world.cards(ask.tenant, ask.asked)
    known = [asked for asked in ask.asked if asked in cards]
    if not known:
        return explain.NEW
    best = known[0]
    if len(known) > 1:
        near = ask.world.matrix(ask.tenant, known) @ ask.world.matrix(ask.tenant, [key])[0]
        best = known[int(near.argmax())]
    return explain.about(kind, cards[best])
