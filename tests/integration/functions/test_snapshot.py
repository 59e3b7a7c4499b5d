"""SnapStart, simulated: a warmed process is forked, and each of its copies wakes up on its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from functions.recommend import snapshot
from tests.contract.tables import create_table
from tests.integration.functions.recorded import http
from windowshop.aws import open_aws
from windowshop.keys import make_key
from windowshop.settings import AwsSettings

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RUNTIME = HERE / "runtime"
ASK = "/v1/recommendations"


def test_hooks_are_registered_where_the_runtime_has_them(monkeypatch):
    assert not snapshot.register(print, print)

    monkeypatch.syspath_prepend(RUNTIME)
    assert snapshot.register(print, repr)
    hooks = sys.modules.pop("snapshot_restore_py")
    assert hooks.get_before_snapshot() == [(print, (), {})]
    assert hooks.get_after_restore() == [(repr, (), {})]


@pytest.fixture
def settings(aws):
    """A deployment of its own on the emulator; Qdrant is away."""
    queues = boto3.client("sqs")
    fifo = {"FifoQueue": "true"}
    create_table(boto3.client("dynamodb"), "asleep")
    boto3.client("s3").create_bucket(
        Bucket="asleep", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return AwsSettings(
        table="asleep",
        bucket="asleep",
        parameters="/windowshop/asleep",
        events_queue=queues.create_queue(QueueName="asleep.fifo", Attributes=fifo)["QueueUrl"],
        embed_queue=queues.create_queue(QueueName="asleep")["QueueUrl"],
        qdrant_url="http://127.0.0.1:9",
    )


@pytest.fixture
def process(settings, models):
    """Starts the program `asleep`, which has answered these requests before it sleeps."""
    started = []

    def start(*events):
        variables = {
            f"WINDOWSHOP_{name.upper()}": str(value)
            for name, value in settings.model_dump(exclude_unset=True).items()
            if not name.startswith("qdrant")
        }
        variables |= {
            "QDRANT_URL": settings.qdrant_url,
            "WINDOWSHOP_MODELS": str(models),
            "PYTHONPATH": os.pathsep.join(map(str, (RUNTIME, ROOT))),
        }
        started.append(
            subprocess.Popen(
                [sys.executable, HERE / "asleep.py", json.dumps(events)],
                env=os.environ | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for one in started:
        with one:
            one.stdin.close()
            one.wait(timeout=30)


def told(process):
    return json.loads(process.stdout.readline())


def wake(process, event, *, hooks=True):
    process.stdin.write(json.dumps({"hooks": hooks, "event": event}) + "\n")
    process.stdin.flush()
    return told(process)


def test_who_wakes_up_is_nobody_elses_copy(settings, process):
    keyring = open_aws(settings).keyring
    made, key = make_key("default", "secret", 0)
    keyring.put_key(key)
    ask = http("POST", ASK, {}, authorization=f"Bearer {made}")

    refused = http("POST", ASK, {"limit": 0}, authorization=f"Bearer {made}")
    asleep = process(refused)  # it has seen the key
    assert told(asleep)["sockets"] == []

    first, second = wake(asleep, ask), wake(asleep, ask)
    assert [one["status"] for one in (first, second)] == [200, 200]
    assert first["body"]["request_id"] != second["body"]["request_id"]
    assert first["drawn"] != second["drawn"]
    assert first["sockets"]
    assert set(first["sockets"]).isdisjoint(second["sockets"])

    keyring.revoke_key("default", key.id, 1)
    assert wake(asleep, ask)["status"] == 401
    # Without the hooks all of this would be otherwise.
    dreaming = [wake(asleep, ask, hooks=False) for _ in range(2)]
    assert [one["status"] for one in dreaming] == [200, 200]
    assert dreaming[0]["drawn"] == dreaming[1]["drawn"]
