"""Every implementation of a port, for the suite that all of them must pass."""

import time
import uuid

import boto3
import pytest

from tests.contract.stores import WORLDS, make_world
from tests.contract.tables import create_table
from windowshop.aws.log import DynamoLog
from windowshop.blobs import DirBlobs
from windowshop.log.sqlite import SqliteLog


@pytest.fixture
def dynamodb(aws):
    """A client of the emulator's DynamoDB."""
    return boto3.client("dynamodb")


@pytest.fixture
def table(dynamodb):
    """The name of an empty table like the deployment's."""
    name = f"log-{uuid.uuid4().hex[:12]}"
    create_table(dynamodb, name)
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def dynamo_log(dynamodb, table, tmp_path):
    """A log in the table; events are replayed at once."""
    blobs = DirBlobs(tmp_path / "blobs")
    opened = DynamoLog(
        lambda: dynamodb, table, blobs, lambda: time.time_ns() // 1_000_000, settle_ms=0
    )
    yield opened
    opened.close()


@pytest.fixture
def sqlite_log(tmp_path):
    opened = SqliteLog(tmp_path / "home" / "log.sqlite")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "dynamo"])
def log(request):
    return request.getfixturevalue(f"{request.param}_log")


@pytest.fixture
def open_log(dynamodb, table, tmp_path, monkeypatch):
    """Opens a log on the table, as another process would."""
    # With eight, whoever looks at all of them makes eight calls, and is met eight times.
    monkeypatch.setattr("windowshop.aws.log.layout.SHARDS", 1)
    blobs = DirBlobs(tmp_path / "blobs")
    logs = []

    def open_log(client=dynamodb, wall=lambda: time.time_ns() // 1_000_000, settle_ms=0, **more):
        more = {"pause": lambda _: None, **more}
        log = DynamoLog(lambda: client, table, blobs, wall, settle_ms=settle_ms, **more)
        log._table._inside.here = True  # one thing after the other: the n-th call is the same one
        logs.append(log)
        return log

    yield open_log
    for log in logs:
        log.close()


@pytest.fixture(params=WORLDS)
def world(request, tmp_path):
    """Where stores of vectors may be opened: see `stores`."""
    made = make_world(request.param, tmp_path, request)
    yield made
    made.close()


@pytest.fixture
def store(world):
    """A store of vectors that nobody wrote to."""
    opened = world.open()
    yield opened
    opened.close()
