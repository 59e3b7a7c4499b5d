"""The AWS world in memory: the adapter of the Qdrant server on its client's local mode, the log in
SQLite, queues in this process: fakes that their ports' contract suites run on as well.
"""

import time
from contextlib import closing

import pytest
from qdrant_client import QdrantClient

from tests.integration.functions.recorded import batch
from windowshop.encode import DEFAULT, ModelSpec, open_encoder
from windowshop.log.sqlite import SqliteLog
from windowshop.queues import LocalQueue
from windowshop.settings import Settings
from windowshop.shop import Shop
from windowshop.store.server import ServerStore
from windowshop.world import World

STORE = "default"
VISIBLE_S = 180


class Clock:
    """The time, until a test moves it on."""

    def __init__(self):
        self.ahead_ms = 0

    def __call__(self):
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def sleep(self, seconds):
        self.ahead_ms += round(seconds * 1000)


class Heard:
    """What a shop told the world around it."""

    def __init__(self):
        self.announced, self.measured = [], []

    def announce(self, name, detail):
        self.announced.append((name, dict(detail)))

    def measure(self, name, value, unit="Count", **dimensions):
        self.measured.append((name, value, unit))

    def sum(self, name):
        return sum(value for one, value, _ in self.measured if one == name)


class Mapped:
    """A queue, and the poller that Lambda puts between it and a function."""

    def __init__(self, queue, letters, kind):
        self.queue, self.letters, self._kind = queue, letters, kind

    def poll(self, handler, context=None, limit=10):
        """Deliver one batch; returns (bodies, ids that are to come again), or None for no batch."""
        messages = self.queue.receive(limit)
        if not messages:
            return None
        answer = handler(batch(self._kind, *messages), context)
        again = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        self.queue.delete([one for one in messages if one.id not in again])
        return [one.body for one in messages], [one.id for one in messages if one.id in again]

    def buried(self):
        """The letters: (reason, body, attributes)."""
        found = []
        while some := self.letters.receive(10):
            found += [(one.attributes["reason"], one.body, one.attributes) for one in some]
        return found


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The folder in which the encoder's model is built."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def encoder(models):
    return open_encoder(ModelSpec(DEFAULT), models, threads=1)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def shop(tmp_path, encoder, clock, heard):
    with (
        closing(QdrantClient(":memory:")) as client,
        closing(ServerStore(client, encoder.name, encoder.dim)) as store,
        closing(SqliteLog(tmp_path / "log.sqlite")) as log,
    ):
        yield Shop(
            World(
                store,
                log,
                encoder,
                Settings(),
                clock,
                keyring=log,
                letters=log,
                signals=heard,
                believed_ms=0,
            )
        )


@pytest.fixture
def events(clock):
    queue, letters = (LocalQueue(clock, fifo=True, visible_s=VISIBLE_S) for _ in range(2))
    return Mapped(queue, letters, "sqs_fifo")
