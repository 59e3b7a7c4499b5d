"""The command line beside a deployment: found by its name, operated from outside."""

import builtins
import csv
import json
import sys
import time

import boto3
import pytest
from typer.testing import CliRunner

from localstack import qdrant_standin
from tests.contract.sqs import sqs_queue
from tests.contract.tables import create_table
from tests.contract.tiny_models import save_bert
from tests.contract.tiny_towers import items_of, model_of
from tests.integration.test_train import write
from windowshop import consume
from windowshop.aws import deployment as deployments
from windowshop.cli import app
from windowshop.errors import InvalidInput, Misconfigured
from windowshop.keys import digest_of
from windowshop.learned import ITEMS, MODEL
from windowshop.queues import Outgoing
from windowshop.records import Event, Item, Request, new_id
from windowshop.settings import Settings, read_deployment

LANES = ("catalogue", "embed", "embed_bulk", "events")


class Ran:
    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self):
        return json.loads(self.out)


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result)


@pytest.fixture(scope="module")
def server():
    """A Qdrant of the deployment's own: its collections have no prefix."""
    with qdrant_standin.running() as started:
        yield started


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_bert(folder / "tiny")
    return folder


@pytest.fixture
def deployed(aws, server, model):
    """The name of a deployment: every part that the stacks make, under SSM's parameters."""
    name = f"t{new_id(1)[-12:].lower()}"
    create_table(boto3.client("dynamodb"), name)
    boto3.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    boto3.client("events").create_event_bus(Name=name)
    values = {
        "WINDOWSHOP_TABLE": name,
        "WINDOWSHOP_BUCKET": name,
        "WINDOWSHOP_BUS": name,
        "WINDOWSHOP_PARAMETERS": f"/windowshop/{name}",
        "WINDOWSHOP_CLOCK": "wall",
        "WINDOWSHOP_MODEL": str(model / "tiny"),
        "WINDOWSHOP_MODELS": str(model / "built"),
        "WINDOWSHOP_WEIGHTS": '{"view": 2}',
        "WINDOWSHOP_ORIGINS": '["https://shop.example"]',
    }
    sqs = boto3.client("sqs")
    for lane in LANES:
        for end in ("queue", "letters"):
            url = sqs_queue(sqs, fifo=lane == "events").url
            values[f"WINDOWSHOP_{lane}_{end}".upper()] = url
    put = boto3.client("ssm").put_parameter
    put(Name=f"/windowshop/{name}/config", Value=json.dumps(values), Type="String")
    put(Name=f"/windowshop/{name}/qdrant/url", Value=server.url, Type="String")
    return name


@pytest.fixture
def shop(deployed):
    """A shop of that deployment with two items and what a shopper did."""
    opened = deployments.open_late(deployments.find(deployed))
    opened.put_items("default", [Item(item_id="milk", title="organic milk"),
                                 Item(item_id="oats", title="rolled oats")], order=1)  # fmt: skip
    opened.embed_waiting("default", 10)
    opened.record("default", [Event(kind="view", user_id="ann", item_id="milk")], now())
    yield opened
    opened.world.store.delete_items("default", ["milk", "oats"], 2)
    opened.close()


def now():
    return time.time_ns() // 1_000_000


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_that_is_made_here_counts_there(deployed):
    made = run("keys", "create", "--role", "secret", "--deployment", deployed, "--json").json
    aws = deployments.find(deployed)
    assert aws.keyring.key(digest_of(made["key"])).live
    [listed] = run("keys", "list", "--deployment", deployed, "--json").json["keys"]
    assert (listed["id"], listed["role"]) == (made["id"], "secret")
    assert run("keys", "revoke", made["id"], "--deployment", deployed).code == 0
    aws.keyring.renew()
    assert not aws.keyring.key(digest_of(made["key"])).live
    secret = run("keys", "signing-secret", "--deployment", deployed, "--json").json
    assert secret["signing_secret"] == aws.keyring.signing_secret("default")


def test_keys_need_neither_model_nor_qdrant(deployed, monkeypatch):
    put = boto3.client("ssm").put_parameter
    put(
        Name=f"/windowshop/{deployed}/qdrant/url",
        Value="http://127.0.0.1:9",
        Type="String",
        Overwrite=True,
    )
    monkeypatch.setattr("windowshop.aws.open_encoder", lambda *_, **__: pytest.fail("opened"))
    assert run("keys", "list", "--deployment", deployed).code == 0
    assert run("dead-letters", "list", "--deployment", deployed).code == 0


def test_the_deployment_may_stand_in_the_environment(deployed, monkeypatch, tmp_path):
    monkeypatch.setenv("WINDOWSHOP_DEPLOYMENT", deployed)
    assert run("keys", "list", "--json").json == {"keys": []}
    ran = run("keys", "list", "--home", tmp_path)
    assert (ran.code, "either --home or" in ran.err) == (2, True)


# --- letters -------------------------------------------------------------------------------------


def bury(aws, lane, body, **attributes):
    queue = aws.queue(f"{lane}_letters")
    assert queue.send([Outgoing(body, new_id(1), new_id(1), attributes)]) == []


def test_letters_of_all_queues_are_listed_shown_and_sent_again(deployed):
    aws = deployments.find(deployed)
    events = consume.message("default", [Event(kind="view", user_id="ann", item_id="i")], now())
    created = {"detail": {"object": {"key": "catalog/default/items.csv"}}}
    bury(aws, "events", events, reason="no such kind", store="default")
    bury(aws, "catalogue", created)
    bury(aws, "embed", {"store": "default", "keys": ["1"]}, reason="no such chunk")
    bury(aws, "embed_bulk", {"store": "other", "keys": ["1"]})
    where = ("--deployment", deployed)
    listed = run("dead-letters", "list", *where, "--json").json["letters"]
    reasons = {one["id"].partition("/")[0]: one["reason"] for one in listed}
    assert reasons["events"] == "no such kind"
    assert reasons.keys() == {"events", "catalogue", "embed"}
    first = next(one["id"] for one in listed if one["id"].startswith("events/"))
    assert run("dead-letters", "show", first, *where).json["body"] == events

    ran = run("dead-letters", "retry", first, *where)
    assert (ran.code, ran.out) == (0, "1 of 1 were sent again\n")
    assert [one.body for one in aws.queue("events_queue").receive()] == [events]
    assert run("dead-letters", "show", first, *where).code == 2

    all_of_them = run("dead-letters", "retry", *where, "--json").json
    assert (all_of_them["retried"], all_of_them["applied"], all_of_them["sent"]) == (2, 0, 2)
    assert [one.body for one in aws.queue("catalogue_queue").receive()] == [created]
    assert aws.queue("embed_bulk_letters").depth() == 1


def test_a_letter_that_nobody_can_read_stays(deployed):
    aws = deployments.find(deployed)
    bury(aws, "events", {"unreadable": "not {json"}, reason="no message")
    ran = run("dead-letters", "retry", "--deployment", deployed, "--json")
    assert ran.code == 1
    [letter] = ran.json["letters"]
    assert (letter["status"], letter["reason"]) == ("dead", "no function can read it")
    assert aws.queue("events_letters").depth() == 1


# --- the shop ------------------------------------------------------------------------------------


def test_what_a_shopper_did_is_seen_and_forgotten(deployed, shop):
    aws, where = deployments.find(deployed), ("--deployment", deployed)
    slate = run("recommend", "--user", "ann", *where, "--json").json
    assert {item["item_id"] for item in slate["items"]} <= {"milk", "oats"}
    assert slate["as_of"] is not None
    exported = run("export", "ann", *where, "--json").json
    assert [event["item_id"] for event in exported["events"]] == ["milk"]
    late = consume.message("default", [Event(kind="view", user_id="ann", item_id="oats")], now())
    bury(aws, "events", late, reason="r", store="default")
    erasure = run("forget", "ann", *where, "--json").json
    assert (erasure["verified"], erasure["erased"]["events"]) == (True, 1)
    assert run("export", "ann", *where, "--json").json["events"] == []
    assert aws.queue("events_letters").depth() == 0


def test_a_lost_letter_queue_holds_up_no_erasure(deployed, shop):
    aws, where = deployments.find(deployed), ("--deployment", deployed)
    boto3.client("sqs").delete_queue(QueueUrl=aws.queue("events_letters").url)
    ran = run("forget", "ann", *where, "--json")
    assert (ran.code, ran.json["verified"]) == (0, True)
    assert "letters_not_deleted" in ran.err


def test_profiles_are_made_again_from_the_log(deployed, shop):
    rebuilt = run("rebuild", "--deployment", deployed, "--json").json
    assert (rebuilt["users"], rebuilt["events"]) == (1, 1)
    ran = run("rebuild", "--embed", "--deployment", deployed)
    assert (ran.code, "--embed" in ran.err) == (2, True)


def test_a_field_is_declared(deployed):
    where = ("--deployment", deployed, "--store", "fields", "--json")
    added = run("fields", "add", "colour", "keyword", *where)
    assert added.json == {"fields": {"colour": "keyword"}}
    assert run("fields", "list", *where).json == added.json


def test_doctor_looks_at_every_part(deployed, shop):
    bury(deployments.find(deployed), "events", {"unreadable": "x"}, reason="r")
    ran = run("doctor", "--deployment", deployed, "--json")
    found = ran.json
    assert (ran.code, found["ok"], found["deployment"]) == (0, True, deployed)
    checks = {(one["name"], one["state"]): one for one in found["checks"]}
    assert "1 dead letters" in checks["queues", "warning"]["detail"]
    assert "nobody can call" in checks["keys", "warning"]["detail"]
    assert "2 items, 1 users, 1 events" in checks["store default", "ok"]["detail"]
    assert {name for name, _ in checks} >= {"deployment", "event log", "bucket", "Qdrant", "model"}
    assert "qdrant_api_key" not in found["settings"]
    run("keys", "create", "--role", "secret", "--deployment", deployed)
    said = run("doctor", "--deployment", deployed).out
    assert "there are some" in said


def test_doctor_goes_on_where_a_part_is_missing(deployed):
    client = boto3.client("s3")
    client.delete_bucket(Bucket=deployed)
    ran = run("doctor", "--deployment", deployed, "--json")
    assert ran.code == 1
    states = {one["name"]: one["state"] for one in ran.json["checks"]}
    assert (states["bucket"], states["queues"], states["Qdrant"]) == ("broken", "ok", "ok")


# --- what keeps from it --------------------------------------------------------------------------


def test_a_name_that_nothing_has_says_where_it_looked(aws):
    ran = run("keys", "list", "--deployment", "nowhere")
    assert ran.code == 2
    assert "no deployment 'nowhere' in eu-central-1" in ran.err
    assert "AWS_PROFILE" in ran.err
    for bad in ("../x", "", "UPPER", "x" * 25):
        with pytest.raises(InvalidInput, match="1-24"):
            deployments.find(bad)


def test_no_region_and_no_credentials_say_what_to_do(aws, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for gone, says in (
        ("AWS_ACCESS_KEY_ID", "aws configure"),
        ("AWS_DEFAULT_REGION", "AWS_DEFAULT_REGION"),
    ):
        monkeypatch.delenv(gone)
        ran = run("keys", "list", "--deployment", "shop", "--json")
        assert (ran.code, ran.json["error"]["code"]) == (2, "misconfigured")
        assert says in ran.json["error"]["detail"]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    ran = run("keys", "list", "--deployment", "shop")
    assert (ran.code, "AWS_PROFILE" in ran.err) == (2, True)


def test_nobody_there_is_a_failure_at_work(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert run("keys", "list", "--deployment", "shop").code == 1


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    for name in list(sys.modules):
        if name == "windowshop.aws" or name.startswith(("windowshop.aws.", "boto3", "botocore")):
            monkeypatch.delitem(sys.modules, name)
    plain = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "boto3":
            raise ModuleNotFoundError("No module named 'boto3'", name="boto3")
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    ran = run("keys", "list", "--deployment", "shop")
    assert (ran.code, "pip install 'windowshop[aws]'" in ran.err) == (2, True)


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "null"])
def test_a_config_that_is_none_is_named(aws, text):
    name = f"c{new_id(1)[-12:].lower()}"
    boto3.client("ssm").put_parameter(Name=f"/windowshop/{name}/config", Value=text, Type="String")
    with pytest.raises(Misconfigured, match=f"/windowshop/{name}/config"):
        deployments.find(name)


def test_the_shells_own_settings_do_not_reach_a_deployment(monkeypatch):
    monkeypatch.setenv("WINDOWSHOP_CLOCK", "events")
    monkeypatch.setenv("WINDOWSHOP_TABLE", "another")
    monkeypatch.setenv("QDRANT_URL", "http://localhost:6333")
    aws, own = read_deployment(
        {
            "WINDOWSHOP_BUCKET": "b",
            "WINDOWSHOP_WEIGHTS": '{"view": 2}',
            "WINDOWSHOP_RETENTION_DAYS": "30",
            "WINDOWSHOP_LATER": "x",
            "OTHER": "y",
        }
    )
    assert (aws.bucket, aws.table, aws.qdrant_url) == ("b", "", "http://localhost:6333")
    assert own == Settings.model_construct(
        **{**own.model_dump(), "clock": "wall", "weights": {"view": 2.0}, "retention_days": 30.0}
    )
    with pytest.raises(Misconfigured, match="believed_s"):
        read_deployment({"WINDOWSHOP_BELIEVED_S": "soon"})


def test_what_is_opened_later_is_opened_once_and_only_then():
    class Port:
        closed = False

        def close(self):
            self.closed = True

    opened = []

    def opens():
        opened.append(Port())
        return opened[-1]

    unused = deployments.Later(opens)
    unused.close()
    assert opened == []
    used = deployments.Later(opens)
    assert used.closed is used.closed is False
    used.close()
    assert [one.closed for one in opened] == [True]


# --- what is learned -----------------------------------------------------------------------------


def test_what_is_learned_from_its_log_serves_in_the_deployment(deployed, tmp_path):
    pytest.importorskip("lightgbm")
    aws = deployments.find(deployed)
    shop, name = deployments.open_late(aws), new_id(1)[:12].lower()
    items, events = write(tmp_path, users=25, days=40)
    with items.open() as file:
        rows = [Item(item_id=row["item_id"], title=row["title"]) for row in csv.DictReader(file)]
    shop.put_items(name, rows, order=1)
    while shop.embed_waiting(name, 100):
        pass
    with events.open() as file:
        some = [{**row, "timestamp": int(row["timestamp"])} for row in csv.DictReader(file)]
    shop.record(name, [Event(**row) for row in some], now())
    place = ("--deployment", deployed, "--store", name, "--json")

    found = run("evaluate", "--queries", 5, "--baselines", "none", *place).json
    assert (found["queries"], found["dataset"]) == (5, f"{deployed}/{name}")
    trained = run("train", "ranker", "--seed", 3, *place).json["tasks"]["all"]
    if not trained["promoted"]:
        run("models", "promote", "ranker-all", trained["version"], *place)
    (one,) = (row for row in run("models", "list", *place).json["models"] if row["serves"])
    assert (one["kind"], one["version"]) == ("ranker-all", trained["version"])

    ranks = shop.world.rankers.get(name, "all")
    assert ranks is not None
    slate = shop.recommend(name, Request(user_id="user01", limit=5, seen="keep"))
    assert (slate.degraded, len(slate.items)) == (None, 5)
    assert run("models", "rollback", "ranker-all", *place).json["serves"] is None
    assert shop.world.rankers.get(name, "all") is ranks  # for a minute
    aws.settings = aws.settings.model_copy(update={"believed_s": 0})
    assert deployments.open_late(aws).world.rankers.get(name, "all") is None

    assert run("models", "promote", "tower", "v1", *place).code == 2
    items = items_of(shop.world.encoder.dim)
    aws.shelf.put(name, "tower", "v1", {MODEL: model_of(), ITEMS: items}, {})
    assert run("models", "promote", "tower", "v1", *place).json["serves"] == "v1"
    there = deployments.open_late(aws).world
    assert there.store.learned_by(name) == "v1"
    assert there.towers.get(name, "v1") is not None
    assert run("models", "rollback", "tower", *place).json["serves"] is None
    shop.close()
