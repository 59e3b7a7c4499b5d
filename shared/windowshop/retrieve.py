"""Candidate sources: each proposes items for a profile and a request, with scores.

All dense searches of one request go to the store in one call; the other sources are read from the
profile and from the live counts.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from windowshop import crowd, rank
from windowshop import profile as profiles
from windowshop.ask import Ask
from windowshop.lexicon import Sought
from windowshop.ordering import learned_order
from windowshop.profile.intent import intent
from windowshop.rank import (
    EMPTY_KEYS,
    EMPTY_SCORES,
    Floats,
    Keys,
    Pool,
    Source,
    above_floor,
)
from windowshop.space import Place
from windowshop.store import Neighbour, Sparse, Vector
from windowshop.store.sought import Wanted
from windowshop.vocabulary import lexicon_of

DAY_MS = 86_400_000
PER_INTEREST = 40
HISTORY = 200
"""So many items of a shopper's history, the telling ones, are compared with those of others."""
PER_SEARCH = 200
PER_INTENT = 400
"""Around what is browsed this minute: the further it is looked, the more other candidates are told
by how near they lie to it."""
OWN = 100
RISING = 200
MOST_OWN = 100
"""More of what a shopper has already hardly lies near one of their interests."""

UsersOf = Callable[[Keys], NDArray[np.float64]]
"""Item keys [n] -> the number of users who have each [n]."""


def retrieve(ask: Ask) -> list[Source]:
    """The candidates of every source that this scenario weighs. Raises Unavailable."""
    return [*_dense(ask), *local_sources(ask), *_together(ask), *_like_minded(ask)]


def local_sources(ask: Ask) -> list[Source]:
    """The sources that need no store: own repeats, own last items, live counts."""
    found = []
    if ask.wants("habit"):
        found.append(habit(ask))
    if ask.wants("recent"):
        found.append(recent(ask))
    if ask.wants("popular"):
        found.append(popular(ask))
    if ask.wants("trend"):
        keys, rises = ask.tenant.popularity.trend(RISING, ask.now)
        found.append(Source("trend", keys, rises.astype(np.float32)))
    return found


def habit(ask: Ask) -> Source:
    """The user's own items by decayed frequency."""
    half_life = float(ask.world.blend["habit_half_life"])
    found = ask.habit = profiles.habit(ask.profile, ask.now, half_life)
    # One look or like is no habit, and only what was bought can be bought again.
    again = found.counts > (0 if found.basis == "purchase" else 1)
    if ask.request.scenario == "buy_again" and found.basis != "purchase":
        again[:] = False
    keys, scores = found.keys[again], found.scores[again]
    best = np.argsort(-scores, kind="stable")[: max(OWN, ask.request.limit * 3)]
    # The root keeps the one staple from drowning everything else bought now and then.
    return Source("habit", keys[best], np.sqrt(scores[best]))


def recent(ask: Ask) -> Source:
    """The user's own items, newest first."""
    keys = profiles.recently_viewed(ask.profile)[:400]
    return Source("recent", keys, np.linspace(1, 0.01, len(keys), dtype=np.float32))


def popular(ask: Ask) -> Source:
    keys, scores = ask.tenant.popularity.top(
        max(int(ask.world.blend["popular_items"]), ask.request.limit * 3),
        float(ask.world.blend["popular_half_life"]),
        ask.now,
    )
    return Source("popular", keys, scores.astype(np.float32))


def _dense(ask: Ask) -> list[Source]:
    """Searches by meaning: the user's interests, the items asked about, the words searched for."""
    wanted: list[tuple[str, float, Wanted]] = []
    room = _room(ask)
    if ask.wants("meaning") and ask.request.scenario == "for_you":
        for vector, weight in zip(ask.tastes.vectors, ask.tastes.weights, strict=True):
            limit = PER_INTEREST + ask.request.limit + room
            wanted.append(("meaning", float(weight), (vector, limit, ask.where, None)))
    if ask.wants("learned") and ask.learned is not None:
        wanted.append(("learned", 1.0, _around(ask, ask.learned)))
    if ask.intent is not None:
        wanted.append(("intent", 1.0, (ask.intent, PER_INTENT + room, ask.where, None)))
    if ask.wants("similar") and ask.asked:
        near = mean_vector(ask, ask.asked)
        if near is not None:
            limit = PER_SEARCH + ask.request.limit + room
            wanted.append(("similar", 1.0, (near, limit, ask.where, None)))
    if ask.wants("query") and ask.query is not None:
        limit = PER_SEARCH + ask.request.limit + room
        wanted.append(("query", 1.0, (ask.query, limit, ask.where, None)))
    if ask.wants("words") and ask.request.query:
        ask.sought = Sought.read(ask.request.query, lexicon_of(ask.world, ask.tenant))
        limit = PER_SEARCH + ask.request.limit + room
        wanted.append(("words", 1.0, (Sparse(*ask.sought.sparse()), limit, ask.where, None)))
    if not wanted:
        return []
    answers = ask.world.search(ask.tenant, [search for _, _, search in wanted])
    found = []
    for (signal, weight, _), (hits, near_by) in zip(wanted, answers, strict=True):
        keys, cosines = hits, near_by
        if signal == "intent":  # what was just looked at is not what is looked for
            other = ~np.isin(keys, np.array([step.item for step in ask.steps], np.uint64))
            keys, cosines = keys[other], cosines[other]
        scores = np.maximum(cosines, 0) if signal in ("query", "words") else above_floor(cosines)
        found.append(Source(signal, keys, np.asarray(scores * weight, np.float32)))
    return found


def _around(ask: Ask, place: Place) -> Wanted:
    """What lies near the shopper in the learned space; with room for what they have already."""
    return place.vector, PER_SEARCH + ask.request.limit + _room(ask), ask.where, place.version


def _room(ask: Ask) -> int:
    """So many of what a search finds may not be shown."""
    own = len(profiles.seen(ask.profile)) if ask.request.seen == "drop" else 0
    return len(ask.request.exclude or ()) + min(own, MOST_OWN)


def set_intent(ask: Ask) -> None:
    """Find out what the user is after this minute. Raises Unavailable."""
    if not ask.wants("intent"):
        return
    ask.steps = intent(ask.profile, ask.now, float(ask.world.blend["intent_hours"]))
    vectors = step_vectors(ask)
    if len(ask.steps):
        total = np.array([step.weight for step in ask.steps], np.float32) @ vectors
        norm = float(np.linalg.norm(total))
        ask.intent = np.asarray(total / norm, np.float32) if norm > 1e-6 else None


def step_vectors(ask: Ask) -> Floats:
    """The vectors [n, dim] of the steps; a zero row where an item has none."""
    rows = ask.world.matrix(ask.tenant, [step.item for step in ask.steps])
    for row, step in enumerate(ask.steps):
        if step.query is not None:
            rows[row] = ask.world.query_vector(step.query)
    return rows


def mean_vector(ask: Ask, keys: Sequence[int]) -> Vector | None:
    """The direction that the items have in common [dim]; None where none has a vector."""
    total = ask.world.matrix(ask.tenant, list(keys)[:50]).sum(axis=0)
    norm = float(np.linalg.norm(total))
    return np.asarray(total / norm, np.float32) if norm > 1e-6 else None


def _like_minded(ask: Ask) -> list[Source]:
    """What shoppers with a like history took, lately, near what this shopper took."""
    if not ask.wants("like_minded") or not len(ask.profile.events):
        return []
    half_life = float(ask.world.blend["like_minded_half_life"])
    ask.others = crowd.taken(*neighbourhood(ask), ask.now, half_life)
    return [Source("like_minded", *crowd.proposals(ask.others))]


def neighbourhood(ask: Ask) -> crowd.Neighbourhood:
    """The shopper's own events, and the tails of those whose history is most like theirs."""
    events = ask.profile.events
    history = profiles.history(ask.profile, ask.profile.newest or 0)
    mine = crowd.own(events["item"], events["time"])
    # Another store's users must not move the weights: the IDF is this store's own.
    telling = ask.tenant.popularity.idf(mine.items) * crowd.fading(mine.steps)
    order = np.argsort(mine.items.astype(np.uint32), kind="stable")
    at = np.searchsorted(mine.items.astype(np.uint32)[order], history.indices)
    values = history.values * telling[order][at]
    most = np.sort(np.argsort(-values, kind="stable")[:HISTORY])
    query = Sparse(history.indices[most], values[most].astype(np.float32))
    near = _near(ask, query)
    tails = [profiles.check_tail(neighbour.tail) for neighbour in near]
    return crowd.Neighbourhood(mine, [neighbour.score for neighbour in near], tails)


def _near(ask: Ask, query: Sparse) -> list[Neighbour]:
    count = int(ask.world.blend["neighbours"])
    return ask.world.store.neighbours(ask.tenant.name, query, count, ask.points)


def _together(ask: Ask) -> list[Source]:
    """What users who took the asked items took near them in time, over what all take.

    A pair counts more the closer the two events lie: fully within one basket (the same hour), half
    after three days; divided by the square root of the number of users of the other item, so that
    what everybody takes does not stand beside everything.
    """
    if not ask.wants("together") or not ask.asked:
        return []
    keys = np.array(ask.asked, np.uint64)
    dims = np.unique((keys & np.uint64(0xFFFFFFFF)).astype(np.uint32))
    query = Sparse(dims, np.ones(len(dims), np.float32))
    near = _near(ask, query)
    tails = [np.frombuffer(profiles.check_tail(one.tail), profiles.TAIL) for one in near]
    return [Source("together", *together(keys, tails, ask.tenant.popularity.users))]


def together(
    asked: Keys,
    tails: Sequence[NDArray[np.void]],
    users_of: UsersOf,
) -> tuple[Keys, Floats]:
    """Items by how near in time, and how often, they stand to `asked` in the tails."""
    items: list[Keys] = []
    weights: list[Floats] = []
    for tail in tails:
        ours = np.isin(tail["item"], asked)
        if not ours.any() or ours.all():
            continue
        times = tail["time"].astype(np.int64)
        gaps = np.abs(times[~ours][:, None] - times[ours][None, :]).min(axis=1)
        items.append(tail["item"][~ours])
        weights.append(np.exp2(-np.maximum(gaps - 3600, 0) / (3 * 86_400)).astype(np.float32))
    if not items:
        return EMPTY_KEYS, EMPTY_SCORES
    keys, where = np.unique(np.concatenate(items), return_inverse=True)
    scores = np.bincount(where, np.concatenate(weights)) / np.sqrt(users_of(keys) + 4.0)
    best = np.argsort(-scores, kind="stable")[:PER_SEARCH]
    return keys[best], scores[best].astype(np.float32)


# --- scores ---------------------------------------------------------------------------------------


def score(ask: Ask) -> Pool:
    """The candidates of a request with their scores. Raises Unavailable."""
    if ask.request.scenario == "rerank":
        given = np.array(ask.asked, np.uint64)
        return _only(rank.blend(_sources_for(ask, given), ask.weights), given)
    set_intent(ask)
    sources = retrieve(ask)
    if ask.request.scenario == "search":
        sources = _searched(ask, sources)
    pool = rank.blend(sources, ask.weights)
    return learned_order(ask, sources, pool) if ask.request.scenario == "for_you" else pool


def score_locally(ask: Ask) -> Pool:
    """As `score`, from what needs no store: for when it is away."""
    pool = rank.blend(local_sources(ask), ask.weights)
    return _only(pool, np.array(ask.asked, np.uint64)) if ask.request.scenario == "rerank" else pool


def _sources_for(ask: Ask, keys: Keys) -> list[Source]:
    """Every signal for the given items, instead of proposing others."""
    sources = [source for source in local_sources(ask) if source.signal != "popular"]
    half_life = float(ask.world.blend["popular_half_life"])
    counts = ask.tenant.popularity.scores(keys, half_life, ask.now)
    sources.append(Source("popular", keys, np.asarray(counts, np.float32)))
    sources += _meaning_for(ask, keys)
    return sources


def _meaning_for(ask: Ask, keys: Keys) -> list[Source]:
    if len(ask.tastes.vectors) == 0 or len(keys) == 0:
        return []
    units = ask.world.matrix(ask.tenant, keys.tolist())
    near = (units @ ask.tastes.vectors.T) * ask.tastes.weights
    return [Source("meaning", keys, np.maximum(near.max(axis=1), 0).astype(np.float32))]


def _searched(ask: Ask, sources: Sequence[Source]) -> list[Source]:
    """What either the vector or the words of a search have found, by both: the store's order by
    words proposes, and what is written on the candidates decides.
    """
    found = [source for source in sources if source.signal in ("query", "words")]
    keys = np.unique(np.concatenate([source.keys for source in found] or [EMPTY_KEYS]))
    cards = ask.world.cards(ask.tenant, keys.tolist())
    # An item is searchable once it has its vector: not by some ways sooner than by others.
    ready = [bool(cards.get(int(key), {}).get("vector_hash")) for key in keys]
    keys = keys[np.array(ready, np.bool_)]
    others = [source for source in sources if source.signal != "words"]
    if ask.sought is not None:
        shares = [ask.sought.matched(cards[int(key)]) for key in keys]
        others.append(Source("words", keys, np.array(shares, np.float32)))
    if ask.query is not None:
        near = [source.keys for source in found if source.signal == "query"]
        rest = np.setdiff1d(keys, np.concatenate(near)) if near else keys
        cosines = ask.world.matrix(ask.tenant, rest.tolist()) @ ask.query
        others.append(Source("query", rest, np.maximum(cosines, 0).astype(np.float32)))
    return [*others, *_meaning_for(ask, keys)]


def _only(pool: Pool, keys: Keys) -> Pool:
    """The pool cut to the given items, with a zero row for those that no source knew."""
    missing = np.setdiff1d(keys, pool.keys)
    kept = np.isin(pool.keys, keys)
    parts = np.concatenate(
        [pool.parts[kept], np.zeros((len(missing), pool.parts.shape[1]), np.float32)]
    )
    return Pool(np.concatenate([pool.keys[kept], missing]), parts, parts.sum(axis=1), pool.signals)
