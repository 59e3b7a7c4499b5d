"""The demo's conversions, on small made-up tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from windowshop.demo import catalogue, purchases
from windowshop.demo.shoppers import Taste, shoppers
from windowshop.demo.wording import readable, readable_size, whole_words
from windowshop.profile import event_row
from windowshop.records import Event, Item

NOON = np.datetime64("2017-01-01T12:00:00", "ms")


def till(rows: Sequence[tuple[int, int, int, int, float, int]]) -> Mapping[str, Any]:
    """Rows of household, basket, product, quantity, sales value, seconds after noon."""
    household, basket, product, quantity, paid, seconds = zip(*rows, strict=True)
    return {
        "household_id": np.array(household),
        "basket_id": np.array(basket),
        "product_id": np.array(product),
        "quantity": np.array(quantity),
        "sales_value": np.array(paid),
        "transaction_timestamp": NOON + np.array(seconds).astype("timedelta64[s]"),
    }


def table(**columns: list[Any]) -> Mapping[str, Sequence[Any]]:
    """A product table; what is not given is empty."""
    count = len(columns["product_id"])
    return {name: columns.get(name, [None] * count) for name in catalogue.COLUMNS}


def made(department: str, category: str | None, kind: str | None, size: str | None = None) -> Item:
    products = table(
        product_id=[7],
        manufacturer_id=[69],
        department=[department],
        brand=["Private"],
        product_category=[category],
        product_type=[kind],
        package_size=[size],
    )
    return next(iter(catalogue.items(products, {7: 1.5})))


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("till_word", "words"),
    [
        ("FRZN PIZZA", "Frozen Pizza"),
        ("BREAD:ITALIAN/FRENCH", "Bread: Italian/French"),
        ("APPLES RED DELICIOUS (BULK&BAG", "Apples Red Delicious"),
        ("PEANUT BUTTER (EX: ORGANIC)", "Peanut Butter"),
        ("WOMEN S GENERAL-MAGAZINE", "Women's General-Magazine"),
        ("POPULAR 750ML WINES", "Popular 750ml Wines"),
        ("HAND AND BODY LOTIONS", "Hand and Body Lotions"),
        ("CANDY W/FLOUR", "Candy with Flour"),
        ("", ""),
    ],
)
def test_till_words_become_readable(till_word: str, words: str) -> None:
    assert readable(till_word) == words


def test_a_word_that_was_cut_off_is_dropped_unless_it_is_known_whole() -> None:
    cut = "FRZN BREAKFAST ENTREES/SANDWIC"
    assert len(cut) == 30
    assert readable(cut, whole_words(["SANDWICHES"])) == "Frozen Breakfast Entrees"
    assert readable(cut, whole_words(["SANDWIC"])).endswith("Sandwic")


@pytest.mark.parametrize(
    ("till_size", "size"),
    [
        ("1 GA", "1 gal"),
        ("9.50 OZ", "9.5 oz"),
        (".5 L", "0.5 L"),
        ("12 PK/12 OZ", "12 pack/12 oz"),
        ("N  14.75 OZ", "14.75 oz"),
        ("532549 5 PK", "5 pack"),
        ("1 3/4 OZ", "1 3/4 oz"),
        ("LB", "per lb"),
        ("GAL", "1 gal"),
        ("CTN", None),
        ("523217 CTN", None),
        (None, None),
    ],
)
def test_sizes_become_readable_or_nothing(till_size: str | None, size: str | None) -> None:
    assert readable_size(till_size) == size


# --- items ---------------------------------------------------------------------------------------


def test_a_product_becomes_an_item() -> None:
    item = made("GROCERY", "FLUID MILK PRODUCTS", "CHOCOLATE MILK", "1 GA")
    assert item == Item(
        item_id="7",
        title="Chocolate Milk 1 gal",
        category=["Grocery", "Fluid Milk Products", "Chocolate Milk"],
        brand="Private",
        price=1.5,
        currency="USD",
        attributes={"manufacturer": "69"},
    )


def test_a_type_that_says_nothing_takes_its_category_along() -> None:
    assert made("MEAT", "BEEF", "LEAN").title == "Lean Beef"


def test_fruit_is_not_titled_by_the_case_that_the_shop_gets() -> None:
    assert made("PRODUCE", "TROPICAL FRUIT", "BANANAS", "40 LB").title == "Bananas"
    assert made("PRODUCE", "POTATOES", "POTATOES RUSSET", "5 LB").title == "Potatoes Russet 5 lb"


def test_products_without_type_or_category_still_have_a_title_and_a_path() -> None:
    item = made("MISCELLANEOUS", None, None, "5 LB")
    assert (item.title, item.category) == ("Miscellaneous 5 lb", ["Miscellaneous"])


def test_a_step_of_the_path_is_not_repeated() -> None:
    assert made("COUPON", "COUPON", "COUPON").category == ["Coupon"]


def test_what_was_never_sold_has_no_price() -> None:
    products = table(product_id=[8], department=["GROCERY"])
    item = next(iter(catalogue.items(products, {})))
    assert (item.price, item.currency, item.attributes) == (None, None, None)


# --- purchases -----------------------------------------------------------------------------------


def test_lines_are_ordered_by_household_and_time_and_numbered_within_their_basket() -> None:
    sold = purchases.purchases(
        till(
            [
                (2, 20, 5, 1, 1.0, 9),
                (1, 11, 5, 1, 1.0, 8),
                (1, 10, 6, 1, 1.0, 3),
                (1, 10, 5, 1, 1.0, 3),
            ]
        )
    )
    assert sold.household.tolist() == [1, 1, 1, 2]
    assert sold.basket.tolist() == [10, 10, 11, 20]
    assert sold.product.tolist() == [6, 5, 5, 5]
    assert sold.line.tolist() == [1, 2, 1, 1]
    assert sold.time.tolist()[0] == 1_483_272_003_000  # noon and three seconds, taken for UTC


def test_a_quantity_of_zero_is_a_purchase_without_quantity_and_price() -> None:
    sold = purchases.purchases(till([(1, 10, 5, 0, 0.0, 0)]))
    assert math.isnan(sold.quantity[0])
    assert math.isnan(sold.price[0])


def test_the_price_is_that_of_one_unit() -> None:
    assert purchases.purchases(till([(1, 10, 5, 2, 2.78, 0)])).price.tolist() == [1.39]


def test_petrol_is_counted_in_gallons() -> None:
    sold = purchases.purchases(till([(1, 10, 5, 8725, 20.06, 0), (1, 10, 6, 144, 24.0, 0)]))
    assert sold.quantity.tolist() == [8.725, 144.0]
    assert sold.price.tolist() == [2.3, 0.17]


def test_an_items_price_is_the_median_of_what_was_paid() -> None:
    sold = purchases.purchases(
        till(
            [
                (1, 10, 5, 1, 3.0, 0),
                (1, 10, 5, 1, 1.0, 1),
                (1, 10, 5, 2, 4.0, 2),
                (1, 11, 6, 0, 0.0, 3),
            ]
        )
    )
    assert purchases.median_prices(sold) == {5: 2.0}


def test_no_lines_are_no_purchases() -> None:
    empty = {name: column[:0] for name, column in till([(1, 1, 1, 1, 1.0, 0)]).items()}
    sold = purchases.purchases(empty)
    assert len(sold) == 0
    assert purchases.median_prices(sold) == {}
    assert purchases.event_rows(sold, {}, 0, 0) == []


def test_rows_are_what_an_event_would_have_become() -> None:
    """The short cut past `Event` must not be noticed by anybody."""
    sold = purchases.purchases(
        till([(1, 10, 5, 2, 2.78, 0), (1, 10, 6, 0, 0.0, 0), (2, 20, 5, 8725, 20.06, 5)])
    )
    events = [
        {"user_id": "1", "item_id": "5", "quantity": 2.0, "price": 1.39, "event_id": "10-5-1"},
        {"user_id": "1", "item_id": "6", "event_id": "10-6-2"},
        {"user_id": "2", "item_id": "5", "quantity": 8.725, "price": 2.3, "event_id": "20-5-1"},
    ]
    expected = [
        event_row(
            "default",
            Event.model_validate(
                {
                    "kind": "purchase",
                    "currency": "USD",
                    "timestamp": int(sold.time[row]) / 1000,
                    **event,
                }
            ),
            row,
            0,
            {},
        )
        for row, event in enumerate(events)
    ]
    names = purchases.item_names(sold, "default")
    assert purchases.event_rows(sold, names, 0, 3) == expected
    assert purchases.event_rows(sold, names, 1, 2) == expected[1:2]


# --- shoppers ------------------------------------------------------------------------------------


def test_a_shopper_is_who_shows_a_taste_most_and_shops_often_enough() -> None:
    rows = []
    for basket in range(40):  # household 1 buys dog food in every other basket, 2 rarely
        rows.append((1, 1000 + basket, 5 if basket % 2 else 6, 1, 1.0, basket))
        rows.append((2, 2000 + basket, 5 if basket == 0 else 6, 1, 1.0, basket))
    rows.append((3, 3000, 5, 1, 1.0, 0))  # dog food only, and never seen again
    rows.append((1, 1000, 99, 1, 1.0, 0))  # a product that the table does not know
    products = table(
        product_id=[5, 6],
        product_category=["DOG FOODS", "EGGS"],
        product_type=["DRY DOG FOOD", "EGGS - LARGE"],
    )
    taste = Taste("The dog's household", frozenset({"DOG FOODS"}))
    nobody = Taste("The cat's household", frozenset({"CAT FOOD"}))
    found = shoppers(purchases.purchases(till(rows)), products, [taste, nobody])
    assert [shopper["user_id"] for shopper in found] == ["1"]
    assert "Dry Dog Food" in found[0]["description"]
    assert "40 baskets" in found[0]["description"]
