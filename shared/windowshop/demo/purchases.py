"""Pure: the demo's till lines as purchases, column by column."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from windowshop.profile import EventRow
from windowshop.records import KIND_CODE, event_key, item_key

COLUMNS = (
    "household_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "transaction_timestamp",
)

KIND = KIND_CODE["purchase"]
CURRENCY = "USD"
PETROL_UNITS, PETROL_PRICE, PER_GALLON = 100, 0.01, 1000
"""Petrol is rung up in thousandths of a gallon: no till sells a hundred of anything else for less
than a cent a piece."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """One row a till line, by household and then by time: a log is written fastest user by user.

    `quantity` and `price` are NaN where the till has none.
    """

    household: NDArray[np.int64]
    basket: NDArray[np.int64]
    product: NDArray[np.int64]
    line: NDArray[np.int64]
    """Place in the basket, from 1."""
    time: NDArray[np.int64]
    """Milliseconds since the epoch; the till's local time has no zone and is taken for UTC."""
    quantity: NDArray[np.float64]
    price: NDArray[np.float64]
    """Of one unit, in dollars, rounded to cents."""

    def __len__(self) -> int:
        return len(self.product)


def purchases(lines: Mapping[str, NDArray[np.generic]]) -> Purchases:
    """Till lines (see COLUMNS; any order) as purchases."""
    stamp = lines["transaction_timestamp"].astype("datetime64[ms]").astype(np.int64)
    household = lines["household_id"].astype(np.int64)
    basket = lines["basket_id"].astype(np.int64)
    order = np.lexsort((np.arange(len(stamp)), basket, stamp, household))
    basket = basket[order]
    quantity = lines["quantity"].astype(np.float64)[order]
    paid = lines["sales_value"].astype(np.float64)[order]
    quantity[quantity <= 0] = np.nan
    with np.errstate(invalid="ignore"):
        petrol = (quantity >= PETROL_UNITS) & (paid / quantity < PETROL_PRICE)
    quantity[petrol] /= PER_GALLON
    return Purchases(
        household=household[order],
        basket=basket,
        product=lines["product_id"].astype(np.int64)[order],
        line=_places(basket),
        time=stamp[order],
        quantity=quantity,
        price=np.round(paid / quantity, 2),
    )


def _places(basket: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, its place within its run of equal baskets, from 1."""
    if not len(basket):
        return np.zeros(0, np.int64)
    rows = np.arange(len(basket))
    starts = np.flatnonzero(np.r_[True, basket[1:] != basket[:-1]])
    return rows - np.repeat(starts, np.diff(np.r_[starts, len(basket)])) + 1


def median_prices(sold: Purchases) -> dict[int, float]:
    """What a unit of each product cost: the median of its lines (the lower of two middle ones)."""
    priced = ~np.isnan(sold.price) & (sold.price > 0)
    product, price = sold.product[priced], sold.price[priced]
    order = np.lexsort((price, product))
    product, price = product[order], price[order]
    names, starts, counts = np.unique(product, return_index=True, return_counts=True)
    middle = price[starts + (counts - 1) // 2]
    return dict(zip(names.tolist(), middle.tolist(), strict=True))


Names = dict[int, tuple[str, int]]


def item_names(sold: Purchases, store: str) -> Names:
    """Id and key of every product that was sold."""
    names = ((product, str(product)) for product in np.unique(sold.product).tolist())
    return {product: (name, item_key(store, name)) for product, name in names}


def event_rows(sold: Purchases, names: Names, start: int, stop: int) -> list[EventRow]:
    """Purchases start..stop as rows of the log: what `Event` and `event_row` would have made.

    Columns are made whole and zipped: 1.5 million in a few seconds. The event's id is its basket,
    product and line, so that loading twice changes nothing.
    """
    part = slice(start, stop)
    product = sold.product[part].tolist()
    ids = [
        f"{basket}-{item}-{line}"
        for basket, item, line in zip(
            sold.basket[part].tolist(), product, sold.line[part].tolist(), strict=True
        )
    ]
    users = {user: f"u:{user}" for user in set(sold.household[part].tolist())}
    quantity = sold.quantity[part]
    count = len(product)
    columns = (
        [users[user] for user in sold.household[part].tolist()],
        ids,
        map(event_key, ids),
        [KIND] * count,
        sold.time[part].tolist(),
        range(start, start + count),
        [names[item][0] for item in product],
        [names[item][1] for item in product],
        np.where(np.isnan(quantity), 1.0, quantity).tolist(),
        _rests(quantity, sold.price[part]),
    )
    return list(map(EventRow._make, zip(*columns, strict=True)))


def _rests(quantity: NDArray[np.float64], price: NDArray[np.float64]) -> list[bytes]:
    """Quantity, price and currency as the log keeps them: JSON, made once for each pair."""
    pairs = np.nan_to_num(quantity, nan=-1) + 1j * np.nan_to_num(price, nan=-1)
    distinct, which = np.unique(pairs, return_inverse=True)
    made = [
        orjson.dumps(
            {
                name: value
                for name, value in (("quantity", amount), ("price", paid), ("currency", CURRENCY))
                if value != -1
            }
        )
        for amount, paid in zip(distinct.real.tolist(), distinct.imag.tolist(), strict=True)
    ]
    return [made[at] for at in which.tolist()]
