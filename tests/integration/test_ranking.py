"""Slates as properties, with the plain weights and with any learned ranker: their order, ties,
filters, rules, and that nothing stands twice.
"""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windowshop.local import open_shop
from windowshop.rank import Unlearned
from windowshop.records import Event, Item, Request

ITEMS = [f"item{n:02}" for n in range(40)]
USERS = [f"user{n}" for n in range(8)]


class Whim:
    """A ranker of a few levels, so that many candidates tie."""

    def __init__(self, seed, levels):
        self.seed, self.levels = seed, levels

    def get(self, store, task):
        return self

    def score(self, keys, names, rows):
        assert np.isfinite(rows).all()
        assert rows.shape == (len(keys), len(names))
        chance = np.random.default_rng(self.seed)
        return chance.integers(-self.levels, self.levels + 1, len(keys)).astype(np.float32)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = open_shop(tmp_path_factory.mktemp("shop"))
    items = [
        Item(item_id=item, title=f"Thing {n}", category=[f"Aisle {n % 4}"], price=1.0 + n)
        for n, item in enumerate(ITEMS)
    ]
    shop.put_items("default", items)
    while shop.embed_waiting("default"):
        pass
    chance, now = random.Random(4), shop.world.wall()
    events = [
        Event(
            kind=chance.choice(("purchase", "view")),
            user_id=chance.choice(USERS),
            item_id=chance.choice(ITEMS[:30]),
            timestamp=now / 1000 - chance.uniform(1, 40 * 86_400),
        )
        for _ in range(250)
    ]
    shop.record("default", events, now)
    yield shop
    shop.close()


requests = st.fixed_dictionaries(
    {"scenario": st.just("for_you"), "limit": st.integers(1, 20)},
    optional={
        "user_id": st.sampled_from([*USERS, "stranger"]),
        "seen": st.sampled_from(["keep", "drop", "demote"]),
        "exclude": st.lists(st.sampled_from(ITEMS), max_size=5),
        "filters": st.fixed_dictionaries({"category": st.sampled_from(["Aisle 0", "Aisle 3"])}),
        "caps": st.just({"category": 4}),
        "diversity": st.sampled_from([0.0, 0.5]),
    },
)
rankers = st.one_of(
    st.just(Unlearned()), st.builds(Whim, st.integers(0, 99), st.sampled_from([0, 2, 1000]))
)
slow = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ask(shop, ranker, fields):
    shop.world.rankers = ranker
    slate = shop.recommend("default", Request(**fields, fields=["category"]))
    assert slate.degraded is None
    return slate.items


@given(requests, rankers)
@slow
def test_a_slate_is_in_order_and_keeps_to_what_was_asked(shop, fields, ranker):
    items = ask(shop, ranker, fields)
    ids = [item.item_id for item in items]
    assert len(set(ids)) == len(ids) <= fields["limit"]
    assert not set(ids) & set(fields.get("exclude", ()))
    aisles = [item.fields["category"][0] for item in items]
    if "filters" in fields:
        assert set(aisles) <= {fields["filters"]["category"]}
    if "caps" in fields:
        assert max(map(aisles.count, aisles), default=0) <= 4
    if not fields.get("diversity"):
        places = [(-item.score, item.item_id) for item in items]
        assert places == sorted(places)
    assert ids == [item.item_id for item in ask(shop, ranker, fields)]


@given(requests, rankers, st.sampled_from(ITEMS), st.integers(0, 30))
@slow
def test_a_pin_stays_where_it_was_put(shop, fields, ranker, pin, at):
    fields = {k: v for k, v in fields.items() if k not in ("filters", "exclude", "seen")}
    fields = {**fields, "seen": "keep", "rules": [{"pin": pin, "at": at}]}
    ids = [item.item_id for item in ask(shop, ranker, fields)]
    assert len(set(ids)) == len(ids)
    assert ids[min(at, len(ids) - 1)] == pin


UNTAKEN = set(ITEMS[30:])


@pytest.mark.parametrize("seen", ["keep", "drop", "demote"])
@pytest.mark.parametrize("every", [1, 4, 5])
def test_what_nobody_had_yet_has_places_after_the_tenth(shop, monkeypatch, every, seen):
    fields = {"scenario": "for_you", "user_id": USERS[0], "limit": 18, "seen": seen}

    def shown(number):
        monkeypatch.setattr(shop.world, "blend", {**shop.world.blend, "untaken_every": number})
        return [item.item_id for item in ask(shop, Unlearned(), fields)]

    without, mixed = shown(0), shown(every)
    assert mixed[:10] == without[:10]
    others = [item for item in mixed if item not in UNTAKEN]
    assert others == [item for item in without if item not in UNTAKEN][: len(others)]
    for wanted, last in enumerate(range(11, 19, every), 1):
        assert sum(item in UNTAKEN for item in mixed[:last]) >= wanted
    before = {item: place for place, item in enumerate(without)}
    assert all(
        mixed.index(item) <= before[item] for item in mixed if item in before and item in UNTAKEN
    )


def test_a_shop_of_new_things_alone_is_shown_in_order(tmp_path):
    shop = open_shop(tmp_path)
    try:
        items = [Item(item_id=item, title=f"Thing {n}") for n, item in enumerate(ITEMS)]
        shop.put_items("default", items)
        while shop.embed_waiting("default"):
            pass
        shown = ask(shop, Unlearned(), {"scenario": "for_you", "user_id": "new", "limit": 20})
        assert len(shown) == 20
    finally:
        shop.close()
