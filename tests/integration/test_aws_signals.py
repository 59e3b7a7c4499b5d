"""What a deployment tells: events on a bus, as documented, and metrics in the log."""

import ast
import contextlib
import json
import re
import threading
from pathlib import Path

import boto3
import jsonschema_rs
import pytest
from botocore.exceptions import EndpointConnectionError

from tests.contract.sqs import sqs_queue
from tests.integration.warehouse import STORE, Warehouse, rows, tiny_encoder
from windowshop import embedding
from windowshop.aws.clients import Clients
from windowshop.aws.signals import MAX_KEPT, AwsSignals
from windowshop.jobs import send_keys
from windowshop.records import Event, Item, item_key, new_id

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "aws-events.schema.json").read_text("utf-8"))
NAMES = ("CatalogIngested", "ItemsEmbedded", "UserForgotten", "JobFailed")


def flaws(name, detail):
    schema = {**SCHEMA, "$ref": f"#/$defs/{name}"}
    return [str(flaw) for flaw in jsonschema_rs.iter_errors(schema, detail)]


# --- the documentation ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_keep_to_their_schemas(name):
    text = (ROOT / "docs" / "aws-events.md").read_text("utf-8")
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    [example] = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    assert flaws(name, json.loads(example)) == []


def test_a_schema_refuses_what_is_not_so():
    assert flaws("UserForgotten", {"store": "acme", "erasure_id": "e", "events": 1}) != []
    good = {"store": "acme", "erasure_id": "e", "events": 1, "profiles": 0}
    assert flaws("UserForgotten", good) == []
    assert flaws("UserForgotten", {**good, "user_id": "ann"}) != []


def test_all_events_that_are_sent_are_documented():
    sent = set()
    for folder in ("shared", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "announce":
                    sent |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    assert sent == set(NAMES)


# --- what is really sent -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    encoder = tiny_encoder(tmp_path_factory.mktemp("tiny"))
    with contextlib.closing(Warehouse(tmp_path_factory.mktemp("house"), encoder)) as opened:
        yield opened


def bus():
    """A bus, and a queue that hears everything on it."""
    name, queue, events = f"bus-{new_id(1)}", sqs_queue(), boto3.client("events")
    events.create_event_bus(Name=name)
    events.put_rule(
        Name="all", EventBusName=name, EventPattern=json.dumps({"source": ["windowshop"]})
    )
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    events.put_targets(Rule="all", EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    clients = Clients()
    return AwsSignals(lambda: clients("events"), name), queue


def heard(queue, count):
    found = []
    while len(found) < count and (some := queue.receive(wait_s=5)):
        queue.delete(some)
        found += [one.body for one in some]
    return [(one["detail-type"], one["detail"]) for one in found]


def test_what_happens_in_a_shop_is_told_as_documented(aws, house):
    signals, queue = bus()
    house.shop.world.signals = signals
    house.ingest("catalog/default/items.csv", rows(5))
    for job in house.queued():
        embedding.jobs(house.shop, house.blobs, [job])
    house.shop.put_items(STORE, [Item(item_id="http", title="oat cookies")], order=2**61)
    send_keys(house.small, STORE, [item_key(STORE, "http")], 1)
    embedding.jobs(house.shop, house.blobs, house.queued())
    house.shop.record(STORE, [Event(kind="view", user_id="ann", item_id="i1")], 1_790_000_000_000)
    house.shop.forget(STORE, "u:ann")
    house.ingest("catalog/default/broken.csv", "no,ids\n1,2\n")
    house.ingest("catalog/default/mapping.toml", "[[[")
    embedding.jobs(house.shop, house.blobs, [{"store": STORE, "chunk": "nonsense"}, "text"])

    told = heard(queue, 8)
    kinds = [(name, detail.get("what")) for name, detail in told]
    assert sorted(kinds, key=str) == sorted(
        [
            ("CatalogIngested", None),
            ("ItemsEmbedded", None),
            ("ItemsEmbedded", None),
            ("UserForgotten", None),
            ("JobFailed", "ingest"),
            ("JobFailed", "mapping"),
            ("JobFailed", "embed"),
            ("JobFailed", "embed"),
        ],
        key=str,
    )
    assert {name: flaws(name, detail) for name, detail in told if flaws(name, detail)} == {}
    assert "ann" not in json.dumps([detail for name, detail in told if name == "UserForgotten"])


# --- nothing fails because nobody listens --------------------------------------------------------


class Broken:
    def __init__(self, answer):
        self.answer = answer

    def put_events(self, **asked):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (EndpointConnectionError(endpoint_url="http://x"), {}),
        ({"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "full"}]}, {}),
        ({}, {"set": {1}}),
    ],
)
def test_what_cannot_be_told_is_logged(answer, detail, capsys):
    AwsSignals(lambda: Broken(answer), "bus").announce("JobFailed", detail)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "event_not_sent"


def test_without_a_bus_nobody_is_told():
    AwsSignals(lambda: pytest.fail("there is no bus"), "").announce("JobFailed", {})


# --- metrics -------------------------------------------------------------------------------------


@pytest.fixture
def signals(monkeypatch):
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "windowshop/test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "events")
    return AwsSignals(lambda: None, "")


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_metrics_are_one_line_at_the_end(signals, capsys):
    signals.measure("EventsFolded", 10)
    signals.measure("EventsFolded", 3)
    signals.measure("FreshnessSeconds", 1.5, "Seconds")
    assert lines(capsys) == []
    signals.flush()
    [line] = lines(capsys)
    assert (line["EventsFolded"], line["FreshnessSeconds"]) == ([10, 3], [1.5])
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("windowshop/test", [["service"]])
    assert {one["Name"]: one["Unit"] for one in directive["Metrics"]} == {
        "EventsFolded": "Count",
        "FreshnessSeconds": "Seconds",
    }
    assert line["service"] == "events"
    signals.flush()
    assert lines(capsys) == []


def test_each_set_of_dimensions_has_its_own_line(signals, capsys):
    signals.measure("LettersSent", 1, queue="events")
    signals.measure("LettersSent", 2, queue="embed")
    signals.measure("LettersSent", 4)
    signals.flush()
    found = {line.get("queue"): line["LettersSent"] for line in lines(capsys)}
    assert found == {"events": [1], "embed": [2], None: [4]}


def test_who_never_flushes_is_flushed(signals, capsys):
    for _ in range(2 * MAX_KEPT + 1):
        signals.measure("ItemsEmbedded", 1)
    assert [len(line["ItemsEmbedded"]) for line in lines(capsys)] == [MAX_KEPT, MAX_KEPT]
    signals.flush()
    assert [line["ItemsEmbedded"] for line in lines(capsys)] == [[1]]


def test_threads_lose_no_measure(signals, capsys):
    def work():
        for _ in range(500):
            signals.measure("ItemsEmbedded", 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signals.flush()
    assert sum(len(line["ItemsEmbedded"]) for line in lines(capsys)) == 2_000


@pytest.mark.parametrize("bad", [("X", "many", "Count"), ("X", 1, "Cows"), ("", 1, "Count")])
def test_what_cannot_be_measured_costs_no_invocation(signals, capsys, bad):
    signals.measure(*bad)
    signals.flush()
    said = capsys.readouterr()
    assert said.out == ""
    assert "metrics_dropped" in said.err


def test_without_a_namespace_nothing_is_written(monkeypatch, capsys):
    monkeypatch.delenv("POWERTOOLS_METRICS_NAMESPACE", raising=False)
    signals = AwsSignals(lambda: None, "")
    signals.measure("EventsFolded", 1)
    signals.flush()
    assert capsys.readouterr().out == ""
