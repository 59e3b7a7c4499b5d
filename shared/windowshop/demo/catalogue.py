"""Pure: the demo's products as items."""

from collections.abc import Iterator, Mapping, Sequence

from windowshop.demo.wording import readable, readable_size, whole_words
from windowshop.records import Item

COLUMNS = (
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)
CURRENCY = "USD"

# Types that say nothing without their category: "Premium" is ice cream, "Lean" is beef.
_VAGUE = frozenset(
    "BLENDS CHOICE CUPS DRY ECONOMY ENHANCED ENTREES EXTERNAL FRESH INTERNAL KITS LEAN LOAVE"
    " MAINSTREAM MARINATED MISC MISCELLANEOUS NOVELTIES OTHER PINTS POPULAR PREMIUM PRIMAL PROMO"
    " PROMOTIONAL QUARTS SEASONAL SELECT SPECIALTY TRADITIONAL VALUE WINGS".split()
)
_DEPARTMENTS = {
    "CNTRL/STORE SUP": "Store Supplies",
    "CHARITABLE CONT": "Charity",
    "DRUG GM": "Drugstore & General Merchandise",
    "ELECT &PLUMBING": "Electrical & Plumbing",
    "GM MERCH EXP": "General Merchandise",
    "MEAT-PCKGD": "Packaged Meat",
    "PROD-WHS SALES": "Warehouse Sales",
    "SEAFOOD-PCKGD": "Packaged Seafood",
}


def items(products: Mapping[str, Sequence[object]], prices: Mapping[int, float]) -> Iterator[Item]:
    """Every product as an item; `products` is the package's table by column (see COLUMNS)."""
    types: Sequence[str | None] = products["product_type"]  # type: ignore[assignment]
    known = whole_words({phrase for phrase in types if phrase})
    wording = _Wording(known)
    rows = zip(*(products[name] for name in COLUMNS), strict=True)
    for product, manufacturer, department, brand, category, kind, size in rows:
        title, path = wording.of(_text(department), _text(category), _text(kind), _text(size))
        yield Item(
            item_id=str(product),
            title=title,
            category=list(path),
            brand=_text(brand) or None,
            price=prices.get(int(product)) if isinstance(product, int) else None,
            currency=CURRENCY if product in prices else None,
            attributes=None if manufacturer is None else {"manufacturer": str(manufacturer)},
        )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


class _Wording:
    """Titles and paths by their till codes: 20,770 distinct ones serve 92,331 products."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._made: dict[tuple[str, str, str, str], tuple[str, tuple[str, ...]]] = {}

    def of(
        self, department: str, category: str, kind: str, size: str
    ) -> tuple[str, tuple[str, ...]]:
        codes = (department, category, kind, size)
        if codes not in self._made:
            self._made[codes] = self._make(*codes)
        return self._made[codes]

    def _make(
        self, department: str, category: str, kind: str, size: str
    ) -> tuple[str, tuple[str, ...]]:
        place = _DEPARTMENTS.get(department) or readable(department) or "Miscellaneous"
        shelf = readable(category)
        name = readable(kind, self._known)
        path = [place]
        for step in (shelf, name):
            if step and step != path[-1]:
                path.append(step)
        title = name or shelf or place
        if kind in _VAGUE and shelf:
            title = f"{name} {shelf}"
        unit = readable_size(size)
        if unit and not _is_case(department, unit):
            title = f"{title} {unit}"
        return title, tuple(path)


def _is_case(department: str, size: str) -> bool:
    """Fruit and vegetables often carry the size of the shop's case ("Bananas 40 lb")."""
    if department != "PRODUCE":
        return False
    amount, _, unit = size.partition(" ")
    return unit == "ct" or (
        unit == "lb" and amount.replace(".", "").isdigit() and float(amount) > 10
    )
