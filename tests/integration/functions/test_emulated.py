"""The functions `recommend` and `events` on the emulator's own services: what the ports in memory
cannot show.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from functions.events.entry import build as build_events
from functions.recommend.entry import build as build_recommend
from tests.contract.tables import create_table
from tests.integration.functions.recorded import http, json_of, load
from windowshop.api import Access
from windowshop.aws import open_aws, wall_ms
from windowshop.aws.batches import Deliveries
from windowshop.aws.events import SqsEvents
from windowshop.errors import Unavailable
from windowshop.keys import make_key
from windowshop.records import user_key
from windowshop.settings import AwsSettings

ROOT = Path(__file__).parents[3]
STORE = "functions-test"
NUMBERS = itertools.count(1)


@pytest.fixture
def deployment(aws, qdrant, models, encoder):
    """The parts of a deployment, all but the functions."""
    name = f"{STORE}-{next(NUMBERS)}"
    sqs = boto3.client("sqs")
    create_table(boto3.client("dynamodb"), name)
    boto3.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    fifo = {
        "FifoQueue": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
        "VisibilityTimeout": "60",
    }
    urls = {
        part: sqs.create_queue(
            QueueName=f"{name}-{part}{'.fifo' if 'events' in part else ''}",
            Attributes=fifo if "events" in part else {},
        )["QueueUrl"]
        for one in ("events", "catalogue", "embed")
        for part in (f"{one}_queue", f"{one}_letters")
    }
    return open_aws(
        AwsSettings(
            table=name,
            bucket=name,
            parameters=f"/windowshop/{name}",
            qdrant_url=qdrant.url,
            models=models,
            **urls,
        )
    )


@pytest.fixture
def shop(deployment):
    return deployment.open_shop()


@pytest.fixture
def handler(deployment, shop):
    queue, letters = deployment.queue("events_queue"), deployment.queue("events_letters")
    return build_events(shop, Deliveries(queue, letters, deployment.signals, fifo=True), {})


@pytest.fixture
def gateway(deployment, shop):
    access = Access(deployment.keyring, wall_ms, keys_required=True)
    events = SqsEvents(shop.world, deployment.queue("events_queue"))
    made = build_recommend(shop, access, events, lambda store, keys: None)
    yield made
    made.close()


@pytest.fixture
def post(deployment, gateway):
    made, key = make_key(STORE, "secret", 0)
    deployment.keyring.put_key(key)

    def call(path, body):
        answer = gateway(http("POST", path, body, authorization=f"Bearer {made}"))
        return answer["statusCode"], json_of(answer)

    return call


def poll(url, handler):
    """One batch, as Lambda's poller makes it of what SQS says; returns who is to come again."""
    sqs = boto3.client("sqs")
    received = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", [])
    if not received:
        return None
    event = load("sqs_fifo")
    event["Records"] = [
        event["Records"][0]
        | {
            "messageId": one["MessageId"],
            "receiptHandle": one["ReceiptHandle"],
            "body": one["Body"],
            "attributes": one["Attributes"],
        }
        for one in received
    ]
    again = {one["itemIdentifier"] for one in handler(event)["batchItemFailures"]}
    for one in received:
        if one["MessageId"] not in again:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return len(received), len(again)


def test_events_go_through_sqs_into_the_log_and_poison_into_the_letters(
    deployment, shop, handler, post, monkeypatch
):
    url = deployment.settings.events_queue
    views = [
        {"kind": "view", "item_id": f"i{n}", "user_id": user, "event_id": f"{user}{n}"}
        for user in ("ann", "bob")
        for n in range(3)
    ]
    status, taken = post("/v1/events", {"events": views})
    assert (status, taken["accepted"]) == (202, 6)
    poison = {"store": STORE, "events": [{"kind": "vew", "user_id": "ann"}], "received_ms": 10**12}
    boto3.client("sqs").send_message(
        QueueUrl=url,
        MessageBody=json.dumps(poison),
        MessageGroupId="poison",
        MessageDeduplicationId="poison",
    )

    put = shop.world.store.put_users

    def away(*_):
        raise Unavailable("Qdrant cannot be reached")

    monkeypatch.setattr(shop.world.store, "put_users", away)
    assert poll(url, handler) == (3, 2)
    assert poll(url, handler) is None
    monkeypatch.setattr(shop.world.store, "put_users", put)
    end = time.monotonic() + 10
    while (polled := poll(url, handler)) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert polled == (2, 0)

    for user in ("ann", "bob"):
        assert shop.export(STORE, f"u:{user}")["profile"]["events"] == 3
    assert deployment.queue("events_queue").depth() == 0
    (letter,) = deployment.letters.letters(STORE)
    assert letter.reason.startswith("kind: ")
    assert (letter.user, letter.body) == (user_key(STORE, "u:ann"), poison)

    status, slate = post("/v1/recommendations", {"user_id": "ann"})
    assert status == 200
    assert slate["as_of"] is not None


BOUND = """
import json, sys
from functions.events.handler import handler as events
from functions.ingest.handler import handler as ingest
from functions.ingest.worker import handler as worker
from functions.recommend.handler import handler as recommend
get, object_created, sqs = map(json.loads, sys.argv[1:])
print(json.dumps([
    recommend(get, None)["statusCode"],
    events(sqs, None),
    events({"task": "refresh"}, None),
    events({"task": "maintain"}, None),
    ingest(object_created, None),
    worker(object_created, None),
]))
"""


def test_every_handler_is_bound_to_the_deployment(deployment):
    given = deployment.settings.model_dump(exclude_unset=True)
    variables = {f"WINDOWSHOP_{name.upper()}": str(value) for name, value in given.items()}
    variables |= {"QDRANT_URL": deployment.settings.qdrant_url, "PYTHONPATH": str(ROOT)}
    events = map(json.dumps, (load("http_get"), load("sqs_object_created"), load("sqs_fifo")))
    ran = subprocess.run(
        [sys.executable, "-c", BOUND, *events],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    none_again = {"batchItemFailures": []}
    assert json.loads(ran.stdout.splitlines()[-1]) == [
        200,
        none_again,
        {"task": "refresh", "status": "done"},
        {"task": "maintain", "status": "done"},
        none_again,
        none_again,
    ]
    assert deployment.letters.count_letters(STORE) == 2
