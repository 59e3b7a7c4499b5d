"""Batches of events, as recorded from SQS, through the handler of `events` into a shop in memory."""

import json

import pytest

from functions.events.entry import build
from tests.integration.functions.conftest import STORE, VISIBLE_S
from tests.integration.functions.recorded import load
from windowshop import consume
from windowshop.aws.batches import Deliveries
from windowshop.errors import InvalidInput, Misconfigured, Unavailable
from windowshop.queues import Outgoing, pause_s
from windowshop.records import Event, user_key

# The client's own memory has no payload indexes and searches exactly, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")


def view(user="ann", item="i1", **more):
    return Event(kind="view", user_id=user, item_id=item, **more)


@pytest.fixture
def done():
    return []


@pytest.fixture
def handler(shop, events, heard, done):
    deliveries = Deliveries(events.queue, events.letters, heard, fifo=True)
    return build(shop, deliveries, {"refresh": lambda: done.append("refresh")})


@pytest.fixture
def send(events, clock):
    """Put bodies of messages, or events, on the queue, in the group of their user."""

    def put(*some, group="g"):
        made = []
        for one in some:
            body, whose = one, group
            if isinstance(one, Event):
                body, whose = consume.message(STORE, [one], clock()), one.user_id
            made.append(Outgoing(body, whose, dedup=f"{json.dumps(body)}{len(made)}"))
        assert events.queue.send(made) == []

    return put


def counted(shop, user="ann"):
    return shop.export(STORE, f"u:{user}")["profile"]["events"]


def test_a_batch_is_logged_and_folded(handler, shop, events, send, heard):
    send(view(), view("bob"), view("ann", "i2"))
    bodies, again = events.poll(handler)

    assert (len(bodies), again) == (3, [])
    assert (counted(shop), counted(shop, "bob")) == (2, 1)
    assert heard.sum("EventsFolded") == 3
    assert heard.sum("UnknownItems") == 3
    fresh = [value for name, value, unit in heard.measured if name == "FreshnessSeconds"]
    assert len(fresh) == 3
    assert all(0 <= seconds < 60 for seconds in fresh)


def test_a_recorded_record_that_is_no_message_is_a_letter(handler, events):
    assert handler(load("sqs_fifo")) == {"batchItemFailures": []}

    ((reason, body, _),) = events.buried()
    assert reason == "a message has events, received_ms, store and nothing else"
    assert body == {}


@pytest.mark.parametrize(
    "poison",
    [
        {"store": STORE, "events": [{"kind": "vie", "user_id": "ann"}], "received_ms": 10**12},
        {"store": "No Store", "events": [], "received_ms": 10**12},
        {"store": STORE, "events": [{"kind": "view", "user_id": "\ud800"}], "received_ms": 10**12},
        {"store": "\ud800\n", "nothing": "\x00"},
        {},
    ],
    ids=range(5),
)
def test_poison_holds_up_neither_its_batch_nor_its_user(handler, shop, events, send, poison):
    send(view("bob"))
    send(poison, group="ann")
    send(view("ann"))
    _, again = events.poll(handler)

    assert again == []
    assert (counted(shop), counted(shop, "bob")) == (1, 1)
    assert events.queue.depth() == 0
    ((reason, body, _),) = events.buried()
    assert reason
    assert body == json.loads(json.dumps(poison))


def test_a_letter_says_of_which_store_and_user_it_is_but_not_the_users_name(
    handler, events, send, clock
):
    send(view(timestamp="2999-01-01T00:00:00Z"))
    events.poll(handler)

    ((reason, body, attributes),) = events.buried()
    assert "24 hours" in reason
    assert attributes["store"] == STORE
    assert attributes["user"] == user_key(STORE, "u:ann")
    assert body["events"][0]["user_id"] == "ann"


def test_only_the_bad_events_of_a_message_are_a_letter(handler, shop, events, send, clock):
    message = consume.message(STORE, [view(), view("ann", "i2")], clock())
    message["events"].insert(1, {"kind": "view", "user_id": "ann"})
    send(message)
    events.poll(handler)

    assert counted(shop) == 2
    ((_, body, _),) = events.buried()
    assert body["events"] == [{"kind": "view", "user_id": "ann"}]


def test_what_is_no_json_is_a_letter(handler, events):
    record = load("sqs_fifo")
    record["Records"][0]["body"] = "{not json"
    assert handler(record) == {"batchItemFailures": []}

    ((_, body, _),) = events.buried()
    assert body == {"unreadable": "{not json"}


def test_an_outage_is_waited_out_however_long(handler, shop, events, send, clock, monkeypatch):
    def away(*_):
        raise Unavailable("Qdrant does not answer")

    for n in range(3):
        send(view("ann", f"i{n}"), view("bob", f"i{n}"))
    before = shop.world.log.count(STORE)
    with monkeypatch.context() as broken:
        for name in ("users", "items", "put_users", "vectors"):
            broken.setattr(shop.world.store, name, away)
        waits = []
        for _ in range(40):
            bodies, again = events.poll(handler)
            assert len(again) == len(bodies)
            start = clock()
            while events.queue.depth() and not _visible(events.queue):
                clock.sleep(1)
            waits.append(round((clock() - start) / 1000))
    assert [wait for wait in waits if wait <= 512][:10] == [2**n for n in range(10)]
    assert set(waits[10:]) == {900}
    assert events.buried() == []

    while events.queue.depth():
        events.poll(handler)
        clock.sleep(900)
    assert (counted(shop), counted(shop, "bob")) == (3, 3)
    assert shop.world.log.count(STORE) == before + 6
    assert shop.fold_waiting(STORE) == 0


def _visible(queue):
    """Whether something could be received just now, without receiving it."""
    now = queue._clock()
    return any(held.visible_ms <= now for held in queue._held)


def test_an_error_of_ours_is_tried_five_times_and_then_a_letter_with_its_name(
    handler, shop, events, send, clock, monkeypatch
):
    put = shop.world.store.put_users

    def fails_for_ann(tenant, users):
        if any(one.key == user_key(STORE, "u:ann") for one in users):
            raise ValueError("ann@example.org")
        return put(tenant, users)

    monkeypatch.setattr(shop.world.store, "put_users", fails_for_ann)
    send(view("ann"), view("bob"))
    for tries in range(1, 6):
        _, again = events.poll(handler)
        assert len(again) == (tries < 5)
        assert counted(shop, "bob") == 1
        clock.sleep(pause_s(tries))

    assert events.queue.depth() == 0
    ((reason, body, _),) = events.buried()
    assert reason == "ValueError"
    assert body["events"][0]["item_id"] == "i1"


def test_the_rest_of_a_group_waits_with_the_one_that_is_put_back(
    handler, shop, events, send, clock, monkeypatch
):
    append = shop.world.log.append_many

    def away_for_the_first(batches):
        if any(row.item_id == "i0" for _, rows, _ in batches for row in rows):
            raise KeyError("odd")
        return append(batches)

    monkeypatch.setattr(shop.world.log, "append_many", away_for_the_first)
    send(*(view("ann", f"i{n}") for n in range(3)), view("bob"))
    bodies, again = events.poll(handler)
    assert (len(bodies), len(again)) == (4, 3)
    assert events.poll(handler) is None

    monkeypatch.setattr(shop.world.log, "append_many", append)
    clock.sleep(1)
    bodies, again = events.poll(handler)
    assert ([body["events"][0]["item_id"] for body in bodies], again) == (["i0", "i1", "i2"], [])
    assert counted(shop) == 3


def test_a_letter_that_cannot_be_sent_is_not_lost_and_not_sent_twice(
    handler, events, send, clock, monkeypatch
):
    send_letter = events.letters.send

    def away(_):
        raise Unavailable("no queue")

    send({"odd": 1})
    monkeypatch.setattr(events.letters, "send", away)
    _, again = events.poll(handler)
    assert len(again) == 1

    monkeypatch.setattr(events.letters, "send", send_letter)
    monkeypatch.setattr(events.queue, "delete", lambda messages: None)  # we end just before that
    clock.sleep(1)
    events.poll(handler)
    clock.sleep(VISIBLE_S)
    assert events.poll(handler) is not None
    assert len(events.buried()) == 1


def test_a_letter_the_queue_refuses_is_kept_where_it_is(handler, events, send, monkeypatch):
    monkeypatch.setattr(events.letters, "send", lambda _: [(0, "too large")])
    send({"odd": 1})
    _, again = events.poll(handler)
    assert len(again) == 1


def test_what_cannot_be_put_back_comes_again_all_the_same(
    handler, shop, events, send, clock, monkeypatch
):
    def away(*_):
        raise Unavailable("away")

    monkeypatch.setattr(events.queue, "release", away)
    send(view())
    with monkeypatch.context() as broken:
        broken.setattr(shop.world.store, "put_users", away)
        _, again = events.poll(handler)
    assert len(again) == 1
    clock.sleep(VISIBLE_S)
    assert events.poll(handler) is not None
    assert counted(shop) == 1


def test_a_wrong_setting_fails_the_call_and_loses_nothing(handler, shop, events, send, monkeypatch):
    def wrong(*_):
        raise Misconfigured("WINDOWSHOP_TABLE: no such table")

    send(view())
    with monkeypatch.context() as broken:
        broken.setattr(shop.world.log, "append_many", wrong)
        with pytest.raises(Misconfigured):
            events.poll(handler)
    assert events.queue.depth() == 1


def test_a_scheduler_asks_for_a_refresh(handler, done):
    assert handler(load("scheduler_refresh")) == {"task": "refresh", "status": "done"}
    assert done == ["refresh"]


@pytest.mark.parametrize(
    "event", [{}, {"Records": []}, {"task": "x"}, {"task": ["refresh"]}], ids=str
)
def test_what_it_was_not_made_for_is_said(handler, event):
    with pytest.raises(InvalidInput, match="refresh"):
        handler(event)


@pytest.mark.parametrize(
    ("tries", "seconds"), [(0, 1), (1, 1), (4, 8), (10, 512), (11, 900), (9999, 900)]
)
def test_waits_grow_to_a_quarter_of_an_hour(tries, seconds):
    assert pause_s(tries) == seconds
