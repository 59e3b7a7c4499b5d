"""Events a second, durable: in bulk from a file, and through POST /v1/events."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import orjson

from bench.load import flat_out
from bench.shopfloor import CACHE, cpu_seconds, serving
from bench.shopfloor import run as windowshop

BULK = 300_000
SECONDS = 8.0
PER_CALL = 10


def run() -> dict[str, float]:
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "events.csv"
    _write(path)
    home = CACHE / "record"
    shutil.rmtree(home, ignore_errors=True)
    bulk = windowshop("record", str(path), "--home", str(home))
    return {
        "record_bulk_per_s": bulk.answer["accepted"] / bulk.seconds,
        "record_bulk_cpu_us": bulk.cpu / bulk.answer["accepted"] * 1e6,
        **_over_http(home),
    }


def _write(path: Path) -> None:
    """The first purchases of the demo as a shop would export them."""
    from windowshop.demo import purchases, source

    sold = purchases.purchases(source.lines(source.folder()))
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp,event_id,quantity,price,currency,kind\n")
        for row in range(BULK):
            line = f"{sold.basket[row]}-{sold.product[row]}-{sold.line[row]}"
            quantity = max(1, int(np.nan_to_num(sold.quantity[row])))
            price = np.nan_to_num(sold.price[row])
            file.write(
                f"{sold.household[row]},{sold.product[row]},{sold.time[row] // 1000},{line},"
                f"{quantity},{price:.2f},USD,purchase\n"
            )


def _over_http(home: Path) -> dict[str, float]:
    def body(number: int, per_call: int = PER_CALL) -> bytes:
        user = f"shopper-{number % 5000}"
        return orjson.dumps(
            {
                "events": [
                    {"kind": "view", "user_id": user, "item_id": f"{(number * 7 + n) % 60000}"}
                    for n in range(per_call)
                ]
            }
        )

    with serving(home) as (url, pid):
        before = cpu_seconds(pid)
        many = asyncio.run(flat_out(url, "/v1/events", body, SECONDS))
        cpu = cpu_seconds(pid) - before
        single = asyncio.run(flat_out(url, "/v1/events", lambda n: body(n, 1), SECONDS / 2))
        if many.errors or single.errors:
            raise RuntimeError(f"{many.errors + single.errors} calls were not accepted")
        return {
            "record_http_per_s": len(many.latencies) * PER_CALL / many.seconds,
            "record_http_events_per_call": PER_CALL,
            "record_http_single_per_s": len(single.latencies) / single.seconds,
            "record_http_p95_ms": many.percentile(0.95),
            "record_http_cpu_us": cpu / (len(many.latencies) * PER_CALL) * 1e6,
        }
