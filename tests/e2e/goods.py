"""A small catalogue with four kinds of things that no encoder takes for each other."""

import csv
import io

KINDS = {
    "hiking": (
        "Leather hiking boots", "Waterproof walking shoes", "Trekking poles, pair",
        "Two person tent", "Down sleeping bag", "Rucksack 40 litres",
    ),
    "coffee": (
        "Espresso beans, dark roast", "Filter coffee, medium roast", "Decaf ground coffee",
        "Espresso machine", "Burr coffee grinder", "Milk frother",
    ),
    "dogs": (
        "Dry food for puppies", "Chew bone for large dogs", "Retractable dog lead",
        "Soft dog bed", "Dog shampoo", "Tennis balls for dogs",
    ),
    "garden": (
        "Tomato seeds", "Watering can", "Pruning shears",
        "Potting soil 20 litres", "Rose fertiliser", "Garden hose 15 metres",
    ),
}  # fmt: skip
ALL = sum(map(len, KINDS.values()))


def rows(price=10.0, prefix=""):
    """Every item of every kind; ids are <prefix><kind>-<number>."""
    return [
        {
            "item_id": f"{prefix}{kind}-{n}",
            "title": title,
            "category": kind,
            "price": f"{price + n:.2f}",
        }
        for kind, titles in KINDS.items()
        for n, title in enumerate(titles)
    ]


def many(count):
    """That many items, each with a text of its own."""
    base = rows()
    return [
        {
            **base[n % ALL],
            "item_id": f"many-{n:05d}",
            "title": f"{base[n % ALL]['title']}, model {n}",
        }
        for n in range(count)
    ]


def as_csv(some):
    """Rows as a file."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(some[0]))
    writer.writeheader()
    writer.writerows(some)
    return out.getvalue().encode()


def kind_of(item_id):
    """The kind of an item, by its id."""
    return item_id.rsplit("-", 1)[0].rsplit("/", 1)[-1]
