"""A shop with all that uploads and workers need beside it, in one process: a bucket in a folder,
queues in memory, a tiny encoder, real vectors.
"""

import csv
import io
import os
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tests.contract.held_runs import HeldRuns
from tests.contract.tiny_models import save_bert
from windowshop import uploads
from windowshop.blobs import DirBlobs
from windowshop.encode import open_encoder
from windowshop.log.sqlite import SqliteLog
from windowshop.queues import LocalQueue
from windowshop.records import item_key
from windowshop.settings import Settings
from windowshop.shop import Shop
from windowshop.store.edge import EdgeStore
from windowshop.world import World

STORE = "default"
BUCKET = "goods"


def wall_ms():
    return time.time_ns() // 1_000_000


class Counting:
    """An encoder that remembers what it was asked to encode, and fails when told to."""

    def __init__(self, inner):
        self.inner = inner
        self.name, self.dim, self.languages = inner.name, inner.dim, inner.languages
        self.texts = []
        self.calls = 0
        self.fails = None

    def encode(self, texts, *, query=False, progress=None):
        self.calls += 1
        if self.fails is not None:
            self.fails(texts)
        if not query:
            self.texts += texts
        return self.inner.encode(texts, query=query, progress=progress)


@dataclass
class Heard:
    """What was announced and measured."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    measures: dict[str, list[float]] = field(default_factory=dict)

    def announce(self, name, detail):
        self.events.append((name, dict(detail)))

    def measure(self, name, value, unit="Count", **_):
        self.measures.setdefault(name, []).append(value)

    def named(self, name):
        return [detail for told, detail in self.events if told == name]


class Warehouse:
    def __init__(self, folder, encoder):
        self.folder = folder
        self.encoder = Counting(encoder)
        self.heard = Heard()
        log = SqliteLog(folder / "log.sqlite")
        world = World(
            EdgeStore(folder / "vectors", encoder.name, encoder.dim),
            log,
            self.encoder,
            Settings(),
            wall_ms,
            keyring=log,
            letters=log,
            signals=self.heard,
        )
        self.shop = Shop(world)
        self.store = world.store
        self.blobs = DirBlobs(folder / "bucket", versions=True)
        self.small, self.bulk = LocalQueue(wall_ms), LocalQueue(wall_ms)
        self.letters = LocalQueue(wall_ms)
        self.runs = HeldRuns(wall_ms)
        self.started = []

    def close(self):
        self.shop.close()

    def dock(self, *, bulk=True, small_items=200, temp="temp", blobs=None, runs=None, **limits):
        lanes = uploads.Lanes(
            self.small,
            self.bulk if bulk else None,
            small_items,
            lambda: self.started.append("bulk"),
        )
        return uploads.Dock(
            self.shop,
            blobs or self.blobs,
            lanes,
            runs or self.runs,
            self.folder / temp,
            uploads.Limits(**limits),
        )

    def put(self, key, body, at_ms=None):
        """Something into the bucket, at a time of its own if need be: the upload."""
        self.blobs.write(key, body if isinstance(body, bytes) else body.encode())
        if at_ms is not None:
            os.utime(self.folder / "bucket" / key, ns=(at_ms * 1_000_000, at_ms * 1_000_000))
        return uploads.Upload(BUCKET, key, self.blobs.head(key).version)

    def ingest(self, key, body, at_ms=None, **limits):
        """Upload and take in, at once."""
        return uploads.ingest(self.dock(**limits), self.put(key, body, at_ms))

    def report(self, done):
        text = self.blobs.read(done.report).decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text)))

    def items(self, *ids, store=STORE):
        """Stored payloads by id; of all items where none is named."""
        if not ids:
            rows, _ = self.store.scan(store, None, 100_000)
            return {payload["item_id"]: payload for _, payload in rows}
        keys = {item_key(store, one): one for one in ids}
        return {keys[key]: held for key, held in self.store.items(store, list(keys)).items()}

    def waiting(self, store=STORE):
        return len(self.store.waiting(store, 100_000))

    def queued(self, lane="small"):
        """What is in a queue, taken out of it."""
        queue, found = getattr(self, lane), []
        while some := queue.receive():
            found += [message.body for message in some]
            queue.delete(some)
        return found


def event(upload):
    """The bucket's event as SQS delivers it."""
    told = {"bucket": {"name": upload.bucket}, "object": {"key": upload.key}}
    if upload.version is not None:
        told["object"]["version-id"] = upload.version
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": told}


def rows(count, start=0, title="organic milk", price=None):
    """A CSV of that many items."""
    lines = ["item_id,title,price"]
    lines += [
        f"i{n},{title} {n},{n if price is None else price}" for n in range(start, start + count)
    ]
    return "\n".join(lines) + "\n"


def tiny_encoder(folder):
    save_bert(folder / "tiny")
    return open_encoder(str(folder / "tiny"), folder / "models", threads=1)


def opened(folder, encoder):
    return closing(Warehouse(folder, encoder))
