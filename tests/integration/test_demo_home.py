"""`windowshop demo` on a small shop of the same shape: loaded once, continued when cut off."""

import json
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from windowshop import demo
from windowshop.errors import InvalidInput
from windowshop.local import open_shop
from windowshop.records import Request

PRODUCTS = 40
HOUSEHOLDS = 12
BASKETS = 35


def column(values: list[Any], kind: Any) -> Array:
    return Array(values, kind)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Parquet files with the columns of the real ones; product 999 is not in the table."""
    folder = tmp_path_factory.mktemp("data")
    number, text = DataType.int64(), DataType.string()
    kinds = ["CHOCOLATE MILK", "DRY DOG FOOD", "SHREDDED CHEESE", "PAPER TOWELS & HOLDERS"]
    shelves = ["FLUID MILK PRODUCTS", "DOG FOODS", "CHEESE", "PAPER TOWELS"]
    write_parquet(
        Table.from_pydict(
            {
                "product_id": column(list(range(PRODUCTS)), number),
                "manufacturer_id": column([69] * PRODUCTS, number),
                "department": column(["GROCERY"] * PRODUCTS, text),
                "brand": column(["Private"] * PRODUCTS, text),
                "product_category": column([shelves[n % 4] for n in range(PRODUCTS)], text),
                "product_type": column([kinds[n % 4] for n in range(PRODUCTS)], text),
                "package_size": column([f"{n + 1} OZ" for n in range(PRODUCTS)], text),
            }
        ),
        folder / "products.parquet",
    )
    lines = [
        (house, house * 1000 + basket, product if product < PRODUCTS else 999, basket)
        for house in range(HOUSEHOLDS)
        for basket in range(BASKETS)
        for product in {house, (house + basket) % 50, (basket * 7) % PRODUCTS}
    ]
    start = datetime(2017, 1, 1)  # noqa: DTZ001 (the till's time has no zone)
    times = [(start + timedelta(days=line[3]) - datetime(1970, 1, 1)) for line in lines]  # noqa: DTZ001
    write_parquet(
        Table.from_pydict(
            {
                "household_id": column([line[0] for line in lines], number),
                "basket_id": column([line[1] for line in lines], number),
                "product_id": column([line[2] for line in lines], number),
                "quantity": column([1] * len(lines), number),
                "sales_value": column([2.5] * len(lines), DataType.float64()),
                "transaction_timestamp": column(
                    [round(t.total_seconds() * 1000) for t in times], number
                ).cast(DataType.timestamp("ms")),
            }
        ),
        folder / "transactions.parquet",
    )
    return folder


@contextmanager
def no_bar(_: str, __: int | None = None) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


def prepare(home: Path, data: Path) -> list[str]:
    said: list[str] = []
    demo.prepare(home, data, no_bar, said.append)
    return said


def state(home: Path) -> dict[str, Any]:
    shop = open_shop(home)
    try:
        slate = shop.recommend("default", Request(user_id="1", limit=10))
        return {
            **shop.ready("default"),
            "events": shop.world.log.count("default"),
            "behind": shop.world.log.unfolded("default"),
            "waiting": shop.world.store.waiting("default", 10),
            "clock": shop.world.settings.clock,
            "as_of": slate.as_of,
            "slate": [(item.item_id, round(item.score, 4)) for item in slate.items],
        }
    finally:
        shop.close()


@pytest.fixture(scope="module")
def loaded(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("demo") / "home"
    prepare(home, data)
    return home


def test_all_products_and_purchases_are_there(loaded: Path) -> None:
    found = state(loaded)
    assert (found["items"], found["users"]) == (PRODUCTS, HOUSEHOLDS)
    assert found["events"] > 1000
    assert (found["behind"], found["waiting"]) == ([], [])
    assert found["clock"] == "events"
    assert found["as_of"].startswith("2017-02-04")


def test_example_shoppers_are_there_for_the_page(loaded: Path) -> None:
    shoppers = json.loads((loaded / "page" / "shoppers.json").read_text("utf-8"))
    assert shoppers
    assert all(set(shopper) == {"user_id", "name", "description"} for shopper in shoppers)


def test_a_second_run_finds_what_is_there(loaded: Path, data: Path) -> None:
    log = (loaded / "log.sqlite").stat().st_mtime_ns
    begin = time.monotonic()
    assert "is loaded" in " ".join(prepare(loaded, data))
    assert time.monotonic() - begin < 5
    assert (loaded / "log.sqlite").stat().st_mtime_ns == log


@pytest.mark.parametrize("delay_s", [0.8, 1.2, 1.6, 2.0, 2.6])
def test_a_run_that_was_killed_is_continued(
    loaded: Path, data: Path, tmp_path: Path, delay_s: float
) -> None:
    """Wherever the kill falls, the next run ends where an undisturbed one does."""
    home = tmp_path / "home"
    script = """
        import sys
        from pathlib import Path
        from contextlib import contextmanager
        from windowshop import demo

        @contextmanager
        def bar(label, total=None):
            yield lambda count: None

        demo.prepare(Path(sys.argv[1]), Path(sys.argv[2]), bar, print)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(home), str(data)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(delay_s)
    process.kill()
    process.wait()
    prepare(home, data)
    assert state(home) == state(loaded)


def test_a_home_of_something_else_is_left_alone(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_shop(home).close()
    before = sorted(path.name for path in home.iterdir())
    with pytest.raises(InvalidInput, match="--home"):
        prepare(home, data)
    assert sorted(path.name for path in home.iterdir()) == before


def test_settings_that_were_there_stay(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "windowshop.toml").write_text('log_level = "error"\n[weights]\nview = 2.0\n', "utf-8")
    prepare(home, data)
    text = (home / "windowshop.toml").read_text("utf-8")
    assert text == 'clock = "events"\nlog_level = "error"\n[weights]\nview = 2.0\n'


def test_new_data_are_loaded_over_the_old(loaded: Path, data: Path, tmp_path: Path) -> None:
    home, changed = tmp_path / "home", tmp_path / "data"
    shutil.copytree(loaded, home)
    shutil.copytree(data, changed)
    table = demo.source.products(changed)
    kept = {name: list(values)[:-1] for name, values in table.items()}
    number, text = DataType.int64(), DataType.string()
    write_parquet(
        Table.from_pydict(
            {
                name: column(values, number if name.endswith("_id") else text)
                for name, values in kept.items()
            }
        ),
        changed / "products.parquet",
    )
    assert any("loading" in line or "load" in line for line in prepare(home, changed))
    assert state(home)["events"] == state(loaded)["events"]
