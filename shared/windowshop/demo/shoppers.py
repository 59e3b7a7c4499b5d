"""Pure: a handful of households worth looking at, picked and described by what they buy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windowshop.demo.purchases import Purchases
from windowshop.demo.wording import readable

LEAST_BASKETS = 30
_NAMED_TYPES = 3


@dataclass(frozen=True, slots=True)
class Taste:
    """A way of shopping: the till's categories that show it."""

    name: str
    categories: frozenset[str]


TASTES = (
    Taste(
        "The one with the baby",
        frozenset(
            ("BABY FOODS", "BABYFOOD", "DIAPERS & DISPOSABLES", "INFANT FORMULA", "BABY HBC")
        ),
    ),
    Taste("The dog's household", frozenset(("DOG FOODS",))),
    Taste("The cat's household", frozenset(("CAT FOOD", "CAT LITTER"))),
    Taste(
        "The greengrocer's friend",
        frozenset(
            (
                "ORGANICS FRUIT & VEGETABLES",
                "VEGETABLES - ALL OTHERS",
                "VEGETABLES SALAD",
                "BERRIES",
                "CITRUS",
                "APPLES",
                "TROPICAL FRUIT",
                "STONE FRUIT",
                "TOMATOES",
            )
        ),
    ),
    Taste("The baker", frozenset(("BAKING NEEDS", "BAKING MIXES", "FLOUR & MEALS", "BAKING"))),
    Taste(
        "The wine drinker",
        frozenset(("DOMESTIC WINE", "IMPORTED WINE", "MISC WINE")),
    ),
    Taste("The pizza night", frozenset(("FROZEN PIZZA", "SOFT DRINKS", "BAG SNACKS"))),
)


def shoppers(
    sold: Purchases, products: Mapping[str, Sequence[object]], tastes: Sequence[Taste] = TASTES
) -> list[dict[str, str]]:
    """For each taste the household that shows it most, as `{user_id, name, description}`.

    Most: the highest share of its lines, among those with at least LEAST_BASKETS baskets.
    """
    households, who = np.unique(sold.household, return_inverse=True)
    baskets = _baskets(sold, who, len(households))
    lines = np.bincount(who, minlength=len(households))
    rows = _rows_of(sold.product, products["product_id"])
    category, kind = products["product_category"], products["product_type"]
    found: list[dict[str, str]] = []
    taken: set[int] = set()
    for taste in tastes:
        chosen = _fits(rows, category, taste.categories)
        share = np.bincount(who[chosen], minlength=len(households)) / np.maximum(lines, 1)
        share[baskets < LEAST_BASKETS] = 0
        share[list(taken)] = 0
        if not len(share) or not share.max():
            continue
        best = int(share.argmax())
        taken.add(best)
        names = _most_bought(rows[chosen & (who == best)], kind)
        found.append(
            {
                "user_id": str(households[best]),
                "name": taste.name,
                "description": f"{' · '.join(names)} are {round(100 * share[best])}% "
                f"of what they buy, in {baskets[best]} baskets",
            }
        )
    return found


def _baskets(sold: Purchases, who: NDArray[np.intp], count: int) -> NDArray[np.int64]:
    first = np.unique(sold.basket, return_index=True)[1]
    return np.bincount(who[first], minlength=count).astype(np.int64)


def _rows_of(product: NDArray[np.int64], known: Sequence[object]) -> NDArray[np.int64]:
    """Row of each product in the table; -1 where the table lacks it."""
    ids = np.asarray(known, np.int64)
    if not len(ids):
        return np.full(len(product), -1)
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], product), len(ids) - 1)
    rows = order[at]
    return np.where(ids[rows] == product, rows, -1)


def _fits(
    rows: NDArray[np.int64], category: Sequence[object], wanted: Collection[str]
) -> NDArray[np.bool_]:
    fits = np.fromiter((name in wanted for name in [*category, None]), bool, len(category) + 1)
    return fits[rows]


def _most_bought(rows: NDArray[np.int64], kind: Sequence[object]) -> list[str]:
    names: dict[str, int] = {}
    for row in rows.tolist():
        name = readable(str(kind[row] or ""))
        names[name] = names.get(name, 0) + 1
    return sorted(names, key=lambda name: (-names[name], name))[:_NAMED_TYPES]
