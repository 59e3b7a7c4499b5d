"""The order of a pool: a learned ranker orders the best of it, the rest stays behind them; and what
nobody has had yet gets places of its own.
"""

import numpy as np

from windowshop import profile as profiles
from windowshop.ask import Ask
from windowshop.errors import Unavailable
from windowshop.features import features
from windowshop.logs import log
from windowshop.numbering import among
from windowshop.rank import Floats, Keys, Pool, Scorer, Source

MODELLED = 400
"""So many of the pool, by the plain weights, are looked at."""
UNTAKEN_AFTER = 10
LEAST = 0.1
"""The least score of what the ranker saw; all else lies below. The best has 1."""

Rows = np.ndarray[tuple[int], np.dtype[np.intp]]


def learned_order(ask: Ask, sources: list[Source], pool: Pool) -> Pool:
    """The pool with the scores of the store's ranker for what is asked: its parts stay, and with
    them the reasons. Without a ranker, or where it fails, the pool itself. Raises Unavailable.
    """
    if not len(pool.keys) or not len(ask.profile.events):
        return pool  # of a stranger the counts say all there is
    task = "all" if ask.request.seen == "keep" else "new"
    ranker = ask.world.rankers.get(ask.tenant.name, task)
    if ranker is None:
        return pool
    rows = _best(ask, pool)
    scores = _scored(ranker, ask, sources, pool, rows)
    if scores is None:
        return pool
    return Pool(pool.keys, pool.parts, _joined(pool.scores, rows, scores), pool.signals)


def with_untaken(ask: Ask, pool: Pool, scores: Floats) -> Floats:
    """Scores [n] that make room in the order of the given ones for what nobody has had yet: after
    the first UNTAKEN_AFTER at least every `untaken_every`-th place. No count speaks for such items,
    so they would hardly be shown, and never be had; the top of a list is not what they are tried
    out on. None is moved down for it.
    """
    every = int(ask.world.blend["untaken_every"])
    if not every or ask.request.limit <= UNTAKEN_AFTER:
        return scores
    order = _shown_first(ask, pool.keys, scores)
    place = np.arange(len(order), dtype=np.float64)
    fresh = np.flatnonzero(ask.tenant.popularity.users(pool.keys[order]) == 0)
    # Behind so many of the others each of them comes at the latest.
    latest = UNTAKEN_AFTER + (every - 1) * np.arange(len(fresh)) - 0.5
    place[fresh] = np.minimum(place[fresh], latest)
    changed = scores.copy()
    changed[order[np.argsort(place, kind="stable")]] = scores[order]
    return changed


def _shown_first(ask: Ask, keys: Keys, scores: Floats) -> Rows:
    """Rows that may be shown, the best first."""
    order = np.argsort(-scores, kind="stable")
    if ask.request.seen == "drop":
        order = order[~among(keys[order], profiles.seen(ask.profile))]
    return order


def _best(ask: Ask, pool: Pool) -> Rows:
    """Rows of the pool, ascending: the best by the plain weights that may be shown at all."""
    return np.sort(_shown_first(ask, pool.keys, pool.scores)[:MODELLED])


def _scored(
    ranker: Scorer, ask: Ask, sources: list[Source], pool: Pool, rows: Rows
) -> Floats | None:
    """The ranker's scores of these rows of the pool; None where it has none to give."""
    if not len(rows):
        return None
    try:
        names, told = features(ask, sources, pool.keys[rows])
        scores = ranker.score(pool.keys[rows], names, told)
        if len(scores) != len(rows) or not np.isfinite(scores).all():
            raise ValueError("scores that are no numbers")
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a model that is broken must not break the slate
        log("ranker").error("ranker_failed", store=ask.tenant.name, error=error)
        return None
    return scores


def _joined(plain: Floats, rows: Rows, scores: Floats) -> Floats:
    """Scores [n]: of `rows` the given ones in LEAST to 1, of all else the plain ones below that."""
    joined = plain.astype(np.float64)
    joined[rows] = 0.0
    top = float(joined.max(initial=0.0))
    if top > 0:
        joined *= 0.99 * LEAST / top
    low, high = float(scores.min()), float(scores.max())
    span = high - low
    share = (scores - low) / span if span > 0 else np.ones(len(rows))
    joined[rows] = LEAST + (1 - LEAST) * share
    return joined.astype(np.float32)
