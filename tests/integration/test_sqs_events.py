"""Events of the API on their way through a FIFO queue, until they are folded."""

import asyncio
import contextlib
import threading
import time

import pytest

from tests.contract.sqs import sqs_queue
from tests.integration.warehouse import STORE, Warehouse, tiny_encoder, wall_ms
from windowshop import consume
from windowshop.api.problems import TooManyRequests
from windowshop.aws.events import SqsEvents
from windowshop.errors import Unavailable
from windowshop.letters import MAX_REASON
from windowshop.queues import MAX_BYTES, LocalQueue, Outgoing, encoded, size_of
from windowshop.records import Event, user_key
from windowshop.settings import Settings

NOW = 1_790_000_000_000


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def house(tmp_path, encoder):
    with contextlib.closing(Warehouse(tmp_path, encoder)) as opened:
        yield opened


@pytest.fixture(params=["local", "sqs"])
def queue(request):
    if request.param == "local":
        return LocalQueue(wall_ms, fifo=True)
    request.getfixturevalue("aws")
    return sqs_queue(fifo=True)


def did(user, item="i1", **more):
    return Event(kind="view", user_id=user, item_id=item, **more)


def submit(house, queue, events, at=NOW, store=STORE):
    return asyncio.run(SqsEvents(house.shop.world, queue).submit(store, events, at))


def queued(queue):
    found = []
    while some := queue.receive():
        queue.delete(some)
        found += some
    return found


def test_a_user_and_call_make_one_message(house, queue):
    taken = submit(house, queue, [did("ann", "i1"), did("bob"), did("ann", "i2")])
    assert (list(taken.rejected), taken.unknown_items) == ([], 0)
    messages = {one.group: one.body for one in queued(queue)}
    ann, bob = (f"{STORE}/{user_key(STORE, user)}" for user in ("u:ann", "u:bob"))
    assert messages.keys() == {ann, bob}
    assert [event["item_id"] for event in messages[ann]["events"]] == ["i1", "i2"]
    assert messages[bob]["received_ms"] == NOW


def test_what_was_submitted_is_folded_and_counts_once(house, queue):
    events = [
        did("ann", event_id="e1"),
        did("ann", "i2"),
        did("ann", "i3", timestamp=NOW / 1000 - 5),
    ]
    submit(house, queue, events)
    bodies = [one.body for one in queued(queue)]
    for _ in range(2):  # delivered twice
        assert [one.status for one in consume.events(house.shop, bodies)] == ["ok"]
    exported = house.shop.export(STORE, "u:ann", None)["events"]
    assert sorted(event["item_id"] for event in exported) == ["i1", "i2", "i3"]


def test_a_call_for_many_users_is_taken_whole(house, queue):
    events = [did(f"u{n % 57}", f"i{n}") for n in range(200)]
    assert submit(house, queue, events).rejected == []
    messages = queued(queue)
    assert len(messages) == 57
    assert sum(len(one.body["events"]) for one in messages) == 200


def test_what_cannot_take_effect_is_refused_before_it_is_queued(house, queue):
    events = [did("ann"), did("ann", timestamp=NOW / 1000 + 90_000), did("bob")]
    [rejected] = submit(house, queue, events).rejected
    assert (rejected.index, rejected.code) == (1, "invalid_input")
    assert "24 hours" in rejected.detail
    assert sorted(len(one.body["events"]) for one in queued(queue)) == [1, 1]
    assert submit(house, queue, events[1:2]).rejected != []
    assert queued(queue) == []


def test_more_than_a_message_holds_is_several_of_the_same_group(house, queue):
    context = {f"k{n}": "x" * 500 for n in range(50)}
    events = [did("ann", f"i{n}", context=context) for n in range(60)]
    assert submit(house, queue, events).rejected == []
    messages = queued(queue)
    assert len(messages) == 2
    assert len({one.group for one in messages}) == 1
    sent = [event["item_id"] for one in messages for event in one.body["events"]]
    assert sent == [f"i{n}" for n in range(60)]


def test_the_largest_message_still_fits_with_its_reason_as_a_letter(house):
    queue = LocalQueue(wall_ms, fifo=True)
    rest = [did("ann", f"i{n:03}", context={"k": "x" * 1_990, "l": "x" * 200}) for n in range(499)]
    told = {"reason": "\u5546" * MAX_REASON, "store": "s" * 64, "user": "u" * 36}
    sizes = []
    for spare in range(0, 2_000, 250):  # so that the first message ends anywhere in an event
        first = did("ann", "first", context={"k": "x" * spare})
        assert submit(house, queue, [first, *rest]).rejected == []
        for one in queued(queue):
            letter = Outgoing(one.body, "g", "d", told)
            sizes.append(size_of(encoded(letter, fifo=True), told))
    assert max(sizes) > MAX_BYTES - 4_000


def test_the_same_call_again_is_taken_and_queued_once(house, queue):
    events = [did("ann", event_id="e1")]
    for _ in range(2):
        assert submit(house, queue, events).rejected == []
    assert len(queued(queue)) == 1


def test_stores_do_not_share_a_group(house, queue):
    submit(house, queue, [did("ann")])
    submit(house, queue, [did("ann")], store="other")
    assert len({one.group for one in queued(queue)}) == 2


def test_events_without_a_time_get_that_of_the_stores_clock(house, queue):
    house.shop.world.settings = Settings(clock="events")
    house.shop.record(STORE, [did("bob", timestamp=NOW / 1000 - 1_000)], NOW)
    submit(house, queue, [did("ann", event_id="e1"), did("ann", "i2")])
    [message] = queued(queue)
    [outcome] = consume.events(house.shop, [message.body])
    assert outcome.status == "ok"
    assert house.shop.world.log.newest(STORE) == NOW - 1_000_000 + 1


def test_under_the_walls_clock_nothing_is_read(house, queue, monkeypatch):
    monkeypatch.setattr(house.shop.world, "log", None)
    assert submit(house, queue, [did("ann")]).rejected == []


# --- when the queue fails ------------------------------------------------------------------------


class Refusing:
    """Refuses messages of a user; `away` after so many calls."""

    def __init__(self, group="", away=99):
        self.group, self.away, self.lock, self.calls = group, away, threading.Lock(), 0

    def send(self, messages):
        with self.lock:
            self.calls += 1
            if self.calls > self.away:
                raise Unavailable("SQS is away")
        return [(n, "no") for n, one in enumerate(messages) if one.group == self.group]


def test_what_the_queue_refuses_is_rejected_with_its_place(house):
    refusing = Refusing(f"{STORE}/{user_key(STORE, 'u:bob')}")
    taken = submit(house, refusing, [did("ann"), did("bob"), did("cat"), did("bob")])
    assert [(one.index, one.code) for one in taken.rejected] == [
        (1, "unavailable"),
        (3, "unavailable"),
    ]


def test_a_queue_that_is_away_is_unavailable_unless_it_took_some(house):
    events = [did(f"u{n}") for n in range(25)]
    with pytest.raises(Unavailable, match="away"):
        submit(house, Refusing(away=0), events)
    taken = submit(house, Refusing(away=1), events)
    assert {one.code for one in taken.rejected} == {"unavailable"}
    assert len(taken.rejected) in {5 + 10, 10 + 10, 20}


def test_an_error_of_ours_is_not_hidden(house):
    class Faulty:
        def send(self, messages):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        submit(house, Faulty(), [did("ann")])


def test_only_so_many_calls_go_on_at_once(house):
    class Slow:
        def __init__(self):
            self.lock, self.now, self.most = threading.Lock(), 0, 0

        def send(self, messages):
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.005)
            with self.lock:
                self.now -= 1
            return []

    slow = Slow()

    async def many():
        queue = SqsEvents(house.shop.world, slow, width=3)
        calls = [queue.submit(STORE, [did(f"u{n}")], NOW) for n in range(80)]
        return await asyncio.gather(*calls, return_exceptions=True)

    done = asyncio.run(many())
    assert slow.most == 3
    refused = [one for one in done if isinstance(one, TooManyRequests)]
    assert len(refused) == 80 - 3 - 64


def test_one_event_is_never_too_large(house, queue):
    """An event that passes the API's checks fits into a message: nothing is cut in two."""
    largest = did(
        "ü" * 128,
        context={"k" * 10 + str(n): "ü" * 500 for n in range(50)},
    )
    assert submit(house, queue, [largest]).rejected == []
    [message] = queued(queue)
    assert len(str(message.body).encode()) < MAX_BYTES
