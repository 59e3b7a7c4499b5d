"""CPU of the handlers' own code: slates and events through Mangum, and batches of the events queue.

The handlers run in this process, with the adapters that they have on AWS; the emulator of AWS and
the stand-in for Qdrant run beside it, and what they spend is not counted. Their answers cost here
what AWS's and Qdrant's would: the same SDKs read them. 2,000 items, 300 users with ten events each.
"""

import contextlib
import copy
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from localstack import emulator, qdrant_standin
from tests.contract.tables import create_table
from tests.integration.functions.recorded import http, load

STORE, NAME = "bench", "bench"
ITEMS, USERS, TOGETHER = 2_000, 300, 10
KINDS = ("milk", "bread", "shoes", "lamps", "books", "chairs", "tea", "paint")


def run() -> dict[str, float]:
    draw = random.Random(7)
    with _deployment() as aws:
        from windowshop.aws.batches import Deliveries

        shop = aws.open_shop()
        _fill(shop, draw)
        queue, letters = aws.queue("events_queue"), aws.queue("events_letters")
        deliveries = Deliveries(queue, letters, aws.signals, fifo=True)
        return {**_events(shop, deliveries, draw), **_requests(aws, shop, draw)}


@contextlib.contextmanager
def _deployment() -> Iterator[Any]:
    """The ports of a deployment without functions."""
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        qdrant = qdrant_standin.start(None, folder / "qdrant")
        ends.callback(qdrant.stop)
        started = emulator.start(None, folder / "aws")
        ends.callback(started.stop)
        os.environ.update(started.variables)
        os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
        from windowshop.aws import open_aws
        from windowshop.settings import AwsSettings

        create_table(boto3.client("dynamodb"), NAME)
        place = {"LocationConstraint": emulator.REGION}
        boto3.client("s3").create_bucket(Bucket=NAME, CreateBucketConfiguration=place)
        urls = {}
        for part in ("events_queue", "events_letters"):
            fifo = {"FifoQueue": "true", "DeduplicationScope": "messageGroup"}
            fifo["FifoThroughputLimit"] = "perMessageGroupId"
            made = boto3.client("sqs").create_queue(QueueName=f"{part}.fifo", Attributes=fifo)
            urls[part] = made["QueueUrl"]
        settings = AwsSettings(table=NAME, bucket=NAME, parameters=f"/windowshop/{NAME}", **urls)
        settings.qdrant_url = qdrant.url
        settings.models = folder / "models"
        yield open_aws(settings)


def _fill(shop: Any, draw: random.Random) -> None:
    """Items with vectors of no meaning: what a search finds is of no matter here, how much is."""
    from windowshop.records import Item

    numbers = np.random.default_rng(7)
    store = shop.world.store
    for start in range(0, ITEMS, 500):
        rows = [
            Item(
                item_id=f"i{n}",
                title=f"A {draw.choice(KINDS)} of number {n}",
                category=[draw.choice(KINDS)],
                brand=f"brand {n % 40}",
                price=draw.randint(1, 900) / 10,
                image_url=f"https://shop.example/{n}.jpg",
            )
            for n in range(start, start + 500)
        ]
        shop.put_items(STORE, rows)
        waiting = store.waiting(STORE, 1_000)
        held = store.items(STORE, waiting)
        vectors = numbers.normal(size=(len(waiting), shop.world.encoder.dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        hashes = [held[key]["text_hash"] for key in waiting]
        store.put_vectors(STORE, waiting, vectors, hashes, shop.world.wall())


# --- events ---------------------------------------------------------------------------------------


def _event(draw: random.Random, user: str) -> dict[str, Any]:
    return {
        "kind": draw.choice(("view", "view", "click", "add_to_cart", "purchase")),
        "user_id": user,
        "item_id": f"i{draw.randrange(ITEMS)}",
        "event_id": f"{draw.getrandbits(64):x}",
        "timestamp": "2026-11-24T08:00:00Z",
    }


def _batch(draw: random.Random, users: list[str], together: int) -> dict[str, Any]:
    """What SQS delivers: a message for each of ten users."""
    event = load("sqs_fifo")
    (record,) = event["Records"]
    event["Records"] = []
    for number, user in enumerate(users):
        sent = [_event(draw, user) for _ in range(together)]
        body = {"store": STORE, "events": sent, "received_ms": time.time_ns() // 1_000_000}
        one = copy.deepcopy(record) | {"messageId": str(number), "body": json.dumps(body)}
        event["Records"].append(one)
    return event


def _events(shop: Any, deliveries: Any, draw: random.Random) -> dict[str, float]:
    from functions.events.entry import build

    handle = build(shop, deliveries, {})
    users = [f"u{n}" for n in range(USERS)]
    figures = {}
    for together in (TOGETHER, 1):  # first the ten events of each, then more, one by one
        batches = [
            _batch(draw, users[at : at + 10], together)
            for _ in range(1 if together == TOGETHER else 3)
            for at in range(0, USERS, 10)
        ]
        for one in batches[:3]:
            handle(one)
        begun = time.process_time()
        for one in batches[3:]:
            if handle(one)["batchItemFailures"]:
                raise RuntimeError("messages were put back")
        spent = (time.process_time() - begun) / (10 * len(batches[3:]))
        figures[f"function_events_message_of_{together}_cpu_ms"] = spent * 1_000
    one, ten = (figures[f"function_events_message_of_{n}_cpu_ms"] for n in (1, TOGETHER))
    further = (ten - one) / (TOGETHER - 1)
    return {
        **figures,
        "function_events_per_s": 1_000 / one,
        "function_further_event_cpu_ms": further,
    }


# --- requests -------------------------------------------------------------------------------------


class Steps:
    """CPU of functions that call each other: each has what its own callees have not."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inside: list[float] = []

    def time(self, owner: object, name: str, step: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        def outer(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            begun = time.process_time()
            try:
                return inner(*args, **kwargs)
            finally:
                whole = time.process_time() - begun
                own = whole - self._inside.pop()
                self.spent[step] = self.spent.get(step, 0.0) + own
                if self._inside:
                    self._inside[-1] += whole

        setattr(owner, name, outer)


def _requests(aws: Any, shop: Any, draw: random.Random) -> dict[str, float]:
    from functions.recommend.entry import build
    from windowshop import slates
    from windowshop.api import Access
    from windowshop.aws import wall_ms
    from windowshop.aws.events import SqsEvents
    from windowshop.keys import make_key
    from windowshop.store.server import ServerStore

    secret, key = make_key(STORE, "secret", 0)
    aws.keyring.put_key(key)
    access = Access(aws.keyring, wall_ms, keys_required=True)
    events = SqsEvents(shop.world, aws.queue("events_queue"))
    gateway = build(shop, access, events, lambda _store, _keys: None)

    def call(path: str, body: dict[str, Any], status: int) -> None:
        asked = http("POST", path, body, authorization=f"Bearer {secret}")
        answered = gateway(asked)
        if answered["statusCode"] != status:
            raise RuntimeError(answered["body"])

    def slate() -> None:
        call("/v1/recommendations", {"user_id": f"u{draw.randrange(USERS)}"}, 200)

    def post() -> None:
        user = f"u{draw.randrange(USERS)}"
        call("/v1/events", {"events": [_event(draw, user)]}, 202)

    figures = {
        "function_slate_cpu_ms": _each(slate, 300),
        "function_post_events_cpu_ms": _each(post, 300),
    }
    steps = Steps()
    for name in ("users", "search", "neighbours", "items", "vectors"):
        steps.time(ServerStore, name, "qdrant")
    for owner, name, step in (
        (slates, "_ask", "profile"),
        (slates, "score", "candidates"),
        (slates.Desk, "slate", "rerank"),
        (slates, "reasons_of", "reasons"),
    ):
        steps.time(owner, name, step)
    steps.time(gateway, "_mangum", "http")
    whole = _each(slate, 300, steps.spent.clear)
    steps.spent["rest"] = whole * 0.3 - sum(steps.spent.values())
    gateway.close()
    return figures | {
        f"function_slate_{step}_cpu_ms": spent / 0.3 for step, spent in steps.spent.items()
    }


def _each(work: Callable[[], None], times: int, begin: Callable[[], None] = int) -> float:
    """CPU ms of one, after a few that warm up."""
    for _ in range(20):
        work()
    begin()
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times * 1_000
