"""What a ranker is told of candidates, in numbers worked out by hand."""

import math

import numpy as np
import pytest

from windowshop.features import NEVER
from windowshop.local import open_shop
from windowshop.records import Event, Item, Request, item_key
from windowshop.train.examples import Witness

DAY = 86_400

# id, category, brand, price
ITEMS = [
    ("tea", ["Drinks", "Tea"], "Leaf", 4.0),
    ("mint", ["Drinks", "Tea"], "Herb", 8.0),
    ("cola", ["Drinks", "Soda"], "Leaf", 2.0),
    ("soap", ["Bath"], None, 1.0),
    ("gift", None, None, None),
]
BOUGHT = [("tea", 21), ("soap", 21), ("tea", 11), ("cola", 1), ("gift", 1)]


@pytest.fixture
def shop(tmp_path):
    shop = open_shop(tmp_path)
    shop.put_items("default", [item(*one) for one in ITEMS])
    while shop.embed_waiting("default"):
        pass
    now = shop.world.wall()
    shop.world.wall = lambda: now
    bought = [
        Event(kind="purchase", user_id="ann", item_id=name, timestamp=now / 1000 - days * DAY)
        for name, days in BOUGHT
    ]
    others = [
        Event(kind="purchase", user_id=user, item_id="mint", timestamp=now / 1000 - DAY)
        for user in ("bob", "cem")
    ]
    shop.record("default", [*bought, *others], now)
    yield shop
    shop.close()


def item(name, category, brand, price):
    given = {"category": category, "brand": brand, "price": price}
    return Item(item_id=name, title=name, **{k: v for k, v in given.items() if v is not None})


def told(shop, user="ann", seen="keep"):
    """name -> feature -> value, of every candidate."""
    shop.world.rankers = witness = Witness()
    shop.recommend("default", Request(scenario="for_you", user_id=user, seen=seen))
    by_key = {item_key("default", name): name for name, *_ in ITEMS}
    return {
        by_key[key]: dict(zip(witness.names, row, strict=True))
        for key, row in zip(witness.keys.tolist(), witness.rows.tolist(), strict=True)
    }


def test_categories_brands_and_prices(shop):
    """Of ann's five: tea twice, cola, soap, and a gift of which nothing is known."""
    rows = told(shop)
    assert {name: row["type_share"] for name, row in rows.items()} == pytest.approx(
        {"tea": 0.4, "mint": 0.4, "cola": 0.2, "soap": 0.2, "gift": 0.0}
    )
    assert {name: row["aisle_share"] for name, row in rows.items()} == pytest.approx(
        {"tea": 0.6, "mint": 0.6, "cola": 0.6, "soap": 0.2, "gift": 0.0}
    )
    assert {name: row["brand_share"] for name, row in rows.items()} == pytest.approx(
        {"tea": 0.6, "mint": 0.0, "cola": 0.6, "soap": 0.0, "gift": 0.0}
    )
    assert {name: row["type_days"] for name, row in rows.items()} == pytest.approx(
        {"tea": 11, "mint": 11, "cola": 1, "soap": 21, "gift": NEVER}
    )
    assert {name: row["aisle_variety"] for name, row in rows.items()} == pytest.approx(
        {"tea": 2 / 3, "mint": 2 / 3, "cola": 2 / 3, "soap": 1, "gift": 0}
    )
    # Paid: 4, 4, 2 and 1; their median is 3.
    assert {name: row["dear"] for name, row in rows.items()} == pytest.approx(
        {
            "tea": math.log(4 / 3),
            "mint": math.log(8 / 3),
            "cola": math.log(2 / 3),
            "soap": math.log(1 / 3),
            "gift": 0.0,
        },
        rel=1e-5,
    )


def test_repeats(shop):
    tea = told(shop)["tea"]
    assert tea["own_count"] == 2
    assert tea["own_days"] == pytest.approx(11)
    assert tea["own_gap"] == pytest.approx(10)
    assert tea["own_due"] == pytest.approx(1.1)
    assert tea["own_7"] == pytest.approx(2 ** (-21 / 7) + 2 ** (-11 / 7), rel=1e-5)
    assert tea["own_baskets"] == pytest.approx(2 / 3)
    assert tea["own_last_basket"] == 0
    assert told(shop)["cola"]["own_last_basket"] == 1
    assert told(shop)["mint"]["own_count"] == 0


def test_how_many_have_it(shop):
    rows = told(shop)
    assert rows["mint"]["users"] == pytest.approx(math.log(3))
    assert rows["mint"]["users_share"] == pytest.approx(2 / 3)


def test_what_like_minded_shoppers_took(shop):
    """Dan, who is like ann by her tea, took mint twice of late; eve, by her cola, once, a day ago."""
    now = shop.world.wall()
    bought = [
        ("dan", "tea", 5),
        ("dan", "mint", 0.5),
        ("dan", "mint", 0),
        ("eve", "cola", 1),
        ("eve", "mint", 1),
    ]
    shop.record(
        "default",
        [
            Event(kind="purchase", user_id=user, item_id=name, timestamp=now / 1000 - days * DAY)
            for user, name, days in bought
        ],
        now,
    )
    mint = told(shop)["mint"]
    assert mint["crowd_events"] == 3
    assert mint["crowd_people"] == 2
    assert 0 < mint["crowd_lately"] < mint["crowd_alike"]
    assert mint["crowd_lately_share"] == 1
    # Of her own four others only the two neighbours' tea and cola are told of.
    assert told(shop)["soap"]["crowd_people"] == 0


def test_a_card_that_changed_is_read_anew(shop):
    assert told(shop)["mint"]["dear"] == pytest.approx(math.log(8 / 3), rel=1e-5)
    shop.put_items("default", [item("mint", ["Bath"], "Leaf", 3.0)])
    mint = told(shop)["mint"]
    assert mint["dear"] == pytest.approx(0)
    assert mint["type_share"] == pytest.approx(0.2)
    assert mint["brand_share"] == pytest.approx(0.6)


def test_what_the_shopper_has_is_no_candidate_of_new_lists(shop):
    assert set(told(shop, seen="drop")) == {"mint"}


def test_every_number_is_one(shop):
    for row in told(shop, user="bob").values():
        assert np.isfinite(list(row.values())).all()
