"""A queue in SQS. It keeps to AWS's limits itself: an emulator takes what AWS refuses."""

import hashlib
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from windowshop.aws.clients import READ_S, translated
from windowshop.errors import Unavailable
from windowshop.logs import log
from windowshop.queues import (
    MAX_BATCH,
    MAX_BYTES,
    Message,
    Outgoing,
    Refused,
    attributes_of,
    decoded,
    encoded,
    size_of,
)

MAX_ID = 128
LONGEST_WAIT_S = READ_S - 2
"""For as long a call may be answered late: 20 s is AWS's limit, ours that of the connection."""
TRIES = 2

_ID = frozenset(string.ascii_letters + string.digits + string.punctuation)
_GONE = frozenset({
    "AWS.SimpleQueueService.MessageNotInflight",
    "InvalidParameterValue",
    "MessageNotInflight",
    "ReceiptHandleIsInvalid",
})  # fmt: skip

_Ready = tuple[int, dict[str, Any], int]
"""The place of a message among those to be sent, how it is sent, and its bytes."""


class SqsQueue:
    """`client` gives the SQS client of the moment: it is made anew after a snapshot."""

    def __init__(self, client: Callable[[], Any], url: str) -> None:
        self._client, self.url = client, url
        self.fifo = url.endswith(".fifo")

    def send(self, messages: Sequence[Outgoing]) -> list[tuple[int, str]]:
        refused: list[tuple[int, str]] = []
        ready: list[_Ready] = []
        for index, message in enumerate(messages):
            try:
                ready.append((index, *_entry(message, fifo=self.fifo)))
            except Refused as error:
                refused.append((index, str(error)))
        taken = 0
        for batch in _batches(ready):
            try:
                failed = self._send(batch)
            except Unavailable as error:
                if not taken:
                    raise
                failed = [(index, error.detail) for index, _, _ in batch]
            taken += len(batch) - len(failed)
            refused += failed
        return sorted(refused)

    def _send(self, batch: Sequence[_Ready]) -> list[tuple[int, str]]:
        """Those that SQS did not take; a fault of its own is tried once more. Raises Unavailable
        where it took none.
        """
        left = {str(index): entry for index, entry, _ in batch}
        refused: list[tuple[int, str]] = []
        for final in (False, True):
            entries = [{"Id": key, **entry} for key, entry in left.items()]
            try:
                with translated():
                    answer = self._client().send_message_batch(QueueUrl=self.url, Entries=entries)
            except Unavailable as error:
                if len(left) + len(refused) == len(batch):
                    raise
                return [*refused, *((int(key), error.detail) for key in left)]
            again = {}
            for failed in answer.get("Failed", ()):
                if failed.get("SenderFault") or final:
                    why = f"{failed.get('Code')}: {failed.get('Message', '')}".rstrip(": ")
                    refused.append((int(failed["Id"]), why))
                else:
                    again[failed["Id"]] = left[failed["Id"]]
            left = again
            if not left:
                break
        return refused

    def receive(
        self, limit: int = MAX_BATCH, wait_s: int = 0, hidden_s: int | None = None
    ) -> list[Message]:
        hidden = {} if hidden_s is None else {"VisibilityTimeout": hidden_s}
        with translated():
            answer = self._client().receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=max(1, min(limit, MAX_BATCH)),
                WaitTimeSeconds=min(wait_s, LONGEST_WAIT_S),
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=[
                    "ApproximateReceiveCount",
                    "MessageGroupId",
                    "SentTimestamp",
                ],
                **hidden,
            )
        return [_message(one) for one in answer.get("Messages", ())]

    def delete(self, messages: Sequence[Message]) -> None:
        self._settle("delete_message_batch", [(message, {}) for message in messages])

    def renew(self, messages: Sequence[Message], seconds: int) -> None:
        hidden = {"VisibilityTimeout": seconds}
        self._settle("change_message_visibility_batch", [(one, hidden) for one in messages])

    def release(self, messages: Sequence[Message], delay_s: int = 0) -> None:
        self.renew(messages, delay_s)

    def _settle(self, call: str, settled: Sequence[tuple[Message, dict[str, Any]]]) -> None:
        """Raises Unavailable where some could not be settled, after all were tried."""
        failed: list[str] = []
        for start in range(0, len(settled), MAX_BATCH):
            entries = [
                {"Id": str(place), "ReceiptHandle": message.receipt, **more}
                for place, (message, more) in enumerate(settled[start : start + MAX_BATCH])
            ]
            with translated():
                answer = getattr(self._client(), call)(QueueUrl=self.url, Entries=entries)
            for one in answer.get("Failed", ()):
                if one.get("Code") in _GONE:
                    log("queue").info("message_missed", queue=self.url, code=one.get("Code"))
                else:
                    failed.append(f"{one.get('Code')}: {one.get('Message', '')}")
        if failed:
            raise Unavailable(f"SQS could not settle {len(failed)} messages: {failed[0]}")

    def depth(self) -> int:
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        with translated():
            found = self._client().get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(found["Attributes"].get(name, 0)) for name in names)


def short_id(text: str) -> str:
    """A group or deduplication id: the text itself where SQS takes it, else its SHA-256."""
    if len(text) <= MAX_ID and _ID.issuperset(text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _entry(message: Outgoing, *, fifo: bool) -> tuple[dict[str, Any], int]:
    """A message as it is sent, and its bytes. Raises Refused."""
    body = encoded(message, fifo=fifo)
    entry: dict[str, Any] = {"MessageBody": body}
    if attributes := attributes_of(message):
        entry["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
    if fifo:
        entry["MessageGroupId"] = short_id(message.group or "")
        entry["MessageDeduplicationId"] = short_id(message.dedup or "")
    elif message.delay_s:
        entry["DelaySeconds"] = message.delay_s
    return entry, size_of(body, attributes)


def _batches(ready: Sequence[_Ready]) -> Iterator[list[_Ready]]:
    """In their order, at most 10 and at most 1 MiB together."""
    batch: list[_Ready] = []
    size = 0
    for one in ready:
        if batch and (len(batch) == MAX_BATCH or size + one[2] > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one[2]
    if batch:
        yield batch


def _message(found: Mapping[str, Any]) -> Message:
    system = found.get("Attributes", {})
    return Message(
        found["MessageId"],
        decoded(found["Body"]),
        found["ReceiptHandle"],
        int(system.get("ApproximateReceiveCount", 1)),
        int(system.get("SentTimestamp", 0)),
        {
            name: value["StringValue"]
            for name, value in found.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
        system.get("MessageGroupId"),
    )
