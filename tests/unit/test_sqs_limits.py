"""The queue adapter keeps to AWS's limits, whatever it is given: the emulator does not."""

import json
import re

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from windowshop.aws.queue import SqsQueue, short_id
from windowshop.errors import Unavailable
from windowshop.queues import MAX_BYTES, Message, Outgoing, decoded

ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")
# The characters of XML 1.0, which are those of SQS.
CHARS = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


class Strict:
    """SQS as its documentation has it: refuses a call that breaks a limit."""

    def __init__(self, *, fifo):
        self.fifo, self.calls = fifo, []

    def send_message_batch(self, QueueUrl, Entries):  # noqa: N803 - boto3's names
        assert 1 <= len(Entries) <= 10
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        assert sum(map(self.checked, Entries)) <= 1_048_576
        self.calls.append(Entries)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def checked(self, entry):
        body, attributes = entry["MessageBody"], entry.get("MessageAttributes", {})
        assert CHARS.fullmatch(body)
        size = len(body.encode())
        assert len(attributes) <= 10
        for name, value in attributes.items():
            assert NAME.fullmatch(name)
            assert not name.lower().startswith(("aws.", "amazon."))
            assert not name.startswith(".")
            assert not name.endswith(".")
            assert ".." not in name
            assert value["DataType"] == "String"
            assert CHARS.fullmatch(value["StringValue"])
            size += len((name + "String" + value["StringValue"]).encode())
        if self.fifo:
            assert ID.fullmatch(entry["MessageGroupId"])
            assert ID.fullmatch(entry["MessageDeduplicationId"])
            assert "DelaySeconds" not in entry
        else:
            assert not {"MessageGroupId", "MessageDeduplicationId"} & set(entry)
            assert 0 <= entry.get("DelaySeconds", 0) <= 900
        return size


def sqs(client, *, fifo=False):
    return SqsQueue(lambda: client, "https://sqs/q.fifo" if fifo else "https://sqs/q")


TEXT = st.text(max_size=40) | st.text(alphabet="\x00\x1f\ufffe\ud800\n é", max_size=200)
BODIES = st.dictionaries(TEXT, TEXT | st.integers() | st.floats() | st.none(), max_size=3)
MESSAGES = st.builds(
    Outgoing,
    BODIES | st.integers(0, 2_000_000).map(lambda size: {"text": "x" * size}),
    group=st.none() | TEXT,
    dedup=st.none() | TEXT,
    attributes=st.dictionaries(TEXT | st.sampled_from(["reason", "aws.x", ".a", "a..b"]), TEXT),
    delay_s=st.integers(-1, 1_000),
)


@given(st.lists(MESSAGES, max_size=30), st.booleans())
def test_no_call_breaks_a_limit(messages, fifo):
    client = Strict(fifo=fifo)
    refused = sqs(client, fifo=fifo).send(messages)
    assert all(why for _, why in refused)
    places = {index for index, _ in refused}
    sent = [entry for call in client.calls for entry in call]
    kept = [message for index, message in enumerate(messages) if index not in places]
    assert len(sent) == len(kept)
    for entry, message in zip(sent, kept, strict=True):
        assert repr(decoded(entry["MessageBody"])) == repr(dict(message.body))


@given(TEXT, TEXT)
def test_ids_are_short_and_as_different_as_what_they_stand_for(one, other):
    for text in (one, one + "x" * 200):
        if text:
            assert ID.fullmatch(short_id(text))
    assert (short_id(one) == short_id(other)) == (one == other)
    assert short_id("x" * 129) != short_id("x" * 130)
    assert short_id("acme/u-1") == "acme/u-1"


def test_calls_are_as_few_as_the_limits_allow():
    client = Strict(fifo=False)
    queue = sqs(client)
    queue.send([Outgoing({"n": n}) for n in range(25)])
    assert [len(call) for call in client.calls] == [10, 10, 5]
    client.calls.clear()
    half = {"text": "x" * (MAX_BYTES // 2 - len('{"text":""}'))}
    queue.send([Outgoing(half)] * 4)
    assert [len(call) for call in client.calls] == [2, 2]


class Failing:
    """Fails entries by their body's `n`; each for as many times as it is told."""

    def __init__(self, fails, *, sender):
        self.fails, self.sender, self.calls = dict(fails), sender, 0

    def send_message_batch(self, QueueUrl, Entries):  # noqa: N803
        self.calls += 1
        failed = []
        for entry in Entries:
            n = json.loads(entry["MessageBody"])["n"]
            if self.fails.get(n, 0):
                self.fails[n] -= 1
                failed.append(
                    {"Id": entry["Id"], "Code": "Oops", "Message": "no", "SenderFault": self.sender}
                )
        return {"Failed": failed}


def test_what_sqs_refuses_is_returned_with_its_place():
    client = Failing({3: 9, 11: 9}, sender=True)
    assert sqs(client).send([Outgoing({"n": n}) for n in range(15)]) == [
        (3, "Oops: no"),
        (11, "Oops: no"),
    ]
    assert client.calls == 2


def test_a_fault_of_sqs_is_tried_once_more():
    client = Failing({1: 1, 2: 9}, sender=False)
    assert sqs(client).send([Outgoing({"n": n}) for n in range(4)]) == [(2, "Oops: no")]
    assert client.calls == 2


class Dying:
    """Answers so many calls, then none."""

    def __init__(self, calls):
        self.left = calls

    def send_message_batch(self, QueueUrl, Entries):  # noqa: N803
        self.left -= 1
        if self.left < 0:
            raise EndpointConnectionError(endpoint_url="https://sqs")
        return {}


def test_what_was_taken_before_an_outage_is_taken():
    refused = sqs(Dying(1)).send([Outgoing({"n": n}) for n in range(15)])
    assert [index for index, _ in refused] == list(range(10, 15))
    with pytest.raises(Unavailable):
        sqs(Dying(0)).send([Outgoing({"n": 1})])


class Settling:
    def __init__(self, code):
        self.code, self.calls = code, []

    def delete_message_batch(self, QueueUrl, Entries):  # noqa: N803
        self.calls.append(len(Entries))
        return {"Failed": [{"Id": "0", "Code": self.code, "SenderFault": True}]}

    change_message_visibility_batch = delete_message_batch


GONE = [Message(str(n), {}, f"r{n}", 1, 0, {}) for n in range(12)]


def test_settling_goes_on_after_a_failure_and_then_tells():
    client = Settling("InternalError")
    for settle in (
        sqs(client).delete,
        sqs(client).release,
        lambda some: sqs(client).renew(some, 5),
    ):
        with pytest.raises(Unavailable, match="InternalError"):
            settle(GONE)
    assert client.calls == [10, 2] * 3


@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "MessageNotInflight"])
def test_a_message_that_is_somebody_elses_is_let_go(code):
    client = Settling(code)
    sqs(client).delete(GONE)
    sqs(client).release(GONE, 3)
    assert client.calls == [10, 2] * 2


def test_a_throttled_call_is_unavailable():
    class Throttled:
        def receive_message(self, **asked):
            raise ClientError({"Error": {"Code": "RequestThrottled"}}, "ReceiveMessage")

    with pytest.raises(Unavailable):
        sqs(Throttled()).receive()
