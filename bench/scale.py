"""What a rate of requests asks of each part of a deployment, beside what an account may at first.

    .venv/bin/python -m bench.scale [--rate 20000] [--together 10] [--items 1000000]

The same assumptions as bench/cost.py; searches in Qdrant from docs/benchmarks.md.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.cost import LATEST, Shape, duration_ms, shape_of

EVENTS = 10  # for each slate
SEARCHES = 3  # for each slate that remembers nothing
# ms of one core for a search of 100 items (`python -m bench.bench_store --million`), by items.
SEARCH_MS = {10_000: 0.8, 100_000: 0.8, 1_000_000: 4.2}
READS_MS = 1.5  # the user, the neighbours, the payloads
UPSERT_MS = 0.3  # a user's vectors, an assumption
CORES, BUSY = 16, 0.6  # of a node, and how far it may be used
GUARD = 1.5  # room over what is needed on average
FEED_SHARDS, SHARD_WRITES = 8, 1_000  # parts of a store's feed; writes a second into one of them


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed, how it is reckoned, and what there is without asking."""

    what: str
    reckoned: str
    needed: str
    default: str


def needs(rate: float, together: int, items: int, shape: Shape) -> Iterator[Need]:
    events = rate * EVENTS
    posts = events / together
    calls = rate + posts
    slate = duration_ms(shape.slate_ms, shape.slate_waits_ms, shape)
    further = (together - 1) * shape.event_ms
    post = duration_ms(shape.post_ms + further, shape.post_waits_ms, shape)
    yield Need(
        "API Gateway, calls a second",
        f"{rate:,.0f} slates + {events:,.0f} events / {together}",
        f"{calls:,.0f}",
        "10,000 in most regions, 2,500 in some; raised on request",
    )
    busy = (rate * slate + posts * post) / 1_000
    yield Need(
        "Lambda, calls of `recommend` at once",
        f"({rate:,.0f} x {slate:.0f} ms + {posts:,.0f} x {post:.0f} ms) x {GUARD}",
        f"{busy * GUARD:,.0f}",
        "1,000 in all (a new account may have 10); raised on request",
    )
    yield Need(
        "Lambda, concurrency for the calls alone",
        f"{calls:,.0f} calls / 10 a second and unit",
        f"{calls / 10:,.0f}",
        "as above: the greater of the two counts",
    )
    yield Need(
        "Lambda, from nothing to there",
        f"{max(busy * GUARD, calls / 10):,.0f} / 1,000 every 10 s",
        f"{max(busy * GUARD, calls / 10) / 100:,.0f} s",
        "fixed, for each function",
    )
    yield Need(
        "SQS FIFO, messages sent a second",
        f"{events:,.0f} events / {together}",
        f"{posts:,.0f}",
        "70,000 in us-east-1, us-west-2, eu-west-1; 19,000 in us-east-2, eu-central-1",
    )
    batches = posts / 10  # at this rate batches are full
    fold = duration_ms((shape.fold_ms + further) * 10, shape.fold_waits_ms, shape)
    yield Need(
        "Lambda, calls of `events` at once",
        f"{batches:,.0f} batches of ten x {fold:.0f} ms x {GUARD}",
        f"{batches * fold / 1_000 * GUARD:,.0f}",
        "at most 1,000 a mapping (`events.concurrency`)",
    )
    entry = max(math.ceil(10 * together * shape.feed_bytes / 1_024), 1)
    writes = events + 2 * posts + batches * entry
    yield Need(
        "DynamoDB, writes a second",
        f"{events:,.0f} events + 2 x {posts:,.0f} heads + {batches:,.0f} x {entry} KB of feed",
        f"{writes:,.0f}",
        "40,000 a table; a new table begins at 4,000 and is warmed before a known peak",
    )
    yield Need(
        "DynamoDB, writes a second into one part of a store's feed",
        f"{batches:,.0f} x {entry} KB / {FEED_SHARDS}",
        f"{batches * entry / FEED_SHARDS:,.0f}",
        f"{SHARD_WRITES:,}, fixed: a single store ends there (FEED_SHARDS in aws/log/layout.py)",
    )
    each = SEARCHES * SEARCH_MS[items] + READS_MS
    cores = rate * each / 1_000 + posts * UPSERT_MS / 1_000
    yield Need(
        f"Qdrant, cores at {items:,} items",
        f"{rate:,.0f} x ({SEARCHES} x {SEARCH_MS[items]} + {READS_MS} ms)"
        f" + {posts:,.0f} x {UPSERT_MS} ms",
        f"{cores:,.0f}",
        "",
    )
    yield Need(
        f"Qdrant, nodes of {CORES} cores",
        f"{cores:,.0f} / ({CORES} x {BUSY})",
        f"{math.ceil(cores / (CORES * BUSY)):,}",
        "as replicas: every node holds all items",
    )


def main(arguments: list[str]) -> int:
    asked = argparse.ArgumentParser("python -m bench.scale", description=__doc__.splitlines()[0])
    asked.add_argument("--rate", type=float, default=20_000, help="slates a second")
    asked.add_argument("--together", type=int, default=10, help="events that come in one call")
    asked.add_argument("--items", type=int, default=1_000_000, choices=sorted(SEARCH_MS))
    given = asked.parse_args(arguments)
    figures = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    shape, said = shape_of(figures, {})
    print("\n".join(said), "\n")
    print("| what | reckoned | needed | by default |\n| --- | --- | ---: | --- |")
    for need in needs(given.rate, given.together, given.items, shape):
        print(f"| {need.what} | {need.reckoned} | {need.needed} | {need.default} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
