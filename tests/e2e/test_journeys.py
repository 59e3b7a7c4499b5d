"""A shop's days from end to end: catalogues, events, outages, erasures; over HTTP and S3 alone.

    .venv/bin/python -m pytest tests/e2e/test_journeys.py                        an emulator of AWS
    .venv/bin/python -m pytest tests/e2e/test_journeys.py --world embedded       windowshop serve
    .venv/bin/python -m pytest tests/e2e/test_journeys.py --world deployed --deployment NAME

In the emulated world the functions run from their built packages, in processes of their own, with
the rights of their roles. What is deployed is asked with the credentials that boto3 finds.
"""

import csv
import io
import json
import os
import signal
import time

import jwt
import pytest

from tests.e2e import goods
from tests.e2e.shopping import until, view, when
from tests.e2e.worlds import pseudonym
from windowshop import consume
from windowshop.records import Event, read

on_aws = pytest.mark.worlds(
    "emulated", "deployed", because="there is no queue and no bus that others could use"
)
SMALL_ITEMS = 300
"""Of infra/deployments/local.toml: more new texts than that go to the bulk lane."""
NO_QDRANT = "Qdrant is inside the process, or not ours to take away"


@pytest.fixture
def back_again(world):
    """Whatever happens, Qdrant is there for the next journey."""
    yield
    world.away(0)


def ids(slate):
    return [one["item_id"] for one in slate["items"]]


def kinds(slate):
    return [goods.kind_of(one) for one in ids(slate)]


def message(store, user, *events, received_ms=None):
    """A message of the events queue, as the API sends it: its group and its body."""
    body = consume.message(
        store.name, [read(Event, one) for one in events], received_ms or round(time.time() * 1000)
    )
    return consume.group_of(store.name, pseudonym(store.name, user)), body


def test_01_a_catalogue_that_is_uploaded_becomes_slates(world, store):
    began = time.monotonic()
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    world.figures.append(
        f"upload of {goods.ALL} items -> searchable: {time.monotonic() - began:.1f} s at first use"
    )
    guest = store.slate(anonymous_id="guest", limit=10)
    assert len(guest["items"]) == 10
    assert guest["degraded"] is None
    alike = store.slate(scenario="similar", item_ids=["hiking-0"], limit=3)
    assert set(kinds(alike)) == {"hiking"}
    found = store.slate(scenario="search", query="something to brew a cup with", limit=3)
    assert set(kinds(found)) == {"coffee"}

    embedded = {one["item_id"]: one["embedded_at"] for one in store.items()}
    dearer = goods.rows(price=20.0)
    new = {**dearer[0], "item_id": "hiking-new", "title": "Map of mountain trails"}
    began = time.monotonic()
    store.upload([*dearer, new])
    after = store.searchable(goods.ALL + 1)
    world.figures.append(
        f"one new item in a catalogue of {goods.ALL + 1} -> searchable: "
        f"{time.monotonic() - began:.1f} s"
    )
    assert {one["price"] for one in after} == {float(one["price"]) for one in dearer}
    kept = {one["item_id"]: one["embedded_at"] for one in after if one["item_id"] in embedded}
    assert kept == embedded, "a new price embeds nothing anew"


def test_02_events_change_the_next_slate_and_their_order_does_not(world, store):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    ann, bob, eve = ({"user_id": name} for name in ("ann", "bob", "eve"))
    path = [("dogs-0", 50), ("dogs-1", 40), ("coffee-0", 30), ("dogs-2", 20), ("dogs-3", 10)]
    now = time.time()

    def walk(user):
        times = (when(time.time() - now + ago) for _, ago in path)
        return [
            view(user, item, event_id=f"e-{item}") | {"timestamp": at}
            for (item, _), at in zip(path, times, strict=True)
        ]

    before = store.slate(**ann)
    assert before["as_of"] is None
    for event in walk(ann):  # one by one, in their order
        store.send(event)
    for event in reversed(walk(bob)):  # the last first, and each of them twice
        store.send(event)
        store.send(event)
    store.send(*walk(eve))  # in one call
    for user in (ann, bob, eve):
        store.counted(user, len(path))
    world.drained()
    slates = [store.slate(**user, seen="drop") for user in (ann, bob, eve)]
    assert ids(slates[0]) != ids(before)
    assert kinds(slates[0])[0] == "dogs"
    assert slates[0]["items"][0]["reason"]["item_id"].startswith("dogs-")
    assert ids(slates[0]) == ids(slates[1]) == ids(slates[2])
    assert len({slate["as_of"] for slate in slates}) == 1
    if world.name != "embedded":
        again = [message(store, ann, event) for event in walk(ann)]
        world.deliver(*reversed(again), *again)
        world.drained()
        assert len(store.export(ann)["events"]) == len(path)
        assert ids(store.slate(**ann, seen="drop")) == ids(slates[0])


@on_aws
def test_03_a_poison_event_ends_among_the_letters_alone(world, store):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    ann, bob = {"user_id": "ann"}, {"user_id": "bob"}
    good = message(store, ann, view(ann, "coffee-1", 30))
    group, body = message(store, ann, view(ann, "coffee-2", 20))
    body["events"][0]["kind"] = "stare"
    world.deliver(
        good,
        (group, body),
        message(store, bob, view(bob, "garden-1", 20)),
        (group, "not even JSON"),
        message(store, ann, view(ann, "coffee-3", 10)),
    )
    assert {e["item_id"] for e in store.counted(ann, 2)["events"]} == {"coffee-1", "coffee-3"}
    assert len(store.counted(bob, 1)["events"]) == 1
    world.drained("events")
    (ours,) = world.letters(store.name, "kind")
    shown, code = world.cli("dead-letters", "show", ours["id"], "--store", store.name)
    assert code == 0
    assert shown["body"]["events"][0]["kind"] == "stare"


@on_aws
def test_04_a_broken_file_gives_a_report_and_is_told_of(world, store):
    with world.listening() as heard:
        store.upload(b"PAR1" + os.urandom(2_000) + b"PAR1", "broken.parquet")
        key = f"catalog/{store.name}/broken.parquet"
        (failed,) = until(lambda: heard("JobFailed", key=key), "JobFailed")
        assert failed["store"] == store.name
        assert failed["reason"]
        rows = goods.rows()
        half = goods.as_csv([*rows[:3], {**rows[3], "title": "", "category": ""}, rows[4]])
        store.upload(half, "half.csv")
        key = f"catalog/{store.name}/half.csv"
        (taken,) = until(lambda: heard("CatalogIngested", key=key), "CatalogIngested")
    assert (taken["read"], taken["accepted"], taken["rejected"]) == (5, 4, 1)
    report = world.s3.get_object(Bucket=world.bucket, Key=taken["report"])["Body"].read().decode()
    assert [row["line"] for row in csv.DictReader(io.StringIO(report)) if row["line"]] == ["5"]
    listed = world.s3.list_objects_v2(Bucket=world.bucket, Prefix=f"reports/{store.name}/")
    reports = [one["Key"] for one in listed["Contents"]]
    assert len(reports) == 2, "one for each file"
    store.searchable(4)
    assert not world.depth("catalogue")[1]


@on_aws
def test_05_told_twice_embeds_once_and_older_never_overwrites_newer(world, store):
    with world.listening() as heard:
        version = world.upload(store.name, "items.csv", goods.rows())
        store.searchable(goods.ALL)
        world.tell_of_upload(store.name, "items.csv", version)
        world.tell_of_upload(store.name, "items.csv", version)
        world.drained("catalogue", "embed")
        embedded = until(lambda: heard("ItemsEmbedded", store=store.name), "ItemsEmbedded")
        assert sum(one["items"] for one in embedded) == goods.ALL
        assert len(heard("CatalogIngested", store=store.name)) == 1

    with world.uploads_held_back():
        older = world.upload(store.name, "older.csv", goods.rows(price=20.0))
        time.sleep(1.1)  # S3's times have whole seconds
        newer = world.upload(store.name, "newer.csv", goods.rows(price=30.0))
    world.tell_of_upload(store.name, "newer.csv", newer)
    until(lambda: store.item("hiking-0")["price"] == 30.0, "the newer file took effect")
    world.tell_of_upload(store.name, "older.csv", older)
    world.tell_of_upload(store.name, "items.csv", version)
    world.drained("catalogue", "embed")
    assert [one["price"] for one in store.items() if one["price"] < 30.0] == []


@pytest.mark.worlds("emulated", because="only there a worker of the bulk lane is ours to kill")
def test_06_a_worker_is_killed_and_another_does_its_work(world, store):
    count = 2 * SMALL_ITEMS
    store.upload(goods.many(count))
    until(lambda: world.depth("embed_bulk")[0], "a job in the bulk lane")
    first = world.start_worker(WINDOWSHOP_HOLD_S="6")
    until(lambda: world.depth("embed_bulk") == (0, 1), "the worker has the job", longest_s=0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not any(one["embedded_at"] for one in store.items()), "it was killed before the end"
    second = world.start_worker(WINDOWSHOP_HOLD_S="6")
    try:
        store.searchable(count)
        world.drained("embed_bulk")
    finally:
        second.terminate()
        assert second.wait(30) == 0


@pytest.mark.worlds("emulated", because=NO_QDRANT)
def test_07_qdrant_is_away_for_twenty_seconds(world, store, back_again):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    before = world.letters(store.name)
    users = [{"user_id": f"user-{n}"} for n in range(6)]
    for n, user in enumerate(users):
        store.send(view(user, f"coffee-{n}", 60))
    for user in users:
        store.counted(user, 1)
    world.refresh()
    world.away(20)
    began = time.monotonic()
    degraded = until(
        lambda: (slate := store.slate(**users[0]))["degraded"] and slate, "a degraded slate", 10
    )
    assert degraded["degraded"]["code"]
    assert degraded["items"]
    for n, user in enumerate(users):
        store.send(view(user, f"dogs-{n}", 3), view(user, f"garden-{n}", 2))
    assert world.depth("events")[1], "they wait"
    while time.monotonic() - began < 20:
        assert store.slate(anonymous_id="guest")["items"]
        time.sleep(1)
    for user in users:
        store.counted(user, 3)
    until(lambda: store.slate(**users[0])["degraded"] is None, "slates as before")
    world.drained("events")
    counted = [len(store.export(user)["events"]) for user in users]
    assert counted == [3] * len(users)
    assert store.call("GET", "/readyz")[1]["users"] == len(users)
    assert world.letters(store.name) == before
    world.figures.append(
        f"events applied {time.monotonic() - began - 20:.1f} s after 20 s without Qdrant"
    )


def test_08_a_user_is_forgotten_with_events_on_their_way(world, store):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    ann, bob = {"user_id": "ann"}, {"user_id": "bob"}
    first = view(ann, "dogs-1", 30, event_id="first")
    store.send(first, view(bob, "dogs-1", 30))
    store.counted(ann, 1)
    store.counted(bob, 1)
    late = view(ann, "dogs-2", 5, event_id="late")
    received_ms = round(time.time() * 1000)
    if world.name != "embedded":
        assert len(world.kept(store.name, ann)) >= 2
        group, body = message(store, ann, view(ann, "dogs-5"))
        body["events"][0]["kind"] = "stare"
        world.deliver((group, body))
        until(lambda: world.letters(store.name, "kind"), "a letter about Ann")
    store.send(view(ann, "dogs-3", 4), view(ann, "dogs-4", 3))
    erasure = store.forget(ann)
    assert erasure["verified"] is True
    assert erasure["erased"]["profiles"] == 1
    if world.name != "embedded":
        assert world.letters(store.name, "kind") == [], "letters about Ann are gone too"
        world.deliver(message(store, ann, late, first, received_ms=received_ms))
    world.drained()
    left = store.export(ann)
    assert left["events"] == []
    assert left["merged"] == []
    assert not left["profile"]["events"]
    assert store.slate(**ann)["as_of"] is None
    assert store.call("GET", "/readyz")[1]["users"] == 1
    assert len(store.export(bob)["events"]) == 1
    if world.name != "embedded":
        assert world.kept(store.name, ann) == []
    # Whoever comes back begins anew.
    store.send(view(ann, "garden-1"))
    store.counted(ann, 1)


@pytest.mark.stores("journey-09-other")
def test_09_two_stores_never_see_each_other(world, store):
    other = world.store("journey-09-other")
    store.upload(goods.rows())
    other.upload(goods.rows(price=90.0, prefix="other/"))
    store.searchable(goods.ALL)
    other.searchable(goods.ALL)
    ann = {"user_id": "ann"}
    store.send(view(ann, "coffee-1", 20), view(ann, "coffee-2", 10))
    other.send(view(ann, "other/dogs-1", 10))
    assert len(store.counted(ann, 2)["events"]) == 2
    assert len(other.counted(ann, 1)["events"]) == 1
    ours, theirs = store.slate(**ann, limit=50), other.slate(**ann, limit=50)
    assert len(ours["items"]) == len(theirs["items"]) == goods.ALL
    assert not any(one.startswith("other/") for one in ids(ours))
    assert all(one.startswith("other/") for one in ids(theirs))
    assert kinds(store.slate(**ann, seen="drop"))[0] == "coffee"
    assert kinds(other.slate(**ann, seen="drop"))[0] == "dogs"
    assert store.item("other%2Fdogs-1") is None
    assert other.item("coffee-1") is None
    assert store.call("GET", "/v1/items", None, None, **{"Windowshop-Store": other.name})[0] == 403
    store.forget(ann)
    assert len(other.export(ann)["events"]) == 1


def test_10_keys_and_tokens_open_what_they_should(world, store):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    slate, events = "/v1/recommendations", "/v1/events"

    def status(method, path, body=None, key=None):
        return store.call(method, path, body, key)[0]

    assert status("POST", slate, {}, key=False) == 401
    assert status("POST", slate, {}, key="ws_secret_" + "x" * 43) == 401
    public = store.publishable
    assert status("POST", slate, {"anonymous_id": "guest"}, public) == 200
    assert (
        status("POST", events, {"events": [view({"anonymous_id": "guest"}, "dogs-1")]}, public)
        == 202
    )
    assert status("POST", slate, {"user_id": "ann"}, public) == 403
    item = {"item_id": "new", "title": "Cheap"}
    for method, path, body in (
        ("PUT", "/v1/items", {"items": [item]}),
        ("POST", "/v1/items/delete", {"item_ids": ["dogs-1"]}),
        ("POST", "/v1/users/export", {"user_id": "ann"}),
        ("POST", "/v1/users/forget", {"user_id": "ann"}),
    ):
        assert status(method, path, body, public) == 403, path
    answer = store.call("POST", events, {"events": [view({"user_id": "ann"}, "dogs-1")]}, public)
    assert answer[0] == 403 or answer[1]["rejected"][0]["code"] == "forbidden", answer

    made, code = world.cli("keys", "signing-secret", "--store", store.name)
    assert code == 0
    secret, later = made["signing_secret"], int(time.time()) + 600

    def token(secret, **claims):
        return jwt.encode({"sub": "ann", "exp": later, **claims}, secret, algorithm="HS256")

    until(
        lambda: status("POST", slate, {"user_token": token(secret)}, public) == 200,
        "a token with the store's secret counts",
    )
    for wrong in (
        token("0" * 64),
        token(secret, exp=int(time.time()) - 120),
        token(secret)[:-2],
        jwt.encode({"sub": "ann", "exp": later}, None, algorithm="none"),
    ):
        assert status("POST", slate, {"user_token": wrong}, public) == 401
    made, code = world.cli("keys", "create", "--role", "publishable", "--store", store.name)
    assert code == 0
    until(lambda: status("POST", slate, {}, made["key"]) == 200, "a new key counts")
    assert item["item_id"] not in {one["item_id"] for one in store.items()}


@pytest.mark.worlds("emulated", because=NO_QDRANT)
def test_11_a_dead_letter_that_is_tried_again_takes_effect_once(world, store, back_again):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    ann = {"user_id": "ann"}
    before = {one["id"] for one in world.letters(store.name)}

    def letters():
        return [one for one in world.letters(store.name) if one["id"] not in before]

    queue = world.url("events")
    policy = world.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    policy = policy["Attributes"]["RedrivePolicy"]
    once = json.dumps({**json.loads(policy), "maxReceiveCount": 1})
    world.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": once})
    world.away(60)
    try:
        store.send(view(ann, "garden-3", 2), view(ann, "garden-4", 1))
        (letter,) = until(letters, "SQS itself gives the message up")
    finally:
        world.away(0)
        world.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    assert letter["reason"]
    assert store.slate(**ann)["as_of"] is None
    said, code = world.cli("dead-letters", "retry", letter["id"], "--store", store.name)
    assert code == 0, said
    counted = store.counted(ann, 2)
    assert letters() == []
    world.deliver(message(store, ann, *counted["events"]))
    world.drained("events")
    assert len(store.export(ann)["events"]) == 2


def test_12_a_guest_logs_in_and_it_was_somebody_else(world, store):
    store.upload(goods.rows())
    store.searchable(goods.ALL)
    guest, ann = {"anonymous_id": "cookie-1"}, {"user_id": "ann"}
    store.send(view(guest, "hiking-1", 30), view(guest, "hiking-2", 20))
    store.send(view(ann, "garden-1", 40))
    store.counted(guest, 2)
    store.counted(ann, 1)
    pair = {**guest, **ann}
    assert store.call("POST", "/v1/users/merge", pair) == (200, {"events": 2})
    merged = store.counted(ann, 3)
    assert [one["anonymous_id"] for one in merged["merged"]] == ["cookie-1"]
    assert "hiking" in kinds(store.slate(**ann, seen="drop"))[:3]
    assert store.call("POST", "/v1/users/unmerge", pair) == (200, {"events": 2})
    apart = store.counted(ann, 1)
    assert apart["merged"] == []
    assert "hiking" not in kinds(store.slate(**ann, seen="drop"))[:2]
    assert len(store.export(guest)["events"]) == 2
