"""What every queue must do: one in this process, and SQS, standard and FIFO."""

import json
import time

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from tests.contract.sqs import VISIBLE_S, Time, sqs_queue
from windowshop.aws.clients import Clients
from windowshop.aws.queue import SqsQueue
from windowshop.errors import Misconfigured, Unavailable
from windowshop.queues import MAX_BYTES, LocalQueue, Message, Outgoing


def made(request, fifo):
    if request.param == "local":
        clock = Time()
        queue = LocalQueue(clock, fifo=fifo, visible_s=VISIBLE_S)
        queue.passes = lambda seconds: setattr(clock, "ms", clock.ms + 1000 * seconds)
        return queue
    request.getfixturevalue("aws")
    queue = sqs_queue(fifo=fifo)
    queue.passes = lambda seconds: None  # its own time passes; who receives waits for it
    return queue


@pytest.fixture(params=["local", "sqs"])
def queue(request):
    return made(request, fifo=False)


@pytest.fixture(params=["local", "sqs"])
def fifo(request):
    return made(request, fifo=True)


def to(group, number, dedup=None):
    return Outgoing({"n": number}, group, dedup or f"{group}-{number}")


def numbers(messages):
    return [message.body["n"] for message in messages]


def drained(queue):
    """All that is there, in the order in which it came, each deleted once it was received."""
    found = []
    while some := queue.receive():
        queue.delete(some)
        found += some
    return found


# --- every queue ---------------------------------------------------------------------------------


def test_what_is_sent_is_received(queue):
    body = {"store": "acme", "text": "größer 商品 \u0000\ufffe", "n": [1, 2.5, None, True]}
    before = time.time() * 1000
    assert queue.send([Outgoing(body, attributes={"reason": "überfällig", "none": ""})]) == []
    [message] = queue.receive()
    assert message.body == body
    assert message.attributes == {"reason": "überfällig"}
    assert message.tries == 1
    assert before - 5_000 < message.sent_ms < time.time() * 1000 + 5_000
    assert message.group is None
    assert message.id
    assert queue.receive() == []


def test_any_number_is_sent(queue):
    assert queue.send([]) == []
    assert queue.send([Outgoing({"n": n}) for n in range(27)]) == []
    assert queue.depth() == 27
    assert sorted(numbers(drained(queue))) == list(range(27))
    assert queue.depth() == 0


def test_no_more_are_received_than_were_asked_for(queue):
    queue.send([Outgoing({"n": n}) for n in range(3)])
    assert len(queue.receive(1)) == 1
    assert len(queue.receive(10)) <= 2


def test_a_received_message_is_hidden_until_it_is_handed_back(queue):
    queue.send([Outgoing({"n": 1})])
    [message] = queue.receive()
    assert queue.receive() == []
    assert queue.depth() == 1
    queue.release([message])
    [again] = queue.receive()
    assert (again.id, again.body, again.tries) == (message.id, message.body, 2)
    assert again.sent_ms == message.sent_ms
    queue.delete([again])
    assert queue.receive() == []
    assert queue.depth() == 0


def test_a_message_may_be_handed_back_for_later(queue):
    queue.send([Outgoing({"n": 1})])
    queue.release(queue.receive(), 1)
    assert queue.receive() == []
    queue.passes(1.1)
    assert numbers(queue.receive(wait_s=3)) == [1]


def test_who_does_not_renew_loses_the_message(queue):
    queue.send([Outgoing({"n": 1}), Outgoing({"n": 2})])
    held = drained_without_deleting(queue)
    queue.renew(held, 1)
    kept = [message for message in held if message.body["n"] == 2]
    queue.renew(kept, 20)
    queue.passes(1.1)
    assert numbers(queue.receive(wait_s=3)) == [1]


def test_who_receives_may_say_for_how_long(queue):
    queue.send([Outgoing({"n": 1})])
    assert numbers(queue.receive(hidden_s=1)) == [1]
    assert queue.receive() == []
    queue.passes(1.1)
    assert numbers(queue.receive(wait_s=3)) == [1]


def drained_without_deleting(queue):
    found = []
    while some := queue.receive():
        found += some
    return found


def test_a_message_may_be_delayed(queue):
    queue.send([Outgoing({"n": 1}, delay_s=1)])
    assert queue.receive() == []
    queue.passes(1.1)
    assert numbers(queue.receive(wait_s=3)) == [1]


def test_what_is_gone_is_settled_without_complaint(queue):
    queue.send([Outgoing({"n": 1})])
    found = queue.receive()
    queue.delete(found)
    for settle in (queue.delete, queue.release, lambda some: queue.renew(some, 5)):
        settle(found)
        settle([])
    assert queue.depth() == 0


def test_a_standard_queue_takes_groups_and_ids_and_ignores_them(queue):
    assert queue.send([to("g", 1, "same"), to("g", 2, "same")]) == []
    received = drained(queue)
    assert sorted(numbers(received)) == [1, 2]
    assert {message.group for message in received} == {None}


def test_waiting_ends_when_something_comes(queue):
    begin = time.monotonic()
    assert queue.receive(wait_s=1) == []
    assert 0.5 < time.monotonic() - begin < 5
    queue.send([Outgoing({"n": 1})])
    assert numbers(queue.receive(wait_s=5)) == [1]


# --- what no queue takes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Outgoing({"text": "x" * MAX_BYTES}), "bytes"),
        (Outgoing({"text": "x" * (MAX_BYTES - 100)}, attributes={"a": "y" * 100}), "bytes"),
        (Outgoing({"text": "ü" * (MAX_BYTES // 2)}), "bytes"),
        (Outgoing({"set": {1}}), "JSON"),
        (Outgoing({"n": 1}, delay_s=901), "delayed"),
    ],
    ids=["body", "attributes", "characters", "no-json", "delay"],
)
def test_what_is_refused_costs_only_itself(queue, message, why):
    [(index, said)] = queue.send([Outgoing({"n": 1}), message, Outgoing({"n": 2})])
    assert (index, why in said) == (1, True)
    assert sorted(numbers(drained(queue))) == [1, 2]


def test_large_messages_are_sent_each_in_a_call_of_its_own(queue):
    large = [Outgoing({"n": n, "text": "x" * 400_000}) for n in range(7)]
    largest = Outgoing({"n": 7, "text": "x" * (MAX_BYTES - 20)})
    assert queue.send([*large, largest]) == []
    assert sorted(numbers(drained(queue))) == list(range(8))


# --- FIFO ----------------------------------------------------------------------------------------


def test_a_group_keeps_its_order(fifo):
    fifo.send([to("a", n) for n in range(12)] + [to("b", n) for n in range(100, 103)])
    received = drained(fifo)
    for group, expected in (("a", list(range(12))), ("b", [100, 101, 102])):
        assert numbers(m for m in received if m.group == group) == expected


def test_a_group_waits_for_what_is_in_flight(fifo):
    fifo.send([to("a", 1), to("a", 2), to("b", 3)])
    [first] = fifo.receive(1)
    rest = drained_without_deleting(fifo)
    assert numbers(rest) == [3]
    fifo.release([first])
    assert numbers(fifo.receive()) == [1, 2]


def test_a_deleted_message_lets_the_next_of_its_group_through(fifo):
    fifo.send([to("a", 1), to("a", 2)])
    first = fifo.receive(1)
    fifo.delete(first)
    assert numbers(fifo.receive()) == [2]


def test_a_message_handed_back_for_later_holds_its_group(fifo):
    fifo.send([to("a", 1), to("a", 2), to("b", 3)])
    [first] = fifo.receive(1)
    fifo.release([first], 1)
    assert numbers(drained_without_deleting(fifo)) == [3]
    fifo.passes(1.1)
    assert numbers(fifo.receive(wait_s=3)) == [1, 2]


def test_a_deduplication_id_counts_once_in_its_group(fifo):
    assert fifo.send([to("a", 1, "x"), to("a", 2, "x")]) == []
    assert fifo.send([to("a", 3, "x"), to("a", 4, "y")]) == []
    assert numbers(drained(fifo)) == [1, 4]
    assert fifo.send([to("a", 5, "x")]) == []  # also after the first was done with
    assert fifo.receive() == []


def test_groups_and_ids_may_be_any_text(fifo):
    long = "größer " * 100
    assert fifo.send([to(long, 1, long), to(long + "!", 2, long), to(long, 3, long + "!")]) == []
    assert sorted(numbers(drained(fifo))) == [1, 2, 3]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Outgoing({}, None, "d"), "group"),
        (Outgoing({}, "g", None), "deduplication"),
        (Outgoing({}, "g", "d", delay_s=1), "delay"),
    ],
)
def test_a_fifo_queue_demands_what_it_needs(fifo, message, why):
    [(index, said)] = fifo.send([message])
    assert (index, why in said) == (0, True)


# --- this process --------------------------------------------------------------------------------


def test_a_deduplication_id_is_forgotten_after_five_minutes():
    clock = Time()
    queue = LocalQueue(clock, fifo=True)
    queue.send([to("a", 1, "x")])
    clock.ms += 299_999
    queue.send([to("a", 2, "x"), to("b", 3, "x")])
    clock.ms += 1
    queue.send([to("a", 4, "x")])
    assert numbers(drained(queue)) == [1, 3, 4]


def test_time_alone_brings_a_message_back():
    clock = Time()
    queue = LocalQueue(clock, visible_s=30)
    queue.send([Outgoing({"n": 1})])
    [late] = queue.receive()
    clock.ms += 30_000
    [again] = queue.receive()
    assert again.tries == 2
    queue.delete([late])  # it is somebody else's now
    assert queue.depth() == 1
    queue.delete([again])
    assert queue.depth() == 0


# --- SQS -----------------------------------------------------------------------------------------


def test_a_message_that_is_not_json_is_its_text(aws):
    queue = sqs_queue()
    boto3.client("sqs").send_message(QueueUrl=queue.url, MessageBody="not {json")
    [message] = queue.receive()
    assert message.body == "not {json"


def test_a_letter_from_sqs_itself_keeps_its_group(aws):
    letters = sqs_queue(fifo=True)
    client = boto3.client("sqs")
    arn = client.get_queue_attributes(QueueUrl=letters.url, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 1}
    queue = sqs_queue(fifo=True, RedrivePolicy=json.dumps(redrive))
    queue.send([to("a", 1)])
    queue.release(queue.receive())
    assert queue.receive() == []
    [letter] = letters.receive()
    assert (letter.body, letter.group) == ({"n": 1}, "a")


def test_a_queue_that_is_not_there_is_a_matter_of_the_deployment(aws):
    clients = Clients()
    queue = SqsQueue(lambda: clients("sqs"), f"{aws.url}/000000000000/never-made")
    gone = Message("i", {}, "r", 1, 0, {})
    for use in (
        lambda: queue.send([Outgoing({})]),
        queue.receive,
        queue.depth,
        lambda: queue.delete([gone]),
    ):
        with pytest.raises(Misconfigured, match="missing"):
            use()


class Failing:
    """SQS that takes some of a batch, and is away when the others are sent again."""

    def __init__(self, taken):
        self.taken, self.calls = taken, 0

    def send_message_batch(self, QueueUrl, Entries):  # noqa: N803 -- as boto3 names them
        self.calls += 1
        if self.calls > 1:
            raise ReadTimeoutError(endpoint_url=QueueUrl)
        failed = {"Code": "InternalError", "SenderFault": False}
        return {"Failed": [{"Id": e["Id"], **failed} for e in Entries[self.taken :]]}


def test_who_is_told_that_none_was_taken_may_send_all_again():
    """Events without an id would count twice."""
    client = Failing(taken=1)
    queue = SqsQueue(lambda: client, "http://127.0.0.1:9/000000000000/q")
    [(index, _), (other, _)] = queue.send([Outgoing({"n": n}) for n in range(3)])
    assert (index, other) == (1, 2)
    client = Failing(taken=0)
    with pytest.raises(Unavailable):
        queue.send([Outgoing({"n": n}) for n in range(3)])


def test_an_address_where_nobody_answers_is_unavailable(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    clients = Clients()
    queue = SqsQueue(lambda: clients("sqs"), "http://127.0.0.1:9/000000000000/q")
    with pytest.raises(Unavailable, match="reached"):
        queue.send([Outgoing({})])
