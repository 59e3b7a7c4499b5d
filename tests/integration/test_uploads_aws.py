"""Uploads and workers over S3, SQS and DynamoDB as they are on AWS, on the emulator."""

import contextlib
import threading
import uuid
from functools import partial

import boto3
import pytest

from tests.contract.tables import create_table
from tests.integration.warehouse import STORE, Warehouse, event, rows, tiny_encoder, wall_ms
from windowshop import uploads
from windowshop.aws.blobs import S3Blobs
from windowshop.aws.clients import Clients
from windowshop.aws.queue import SqsQueue
from windowshop.aws.runs import DynamoRuns
from windowshop.embedding.work import Post, work
from windowshop.errors import Unavailable
from windowshop.jobs import send_keys
from windowshop.records import Item, Request

KEY = "catalog/default/Früh jahr+100%.csv"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def house(aws, tmp_path, encoder, monkeypatch):
    """A warehouse whose bucket, queues and runs are AWS's."""
    monkeypatch.setattr("windowshop.intake.ITEMS", 100)
    monkeypatch.setattr("windowshop.uploads.lanes.CHUNK", 50)
    name, clients = f"goods-{uuid.uuid4().hex[:8]}", Clients()
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    create_table(boto3.client("dynamodb"), name)
    queues = [
        SqsQueue(
            partial(clients, "sqs"),
            boto3.client("sqs").create_queue(QueueName=f"{name}-{lane}")["QueueUrl"],
        )
        for lane in ("small", "bulk", "letters")
    ]
    with contextlib.closing(Warehouse(tmp_path, encoder)) as opened:
        opened.bucket, opened.s3 = name, s3
        opened.blobs = S3Blobs(partial(clients, "s3"), name)
        opened.small, opened.bulk, opened.letters = queues
        opened.runs = DynamoRuns(partial(clients, "dynamodb"), name, wall_ms)
        yield opened


def put(house, body, key=KEY):
    version = house.s3.put_object(Bucket=house.bucket, Key=key, Body=body)["VersionId"]
    return uploads.Upload(house.bucket, key, version)


def drain(house, queue):
    post = Post(queue, house.letters)
    return work(post, house.shop, house.blobs, threading.Event(), polls=1, wait_s=1)


def test_a_file_in_s3_becomes_a_slate(house):
    upload = put(house, rows(350) + ",no id,1\n")
    dock = house.dock()
    assert [one.status for one in uploads.outcomes(dock, [event(upload)])] == ["ok"]
    (told,) = house.heard.named("CatalogIngested")
    assert (told["accepted"], told["rejected"], told["to_embed"]) == (350, 1, 350)
    assert b"missing_id" in house.blobs.read(told["report"])
    assert (drain(house, house.small).jobs, drain(house, house.bulk).items) == (0, 350)
    assert house.letters.depth() == 0
    slate = house.shop.recommend(STORE, Request(scenario="search", query="milk", limit=5))
    assert len(slate.items) == 5
    assert uploads.ingest(dock, upload).status == "repeated"


def test_a_run_that_broke_off_is_taken_up_and_a_replaced_version_is_not_read(house):
    upload = put(house, rows(250))

    class Breaking:
        def __getattr__(self, name):
            return getattr(house.runs, name)

        def step(self, run):
            if run.batches == 2:
                raise Unavailable("away")
            house.runs.step(run)

    with pytest.raises(Unavailable):
        uploads.ingest(house.dock(runs=Breaking()), upload)
    assert len(house.items()) == 200
    newer = put(house, rows(10, price=5))
    assert uploads.ingest(house.dock(), upload).status == "superseded"
    assert uploads.ingest(house.dock(), newer).counts.accepted == 10
    again = put(house, rows(250))
    assert uploads.ingest(house.dock(), again).counts.accepted == 250
    drain(house, house.small)
    drain(house, house.bulk)
    assert house.waiting() == 0


def test_items_put_over_http_are_embedded_through_the_small_lane(house):
    written = house.shop.put_items(STORE, [Item(item_id="a", title="milk")])
    send_keys(house.small, STORE, written.waiting, wall_ms())
    assert drain(house, house.small).items == 1
    assert house.waiting() == 0
