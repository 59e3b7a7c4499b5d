"""From a scored pool to the items of a slate: eligibility, rules, reranking, filling up, pins."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windowshop import profile as profiles
from windowshop import rank
from windowshop.ask import Ask
from windowshop.filters import AnyOf, Filter, matches, parse
from windowshop.numbering import among
from windowshop.ordering import with_untaken
from windowshop.rank import Candidate, Pool
from windowshop.records import item_key
from windowshop.store import Payload

DEMOTES = frozenset({"for_you", "similar", "bought_together"})
OWN_ONLY = frozenset({"recently_viewed", "buy_again", "rerank"})
FEW, FILL = 200, 2_000
HEAD = 20
FILL_SHARE = 0.1
AVAILABLE = AnyOf("available", (True,))


@dataclass(slots=True)
class Rules:
    """A merchandiser's rules with their filters read."""

    factors: list[tuple[float, Filter]]
    pins: list[tuple[int, str]]

    @classmethod
    def read(cls, ask: Ask, resolve: Callable[[str], object]) -> "Rules":
        rules = cls([], [])
        for index, rule in enumerate(ask.request.rules or ()):
            if rule.pin is not None and rule.at is not None:
                rules.pins.append((rule.at, rule.pin))
                continue
            factor = rule.boost if rule.boost is not None else rule.bury
            where = parse(rule.where or {}, ask.tenant.fields, resolve, f"/rules/{index}/where")
            rules.factors.append((1.0 if factor is None else factor, where))
        return rules


class Desk:
    """Turns a scored pool into the items of a slate."""

    def __init__(self, ask: Ask, rules: Rules, exclude: Collection[str]) -> None:
        request = ask.request
        self._ask = ask
        self._rules = rules
        self._seen_mode = request.seen or ("demote" if request.scenario in DEMOTES else "keep")
        self._seen = rank.EMPTY_KEYS if self._seen_mode == "keep" else profiles.seen(ask.profile)
        name = ask.tenant.name
        self._barred = {item_key(name, item_id) for item_id in (*exclude, *(request.exclude or ()))}
        if request.scenario in ("similar", "bought_together"):
            self._barred.update(ask.asked)

    def slate(self, pool: Pool) -> list[Candidate]:
        """The best of the pool, filled up; the first few rows usually do."""
        request = self._ask.request
        scores = self._demoted(pool)
        if request.scenario == "for_you":
            scores = with_untaken(self._ask, pool, scores)
        picked: list[Candidate] = []
        for rows in self._portions(pool, scores):
            found = self._candidates(pool.keys[rows].tolist(), scores[rows].tolist(), rows.tolist())
            picked = rank.pick(
                rank.in_order(found),
                request.limit,
                caps=request.caps,
                diversity=request.diversity,
                vectors=self._units,
                taken=picked,
            )
            if len(picked) >= request.limit:
                break
        if len(picked) < request.limit and request.scenario not in OWN_ONLY:
            picked = self._filled(picked, set(pool.keys.tolist()))
        return rank.place_pins(picked, self._pins(), request.limit) if self._rules.pins else picked

    def fallback(self) -> list[Candidate]:
        """The popular items whose payloads are kept at hand, for when the store is away."""
        ask = self._ask
        kept = ask.world.fallback(ask.tenant)
        rows = [(item_key(ask.tenant.name, item["item_id"]), item) for item in kept]
        found = [
            Candidate(key, item, 1.0 / (place + 1), -1)
            for place, (key, item) in enumerate(rows)
            if self._eligible(key, item)
        ]
        if ask.request.scenario in OWN_ONLY:
            own = set(ask.asked) | set(profiles.seen(ask.profile).tolist())
            found = [candidate for candidate in found if candidate.key in own]
        return rank.pick(found, ask.request.limit, caps=ask.request.caps)

    def _units(self, keys: Sequence[int]) -> rank.Floats:
        return self._ask.world.matrix(self._ask.tenant, keys)

    def _eligible(self, key: int, item: Payload) -> bool:
        dropped = self._seen_mode == "drop" and np.uint64(key) in self._seen
        return key not in self._barred and not dropped and self._passes(item)

    def _demoted(self, pool: Pool) -> rank.Floats:
        """The scores of the pool, lowered where the user has seen an item."""
        if self._seen_mode != "demote" or not len(self._seen):
            return pool.scores
        factor = np.float32(self._ask.world.blend["demote_seen"])
        return np.where(among(pool.keys, self._seen), pool.scores * factor, pool.scores)

    def _portions(self, pool: Pool, scores: rank.Floats) -> Iterator[NDArray[np.intp]]:
        """The rows of a pool that may be shown as far as the user has seen them, best first: a head
        that will do for most slates, then the rest.

        Ties of the head's last row are in the head; rules may move anything, so they see it all.
        """
        head = 3 * self._ask.request.limit + HEAD
        order = np.argsort(-scores, kind="stable")
        if self._seen_mode == "drop" and len(self._seen):
            order = order[~among(pool.keys[order], self._seen)]
        if len(order) <= head or self._rules.factors:
            yield order
            return
        end = int((scores[order] >= scores[order[head - 1]]).sum())
        yield order[:end]
        yield order[end:]

    def _candidates(
        self, keys: Sequence[int], scores: Sequence[float], rows: Sequence[int] | None = None
    ) -> list[Candidate]:
        """Those of the keys that are eligible, their scores changed by the rules."""
        cards = self._ask.world.cards(self._ask.tenant, keys)
        plain = self._ask.where is AVAILABLE
        dropped = set(self._seen.tolist()) if self._seen_mode == "drop" else frozenset()
        found = []
        for place, key in enumerate(keys):
            item, score = cards.get(key), scores[place]
            if item is None or key in self._barred or key in dropped:
                continue
            if not (item["available"] if plain else self._passes(item)):
                continue
            for factor, where in self._rules.factors:
                if matches(where, item):
                    score *= factor
            found.append(Candidate(key, item, score, -1 if rows is None else rows[place]))
        return found

    def _passes(self, item: Payload) -> bool:
        return self._ask.where is None or matches(self._ask.where, item)

    def _pins(self) -> list[tuple[int, Candidate]]:
        name = self._ask.tenant.name
        pins: dict[int, int] = {}
        for at, item_id in self._rules.pins:
            pins.setdefault(item_key(name, item_id), at)
        cards = self._ask.world.cards(self._ask.tenant, pins)
        return [
            (at, Candidate(key, cards[key], 1.0, -1, pinned=True))
            for key, at in pins.items()
            if key in cards and self._eligible(key, cards[key])
        ]

    def _filled(self, picked: list[Candidate], tried: set[int]) -> list[Candidate]:
        """Fill up from popular, then from anything that passes, until full or exhausted."""
        ask, limit = self._ask, self._ask.request.limit
        ceiling = picked[-1].score if picked else 1.0
        half_life = float(ask.world.blend["popular_half_life"])
        top = float(ask.tenant.popularity.top(1, half_life, ask.now)[1].sum()) or 1.0
        for keys in self._fills(half_life):
            fresh = [key for key in keys if key not in tried]
            tried.update(fresh)
            heat = ask.tenant.popularity.scores(np.array(fresh, np.uint64), half_life, ask.now)
            scores = np.minimum(ceiling, FILL_SHARE * heat / top).tolist()
            fill = self._candidates(fresh, scores)
            picked = rank.pick(rank.in_order(fill), limit, caps=ask.request.caps, taken=picked)
            if len(picked) >= limit:
                break
        return picked

    def _fills(self, half_life: float) -> Iterator[list[int]]:
        """Keys to fill up with: the popular ones, then every item that passes the filter."""
        ask = self._ask
        popular = ask.tenant.popularity.top(FILL, half_life, ask.now)[0].tolist()
        yield popular[:FEW]
        yield popular[FEW:]
        cursor: int | None = None
        while True:
            rows, cursor = ask.world.store.scan(
                ask.tenant.name, cursor, FILL, ask.where, ("item_id",)
            )
            yield [key for key, _ in rows]
            if cursor is None:
                return
