"""The demo's catalogue from a file to searchable: seconds on this machine, and peak memory."""

import shutil

import orjson

from bench.shopfloor import CACHE
from bench.shopfloor import run as windowshop


def run() -> dict[str, float]:
    from windowshop.demo import catalogue, purchases, source

    data = source.folder()
    prices = purchases.median_prices(purchases.purchases(source.lines(data)))
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "items.jsonl"
    with path.open("wb") as file:
        for item in catalogue.items(source.products(data), prices):
            file.write(orjson.dumps(item.model_dump(exclude_none=True)) + b"\n")
    home = CACHE / "ingest"
    shutil.rmtree(home, ignore_errors=True)
    first = windowshop("ingest", str(path), "--home", str(home))
    again = windowshop("ingest", str(path), "--home", str(home))
    assert again.answer["unchanged"] == first.answer["accepted"]
    return {
        "ingest_items": first.answer["accepted"],
        "ingest_seconds": first.seconds,
        "ingest_again_seconds": again.seconds,
        "ingest_peak_mb": first.peak_mb,
    }
