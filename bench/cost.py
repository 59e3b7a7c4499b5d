"""Dollars a month on AWS, from the CPU times that were measured and a dated table of prices.

    .venv/bin/python -m bench.cost [--slate-ms 5] [--post-ms 1.5] [--fold-ms 2] [--kept-months 3]

CPU times come from bench/latest.json where they were measured (`python -m bench functions ...`);
what was not measured, or is given, is said in the first lines. No free tier is counted but the
traffic's. Every assumption that is no price is a field of `Load` or of `Shape`, with its reason.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

LATEST = Path(__file__).with_name("latest.json")
PRICES = Path(__file__).with_name("prices.toml")
HOURS = 730.0
SECONDS = HOURS * 3_600
FULL_CORE_MB = 1_769  # of a function's memory: from here on it has a whole core
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How much work one of each is; CPU times as measured, in ms."""

    slate_ms: float = 5.0
    """A request through Mangum, without waiting."""
    post_ms: float = 1.5
    """A call with one event through Mangum, without waiting."""
    fold_ms: float = 2.0
    """A message of events, logged and folded, at ten a batch, without waiting."""
    event_ms: float = 0.1
    """What each further event of a call or message adds."""
    slower: float = 2.0
    """A core of Lambda's arm64 machines against the one that was measured: an assumption."""
    slate_waits_ms: float = 8.0
    """Qdrant, twice or three times, in the same region."""
    post_waits_ms: float = 8.0
    """SQS, once."""
    fold_waits_ms: float = 50.0
    """A batch: DynamoDB six times, Qdrant three times."""
    memory_gb: float = 1.0
    """As infra/config.py has it for `recommend` and `events`."""
    batch: float = 3.0
    """Messages a batch, of ten at most: a FIFO queue gives what is there and waits for no more."""
    event_bytes: int = 350
    """An event in the log: packed fields, ids, and DynamoDB's own 100 bytes."""
    feed_bytes: int = 40
    """An event in the entry of its batch."""
    slate_kb: float = 6.0
    """An answer with 20 items: the lines of a page."""
    log_kb: float = 0.5
    """What a call writes into its log: a line on it, and one of metrics."""
    metrics: int = 10
    """Metrics with their dimensions."""
    kept_months: float = 3.0
    """For how long events are kept: the shop's retention."""
    restores: float = 0.001
    """Calls that wake up a snapshot."""


@dataclass(frozen=True, slots=True)
class Load:
    """A month: slates, events, and how many events come with one call (all of one user)."""

    slates: float
    events: float
    together: int
    qdrant: str
    """The machine under Qdrant."""
    qdrant_nodes: int
    disk_gb: float

    @property
    def posts(self) -> float:
        return self.events / self.together


LOADS = tuple(
    Load(slates, 10 * slates, together, machine, nodes, disk)
    for slates, machine, nodes, disk in (
        (1 * MILLION, "t4g_medium_hour", 1, 20),
        (10 * MILLION, "t4g_medium_hour", 1, 20),
        (100 * MILLION, "m7g_large_hour", 2, 50),
    )
    for together in (1, 10)
)


class Prices:
    """Dollars for a quantity of what is sold under a name."""

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        self._table = table

    def __call__(self, name: str, quantity: float) -> float:
        return quantity * self._table[name]["usd"] / self._table[name]["per"]


def prices() -> Prices:
    return Prices(tomllib.loads(PRICES.read_text("utf-8")))


def month(load: Load, shape: Shape, usd: Prices) -> dict[str, float]:
    """Dollars by what they are paid for."""
    messages = load.posts
    batches = messages / shape.batch
    further = (load.together - 1) * shape.event_ms
    return {
        "HTTP API": _gateway(load.slates + load.posts, usd),
        "recommend: slates": _function(
            load.slates, shape.slate_ms, shape.slate_waits_ms, shape, usd
        ),
        "recommend: events": _function(
            load.posts, shape.post_ms + further, shape.post_waits_ms, shape, usd
        ),
        "SQS": usd("sqs_fifo_request", messages + 2 * batches),
        "events": _function(
            batches, (shape.fold_ms + further) * shape.batch, shape.fold_waits_ms, shape, usd
        ),
        "DynamoDB: writes and reads": _log(load, shape, batches, usd),
        "DynamoDB: events kept": _kept(load, shape, usd),
        "logs": usd("logs_gb", (load.slates + load.posts + batches) * shape.log_kb / MILLION)
        + usd("metric_month", shape.metrics),
        "traffic": usd("traffic_out_gb", max(load.slates * shape.slate_kb / MILLION - 100, 0)),
        "at rest": sum(at_rest(shape, usd).values()),
        "Qdrant": load.qdrant_nodes * usd(load.qdrant, HOURS) + usd("disk_gb_month", load.disk_gb),
    }


def at_rest(shape: Shape, usd: Prices, *, free: bool = False) -> dict[str, float]:
    """Dollars of a month in which nobody comes, Qdrant apart. `free`: less what every account has
    for ever (a million calls and 400,000 GB-s of Lambda, a million requests of SQS, ten alarms),
    as far as nothing else of the account uses it.
    """
    minutes = HOURS * 60
    # Five waiting readers a queue, each asking every 20 s: one FIFO queue and two others.
    asked = 5 * SECONDS / 20
    left = max(3 * asked - MILLION, 0) / (3 * asked) if free else 1
    woken = usd("lambda_call", minutes) + usd("lambda_gb_s", minutes * 0.5 * shape.memory_gb)
    return {
        "SnapStart's copy of one version": usd("snapstart_cached_gb_s", SECONDS * shape.memory_gb),
        "queues that are asked": left
        * (usd("sqs_fifo_request", asked) + usd("sqs_standard_request", 2 * asked)),
        # Once a minute: half a second, one object, one item.
        "refresh": (0 if free else woken) + usd("s3_put", minutes) + usd("dynamodb_write", minutes),
        "alarms": 0 if free else usd("alarm_month", 9),
    }


def personalize(load: Load, usd: Prices) -> tuple[float, float]:
    """What Amazon Personalize asks for as many requests: newer recipes, older ones. Training, data
    and events are not counted.
    """
    hours = max(load.slates / 3_600, HOURS)
    return usd("personalize_request", load.slates), usd("personalize_tps_hour", hours)


def _gateway(calls: float, usd: Prices) -> float:
    first = min(calls, 300 * MILLION)
    return usd("http_api_call", first) + usd("http_api_call_over_300m", calls - first)


def duration_ms(cpu_ms: float, waits_ms: float, shape: Shape) -> float:
    """How long a call takes: a function has a share of a core, by its memory."""
    share = min(shape.memory_gb * 1024 / FULL_CORE_MB, 1)
    return cpu_ms * shape.slower / share + waits_ms


def _function(calls: float, cpu_ms: float, waits_ms: float, shape: Shape, usd: Prices) -> float:
    seconds = calls * duration_ms(cpu_ms, waits_ms, shape) / 1_000
    restored = usd("snapstart_restored_gb", calls * shape.restores * shape.memory_gb)
    return usd("lambda_call", calls) + usd("lambda_gb_s", seconds * shape.memory_gb) + restored


def _log(load: Load, shape: Shape, batches: float, usd: Prices) -> float:
    """A batch writes each event, two changes of each user's head (events added; folded), and one
    entry of the feed; it reads each head twice.
    """
    feed_kb = shape.feed_bytes * load.events / batches / 1_024
    writes = load.events + 2 * load.posts + batches * max(feed_kb, 1)
    return usd("dynamodb_write", writes) + usd("dynamodb_read", 2 * load.posts)


def _kept(load: Load, shape: Shape, usd: Prices) -> float:
    gb = load.events * shape.event_bytes * shape.kept_months / 1e9
    return usd("dynamodb_gb_month", gb) + usd("dynamodb_backup_gb_month", gb)


# --- what was measured ----------------------------------------------------------------------------

MEASURED = {
    "slate_ms": ("function_slate_cpu_ms", lambda ms: ms),
    "post_ms": ("function_post_events_cpu_ms", lambda ms: ms),
    "fold_ms": ("function_events_per_s", lambda rate: 1_000 / rate),
    "event_ms": ("function_further_event_cpu_ms", lambda ms: ms),
}


def shape_of(figures: Mapping[str, float], given: Mapping[str, float]) -> tuple[Shape, list[str]]:
    """The shape, and a line on where each CPU time comes from."""
    shape, said = Shape(), []
    for name, (key, as_ms) in MEASURED.items():
        if name not in given and key in figures:
            shape = replace(shape, **{name: as_ms(figures[key])})
            said.append(f"{name} {getattr(shape, name):.3g}: measured ({key})")
        else:
            origin = "given" if name in given else f"assumed, {key} has not been measured"
            said.append(f"{name} {given.get(name, getattr(shape, name)):.3g}: {origin}")
    return replace(shape, **given), said


# --- tables ---------------------------------------------------------------------------------------


def tables(shape: Shape, usd: Prices) -> Iterator[str]:
    """Markdown."""
    months = [month(load, shape, usd) for load in LOADS]
    heads = [f"{load.slates / MILLION:.0f}M, {load.together} a call" for load in LOADS]
    yield _row("$ a month", *heads)
    yield _row("---", *["---:"] * len(heads))
    for name in months[0]:
        yield _row(name, *(f"{one[name]:,.2f}" for one in months))
    totals = [sum(one.values()) for one in months]
    yield _row("**all**", *(f"**{total:,.0f}**" for total in totals))
    yield _row(
        "$ for 1,000 slates and their 10,000 events",
        *(f"{total / load.slates * 1_000:.4f}" for total, load in zip(totals, LOADS, strict=True)),
    )
    rivals = [personalize(load, usd) for load in LOADS]
    yield _row("Amazon Personalize, newer recipes", *(f"{new:,.0f}" for new, _ in rivals))
    yield _row(
        "ours is of that", *(f"{t / new:.3f}" for t, (new, _) in zip(totals, rivals, strict=True))
    )
    yield _row("Amazon Personalize, older recipes", *(f"{old:,.0f}" for _, old in rivals))
    yield _row(
        "ours is of that", *(f"{t / old:.3f}" for t, (_, old) in zip(totals, rivals, strict=True))
    )
    yield ""
    yield _row("at rest, without Qdrant", "$ a month", "less what is always free")
    yield _row("---", "---:", "---:")
    full, less = (at_rest(shape, usd, free=free) for free in (False, True))
    for name, dollars in full.items():
        yield _row(name, f"{dollars:.2f}", f"{less[name]:.2f}")
    yield _row("**all**", *(f"**{sum(one.values()):.2f}**" for one in (full, less)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    asked = argparse.ArgumentParser(
        prog="python -m bench.cost", description=__doc__.splitlines()[0]
    )
    for one in fields(Shape):
        asked.add_argument(f"--{one.name.replace('_', '-')}", type=float)
    given = {name: value for name, value in vars(asked.parse_args(arguments)).items() if value}
    figures = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    shape, said = shape_of(figures, given)
    print("\n".join([*said, "", *tables(shape, prices())]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
