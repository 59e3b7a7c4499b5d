"""`for_you` over HTTP at the demo's catalogue: throughput, latency at a steady rate, CPU by step,
freshness, memory. Server and load generator share this machine's cores.

Over HTTP the demo's 2,469 shoppers ask again and again, and do nothing in between: what their
interests find is remembered after the first time. `recommend_first_cpu_ms` and the steps are of
requests that remember nothing, as after every event of a shopper or change of an item.
"""

import asyncio
import random
import shutil
import subprocess
import time
from pathlib import Path

import orjson

from bench.load import Connection, flat_out, steady
from bench.shopfloor import CACHE, cpu_seconds, demo_home, rss_mb, serving

RATE, STEADY, SECONDS = 200.0, 4_000, 10
PATH = "/v1/recommendations"


def run() -> dict[str, float]:
    home = demo_home()
    shoppers = _shoppers(home)
    draw = random.Random(7)
    bodies = [orjson.dumps({"user_id": draw.choice(shoppers)}) for _ in range(5_000)]

    def body(number: int) -> bytes:
        return bodies[number % len(bodies)]

    figures = by_step(home, shoppers)
    with serving(home) as (url, pid):
        asyncio.run(flat_out(url, PATH, body, 4))  # warm
        before = cpu_seconds(pid)
        rps, calls = _throughput(url, bodies)
        figures["recommend_rps"] = rps
        figures["recommend_cpu_ms"] = (cpu_seconds(pid) - before) / calls * 1000
        even = asyncio.run(steady(url, PATH, body, RATE, STEADY))
        if even.errors:
            raise RuntimeError(f"{even.errors} slates failed")
        for share in (50, 90, 99):
            figures[f"recommend_p{share}_ms"] = even.percentile(share / 100)
        figures["freshness_p95_ms"] = asyncio.run(_freshness(url, shoppers))
        figures["serve_rss_mb"] = rss_mb(pid)
    return figures


def _shoppers(home: Path) -> list[str]:
    from windowshop.local import open_shop

    shop = open_shop(home)
    try:
        return [name[2:] for name in shop.world.log.users("default")]
    finally:
        shop.close()


def _throughput(url: str, bodies: list[bytes]) -> tuple[float, int]:
    """Requests a second at 16 connections, by wrk where there is one (its client costs least)."""
    if shutil.which("wrk") is None:
        measured = asyncio.run(flat_out(url, PATH, lambda n: bodies[n % len(bodies)], SECONDS))
        return len(measured.latencies) / measured.seconds, len(measured.latencies)
    script = CACHE / "slates.lua"
    lines = ",\n".join(f"[==[{body.decode()}]==]" for body in bodies)
    script.write_text(
        f"local bodies = {{{lines}}}\nlocal n = 0\n"
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        "request = function()\n n = n + 1\n"
        "return wrk.format(nil, nil, nil, bodies[n % #bodies + 1]) end\n"
        "done = function(s, l, r) io.write(string.format("
        '"FIGURES %d %d %d\\n", s.requests, s.duration, s.errors.status)) end\n'
    )
    out = subprocess.check_output(
        ("wrk", "-t1", "-c16", f"-d{SECONDS}s", "-s", str(script), url + PATH), text=True
    )
    requests, micros, errors = map(int, out.rsplit("FIGURES", 1)[1].split())
    if errors:
        raise RuntimeError(f"{errors} slates failed")
    return requests / micros * 1e6, requests


async def _freshness(url: str, shoppers: list[str]) -> float:
    """ms from the 202 of an event to the end of the first answer that counts it: p95 of 200."""
    connection = await Connection(url).open()
    draw = random.Random(11)
    waits = []
    for number in range(200):
        user = draw.choice(shoppers)
        stamp = time.time()
        event = {
            "kind": "view",
            "user_id": user,
            "item_id": "1",
            "timestamp": stamp,
            "event_id": f"f{number}-{stamp}",
        }
        status, _ = await connection.post("/v1/events", orjson.dumps({"events": [event]}))
        assert status == 202
        acknowledged = time.perf_counter()
        while True:
            _, answer = await connection.post(PATH, orjson.dumps({"user_id": user, "limit": 5}))
            as_of = orjson.loads(answer)["as_of"]
            if as_of is not None and as_of[:4] != "2017":
                break
        waits.append((time.perf_counter() - acknowledged) * 1000)
    connection.close()
    return sorted(waits)[int(0.95 * len(waits))]


def by_step(home: Path, shoppers: list[str], count: int = 1_000) -> dict[str, float]:
    """CPU ms of one `for_you`, split by step, inside one process without HTTP."""
    from windowshop import slates
    from windowshop.local import open_shop
    from windowshop.records import Request

    shop = open_shop(home)
    spent: dict[str, float] = {}

    def timed(owner: object, name: str, step: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: object, **kwargs: object) -> object:
            begun = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                spent[step] = spent.get(step, 0.0) + time.perf_counter() - begun

        setattr(owner, name, outer)

    timed(slates, "ask_of", "profile")
    timed(slates, "score", "candidates")
    timed(slates.Desk, "slate", "rerank")
    timed(slates, "reasons_of", "reasons")
    draw = random.Random(3)
    try:
        for _ in range(300):
            shop.recommend("default", Request(user_id=draw.choice(shoppers)))
        spent.clear()
        tenant = shop.world.tenant("default")
        begun = time.process_time()
        for _ in range(count):
            tenant.found.clear()
            shop.recommend("default", Request(user_id=draw.choice(shoppers)))
        whole = (time.process_time() - begun) / count * 1000
    finally:
        shop.close()
    steps = {f"step_{name}_ms": seconds / count * 1000 for name, seconds in spent.items()}
    return {"recommend_first_cpu_ms": whole, **steps}
