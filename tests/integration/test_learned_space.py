"""A tower in a shop: where items and shoppers lie, lists and reasons."""

from contextlib import closing, contextmanager

import numpy as np
import pytest

from tests.contract.tiny_towers import shelve, user_of
from windowshop import towers
from windowshop.folding import read_profile
from windowshop.learned import shelf_in
from windowshop.local import LEARNED, open_shop
from windowshop.profile.events import ages
from windowshop.rank import Towerless, Unlearned
from windowshop.records import Event, Item, Request, item_key, user_key
from windowshop.tower import KIND, NEWEST, Towers, tower_kinds

STORE = "default"
ITEMS = [f"item{n:02}" for n in range(70)]
DAY = 86_400


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("own") / "home"


@pytest.fixture(scope="module")
def shop(home):
    """Two towers on its shelf, the first of them serving: the tests share it, for placing all items
    takes a second.
    """
    with closing(open_shop(home)) as shop:
        put(shop, ITEMS)
        for seed, version in enumerate(("v1", "v2")):
            shelve(home / LEARNED, shop.world.encoder.dim, version, seed)
        do(shop, "early", ("view", "item01", 1))
        assert stored(shop, "early") is None
        assert promote(shop, home, "v1") == len(ITEMS)
        yield shop


def put(shop, names):
    shop.put_items(STORE, [Item(item_id=name, title=f"Thing {name}") for name in names])
    while shop.embed_waiting(STORE):
        pass


def do(shop, user, *deeds):
    """(kind, item, days ago) each."""
    now = shop.world.wall() / 1000
    events = [
        Event(kind=kind, user_id=user, item_id=item, timestamp=now - 1 - days * DAY)
        for kind, item, days in deeds
    ]
    shop.record(STORE, events, shop.world.wall())


def promote(shop, home, version):
    return towers.promote(shop.world, shelf_in(home / LEARNED), STORE, version)


@contextmanager
def put_in_place(world, **parts):
    """Other rankers, towers or weights for a while."""
    before = {name: getattr(world, name) for name in parts}
    for name, part in parts.items():
        setattr(world, name, part)
    try:
        yield
    finally:
        for name, part in before.items():
            setattr(world, name, part)


def known(shop, user):
    return read_profile(shop.world, shop.world.tenant(STORE), f"u:{user}")


def stored(shop, user):
    key = user_key(STORE, f"u:{user}")
    return shop.world.store.users(STORE, [key])[key].payload.get("learned")


def places(shop, names):
    """By name, from the store itself."""
    held = shop.world.store.learned(STORE, [item_key(STORE, name) for name in names])
    return {name: held[item_key(STORE, name)] for name in names}


def expected(shop, user):
    """Where the newest events lead, computed from the store alone."""
    world, profile = shop.world, known(shop, user).profile
    held = world.store.learned(STORE, np.unique(profile.events["item"]).tolist())
    events = profile.events[np.isin(profile.events["item"], list(held))][-NEWEST:]
    gaps = np.log1p(ages(events["time"], int(events["time"][-1])))
    rows = np.array([held[key] for key in events["item"].tolist()])
    return user_of(rows, tower_kinds(events["kind"], events["value"]), gaps)


def for_you(shop, user, **more):
    return shop.recommend(STORE, Request(scenario="for_you", user_id=user, limit=10, **more))


def test_a_new_item_has_its_place_with_its_vector(shop):
    put(shop, ["brand-new"])
    key = item_key(STORE, "brand-new")
    text = shop.world.store.vectors(STORE, [key])[key]
    place = shop.world.towers.get(STORE, "v1").items(np.array([key], np.uint64), text[None])[0]
    np.testing.assert_allclose(shop.world.store.learned(STORE, [key])[key], place, atol=1e-3)


def test_lists_find_what_lies_near_and_say_why(shop):
    do(shop, "bob", ("view", "item01", 9), ("purchase", "item02", 1), ("dislike", "item03", 0))
    near, place = places(shop, ITEMS), known(shop, "bob").learned.vector
    with put_in_place(shop.world, blend={**shop.world.blend, "for_you": {"learned": 1.0}}):
        slate = for_you(shop, "bob", seen="drop")
    left = [item for item in (*ITEMS, "brand-new") if item not in ("item01", "item02", "item03")]
    near |= places(shop, ["brand-new"])
    order = sorted(left, key=lambda item: -near[item] @ place)
    assert [item.item_id for item in slate.items] == order[:10]
    for item in slate.items:
        pull = {
            name: float(near[name] @ near[item.item_id]) / np.sqrt(1 + back)
            for name, back in (("item01", 2), ("item02", 1))
        }
        best = max(pull, key=pull.get)
        assert item.reason.kind == "because_of"
        assert item.reason.item_id == (best if pull[best] > 0 else None)
    assert known(shop, "stranger").learned is None


def test_the_ranker_is_told_how_near_each_candidate_lies(shop):
    do(shop, "cy", ("view", "item01", 2), ("view", "item02", 1))
    seen = {}

    class Witness(Unlearned):
        def get(self, store, task):
            return self

        def score(self, keys, names, rows):
            seen.update({name: rows[:, at] for at, name in enumerate(names)}, keys=keys)
            return np.zeros(len(keys), np.float32)

    with put_in_place(shop.world, rankers=Witness(), towers=Towerless()):
        for_you(shop, "cy")
    assert not seen["learned_near"].any()
    assert not seen["learned_score"].any()
    with put_in_place(shop.world, rankers=Witness()):
        for_you(shop, "cy")
    near = shop.world.store.learned(STORE, seen["keys"].tolist())
    rows = np.array([near[key] for key in seen["keys"].tolist()])
    found = {name: values for name, values in seen.items() if name.startswith("learned_")}
    np.testing.assert_allclose(found["learned_near"], rows @ expected(shop, "cy"), atol=2e-3)
    last = places(shop, ["item02"])["item02"]
    np.testing.assert_allclose(found["learned_last"], rows @ last, atol=2e-3)
    assert found["learned_gap"].max() == 0
    assert found["learned_place"][found["learned_near"].argmax()] == 0


def test_a_broken_tower_stops_nothing(shop, home):
    at = home / LEARNED / STORE / KIND / "v1" / "model.onnx"
    whole = at.read_bytes()
    try:
        at.write_bytes(b"broken")
        with put_in_place(shop.world, towers=Towers(shelf_in(home / LEARNED))):
            do(shop, "fay", ("view", "item01", 1))
            assert known(shop, "fay").profile.counted == 1
            assert known(shop, "fay").learned is None
            assert for_you(shop, "fay").degraded is None
    finally:
        at.write_bytes(whole)


def test_a_shopper_is_placed_when_folded_and_anew_under_another_tower(shop, home):
    do(shop, "ann", *(("view", item, 30 - n / 10) for n, item in enumerate(ITEMS[:60])))
    assert stored(shop, "ann") == {**stored(shop, "ann"), "by": "v1", "missing": 0}
    np.testing.assert_allclose(known(shop, "ann").learned.vector, expected(shop, "ann"), atol=2e-3)
    np.testing.assert_allclose(
        known(shop, "early").learned.vector, expected(shop, "early"), atol=2e-3
    )
    do(shop, "ann", ("purchase", "item65", 0), ("view", "nowhere", 0))
    assert stored(shop, "ann")["missing"] == 1
    before = expected(shop, "ann")
    put(shop, ["nowhere"])
    np.testing.assert_allclose(known(shop, "ann").learned.vector, expected(shop, "ann"), atol=2e-3)

    promote(shop, home, "v2")
    found = known(shop, "ann").learned
    assert (found.version, stored(shop, "ann")["by"]) == ("v2", "v1")
    np.testing.assert_allclose(found.vector, expected(shop, "ann"), atol=2e-3)
    assert found.vector @ before < 0.9
    assert shop.forget(STORE, "u:ann")["verified"]
    assert known(shop, "ann").learned is None
