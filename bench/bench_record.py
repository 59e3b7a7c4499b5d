"""Events a second, durable: in bulk from a file, and through POST /v1/events."""

import asyncio
import shutil
import time

import orjson

from bench.load import flat_out
from bench.shopfloor import CACHE, cpu_seconds, serving
from bench.shopfloor import run as windowshop

BULK = 300_000
SECONDS = 8.0
PER_CALL = 10


def run() -> dict[str, float]:
    from windowshop.demo import read_purchases

    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "events.csv"
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp,event_id,quantity,price,currency,kind\n")
        for row in read_purchases(BULK):
            file.write(",".join("" if cell is None else str(cell) for cell in row) + "\n")
    home = CACHE / "record"
    shutil.rmtree(home, ignore_errors=True)
    bulk = windowshop("record", str(path), "--home", str(home))
    return {
        "record_bulk_per_s": bulk.answer["accepted"] / bulk.seconds,
        "record_bulk_cpu_us": bulk.cpu / bulk.answer["accepted"] * 1e6,
        **_over_http(home),
    }


def _over_http(home: object) -> dict[str, float]:
    from pathlib import Path

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

    assert isinstance(home, Path)
    with serving(home) as (url, pid):
        before, begun = cpu_seconds(pid), time.perf_counter()
        many = asyncio.run(flat_out(url, "/v1/events", body, SECONDS))
        cpu = cpu_seconds(pid) - before
        single = asyncio.run(flat_out(url, "/v1/events", lambda n: body(n, 1), SECONDS / 2))
        if many.errors or single.errors:
            raise RuntimeError(f"{many.errors + single.errors} calls were not accepted")
        del begun
        return {
            "record_http_per_s": len(many.latencies) * PER_CALL / many.seconds,
            "record_http_events_per_call": PER_CALL,
            "record_http_single_per_s": len(single.latencies) / single.seconds,
            "record_http_p95_ms": many.percentile(0.95),
            "record_http_cpu_us": cpu / (len(many.latencies) * PER_CALL) * 1e6,
        }
