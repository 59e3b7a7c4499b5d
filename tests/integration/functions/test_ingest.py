"""Uploads, as recorded from S3 through EventBridge and SQS, through the handlers of `ingest` and
`worker` into a shop in memory.
"""

import json
import math
from types import SimpleNamespace

import pytest

from functions.ingest.entry import build, build_worker, left_s
from tests.contract.held_runs import HeldRuns
from tests.integration.functions.conftest import STORE, Mapped
from tests.integration.functions.recorded import load
from windowshop.aws.batches import Deliveries
from windowshop.blobs import DirBlobs
from windowshop.errors import InvalidInput, Unavailable
from windowshop.queues import LocalQueue, Outgoing, pause_s
from windowshop.records import Request
from windowshop.uploads import Dock, Lanes

# The client's own memory has no payload indexes and searches exactly, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")

KEY = "catalog/default/items.csv"
CSV = b"item_id,title\nt1,Red tent\nt2,Green tent\nn1,A novel about the sea\n,broken\n"


@pytest.fixture
def blobs(tmp_path):
    return DirBlobs(tmp_path / "bucket", versions=True)


@pytest.fixture
def catalogue(clock):
    return Mapped(LocalQueue(clock), LocalQueue(clock), "sqs_object_created")


@pytest.fixture
def embed(clock):
    return Mapped(LocalQueue(clock), LocalQueue(clock), "sqs_object_created")


@pytest.fixture
def asked():
    return []


@pytest.fixture
def ingest(shop, blobs, catalogue, embed, heard, clock, tmp_path, asked):
    dock = Dock(shop, blobs, Lanes(embed.queue), HeldRuns(clock), tmp_path)
    deliveries = Deliveries(catalogue.queue, catalogue.letters, heard, fifo=False)
    return build(dock, deliveries, lambda: asked.append("reconcile"))


@pytest.fixture
def worker(shop, blobs, embed, heard):
    deliveries = Deliveries(embed.queue, embed.letters, heard, fifo=False)
    return build_worker(shop, blobs, deliveries)


@pytest.fixture
def upload(blobs, catalogue):
    """Put a file into the bucket, of which EventBridge tells the queue."""

    def put(body, key=KEY, times=1):
        blobs.write(key, body)
        told = json.loads(load("sqs_object_created")["Records"][0]["body"])
        told["detail"]["object"] |= {"key": key, "version-id": blobs.head(key).version}
        assert catalogue.queue.send([Outgoing(told)] * times) == []

    return put


def found(shop, query):
    slate = shop.recommend(STORE, Request(scenario="search", query=query, limit=1))
    return [item.item_id for item in slate.items if item.reason.kind == "search"]


def test_what_is_uploaded_is_found(ingest, worker, upload, catalogue, embed, shop, heard):
    upload(CSV)
    _, again = catalogue.poll(ingest)
    assert again == []
    told = dict(heard.announced)["CatalogIngested"]
    assert (told["store"], told["accepted"], told["rejected"]) == (STORE, 3, 1)

    (job,), again = embed.poll(worker)
    assert again == []
    assert job["chunk"].startswith(f"chunks/{STORE}/")
    assert found(shop, "a story on the ocean") == ["n1"]
    assert dict(heard.announced)["ItemsEmbedded"]["items"] == 3
    assert catalogue.buried() == embed.buried() == []


def test_the_same_event_twice_embeds_once(ingest, upload, catalogue, embed):
    upload(CSV, times=2)
    bodies, again = catalogue.poll(ingest)
    assert (len(bodies), again) == (2, [])
    assert embed.queue.depth() == 1


def test_a_recorded_event_of_what_is_gone_is_done(ingest, catalogue):
    assert ingest(load("sqs_object_created")) == {"batchItemFailures": []}
    assert catalogue.buried() == []


@pytest.mark.parametrize("body", [{"detail": {}}, {"Event": "s3:TestEvent"}, {}], ids=str)
def test_a_message_that_tells_of_no_upload_is_a_letter(ingest, catalogue, body):
    catalogue.queue.send([Outgoing(body)])
    _, again = catalogue.poll(ingest)
    assert again == []
    ((reason, buried, _),) = catalogue.buried()
    assert "no event of a bucket" in reason
    assert buried == body


def test_an_unreadable_file_is_reported_and_not_tried_again(ingest, upload, catalogue, heard):
    upload(b"\x00\x01\x02" * 100, "catalog/default/items.parquet")
    _, again = catalogue.poll(ingest)
    assert again == []
    assert dict(heard.announced)["JobFailed"]["key"] == "catalog/default/items.parquet"
    assert catalogue.buried() == []


def test_while_qdrant_is_away_uploads_and_jobs_wait(
    ingest, worker, upload, catalogue, embed, shop, clock, monkeypatch
):
    def away(*_, **__):
        raise Unavailable("Qdrant cannot be reached")

    upload(CSV)
    with monkeypatch.context() as broken:
        broken.setattr(shop.world.store, "put_items", away)
        broken.setattr(shop.world.store, "items", away)
        for tries in range(1, 12):
            _, again = catalogue.poll(ingest)
            assert len(again) == 1
            clock.sleep(pause_s(tries))
    assert catalogue.poll(ingest)[1] == []
    with monkeypatch.context() as broken:
        broken.setattr(shop.world.store, "put_vectors", away)
        assert len(embed.poll(worker)[1]) == 1
    clock.sleep(1)
    assert embed.poll(worker)[1] == []
    assert found(shop, "novel") == ["n1"]
    assert catalogue.buried() == embed.buried() == []


def test_a_job_that_is_none_is_a_letter_and_its_neighbours_are_done(
    ingest, worker, upload, catalogue, embed, shop
):
    embed.queue.send([Outgoing({"store": STORE, "sent_ms": 1, "chunk": "chunks/other/x"})])
    upload(CSV)
    catalogue.poll(ingest)
    bodies, again = embed.poll(worker)
    assert (len(bodies), again) == (2, [])
    assert len(embed.buried()) == 1
    assert found(shop, "novel") == ["n1"]


def test_an_error_of_ours_in_a_job_is_a_letter_in_the_end(worker, embed, shop, clock, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(shop.world.store, "items", broken)
    embed.queue.send([Outgoing({"store": STORE, "sent_ms": 1, "keys": ["1"]})])
    for tries in range(1, 6):
        embed.poll(worker)
        clock.sleep(pause_s(tries))
    assert embed.queue.depth() == 0
    assert [reason for reason, _, _ in embed.buried()] == ["ZeroDivisionError"]


def test_an_upload_goes_on_where_its_time_was_up(ingest, upload, catalogue, embed, clock, heard):
    upload(CSV)
    short = SimpleNamespace(get_remaining_time_in_millis=lambda: 10_000)
    assert len(catalogue.poll(ingest, short)[1]) == 1
    assert "CatalogIngested" not in dict(heard.announced)

    clock.sleep(1)
    long = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
    assert catalogue.poll(ingest, long)[1] == []
    assert dict(heard.announced)["CatalogIngested"]["accepted"] == 3
    assert embed.queue.depth() == 1


def test_a_scheduler_asks_for_workers(ingest, asked):
    assert ingest(load("scheduler_reconcile")) == {"task": "reconcile", "status": "done"}
    assert asked == ["reconcile"]


def test_what_they_were_not_made_for_is_said(ingest, worker):
    for handler in (ingest, worker):
        for event in ({}, {"Records": []}, {"task": "refresh"}):
            with pytest.raises(InvalidInput, match="batch"):
                handler(event)


def test_without_a_context_there_is_no_end():
    assert left_s(None) == math.inf
    assert left_s(SimpleNamespace(get_remaining_time_in_millis=lambda: 1_500)) == 1.5
