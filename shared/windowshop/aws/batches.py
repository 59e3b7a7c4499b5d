"""A batch that SQS delivered to a function: what came of each message is settled with its queue.

Done is done. What cannot take effect goes to the dead-letter queue with its reason and is done too,
so that it holds up neither its batch nor its user. While something is away a message is put back,
for longer each time and however often. An error of ours is tried a few times, then a letter.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from windowshop.aws.letters import about
from windowshop.errors import InvalidInput, WindowshopError
from windowshop.letters import UNREADABLE, reason_text
from windowshop.logs import log
from windowshop.queues import MAX_FAULTS, Message, Outgoing, Queue, decoded, pause_s
from windowshop.signals import Signals

Record = Mapping[str, Any]
Answer = dict[str, Any]


class Outcome(Protocol):
    """What came of a message: see `consume.Outcome`. Without `letter` all of it is the letter."""

    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def letter(self) -> Mapping[str, Any] | None: ...
    @property
    def fault(self) -> bool: ...


Work = Callable[[Sequence[Any]], Sequence[Outcome]]
"""The bodies of a batch (decoded, as far as they are JSON) -> what came of each."""


class Deliveries:
    """Settles batches of one queue; `letters` is its dead-letter queue."""

    def __init__(self, queue: Queue, letters: Queue, signals: Signals, *, fifo: bool) -> None:
        self._queue, self._letters, self._signals = queue, letters, signals
        self._fifo = fifo

    def settle(self, event: Mapping[str, Any], work: Work) -> Answer:
        """Do the work on a batch (an event of Lambda's) and say which messages are to come again.

        Raises as `work` does: the whole batch then comes again after the queue's time.
        """
        records: Sequence[Record] = event["Records"]
        results = work([decoded(record["body"]) for record in records])
        outcomes = {
            record["messageId"]: result for record, result in zip(records, results, strict=True)
        }

        def settle_one(record: SQSRecord) -> None:
            self._settle_one(record.raw_event, outcomes[record.message_id])

        processor = self._processor()
        # All of it waiting is no failure of the function: it did what it should.
        processor.raise_on_entire_batch_failure = False
        answer = process_partial_response(dict(event), settle_one, processor)
        self._put_back(records, {str(one["itemIdentifier"]) for one in answer["batchItemFailures"]})
        return dict(answer)

    def _processor(self) -> BatchProcessor:
        """The messages of a group after one that comes again come again too, in their order."""
        if self._fifo:
            return SqsFifoPartialProcessor(skip_group_on_error=True)
        return BatchProcessor(EventType.SQS)

    def _settle_one(self, record: Record, outcome: Outcome) -> None:
        """Raises for a message that is to come again."""
        if outcome.status == "dead" or (outcome.fault and _tries(record) >= MAX_FAULTS):
            self._bury(record, outcome)
        elif outcome.status != "ok":
            raise _Again

    def _bury(self, record: Record, outcome: Outcome) -> None:
        body = decoded(record["body"])
        letter = outcome.letter if outcome.letter is not None else body
        if not isinstance(letter, Mapping):
            letter = {UNREADABLE: record["body"]}
        reason, whose = reason_text(outcome.reason or ""), about(letter)
        attributes = {
            "reason": reason,
            "store": whose.store or "",
            "user": next(iter(whose.users), ""),
        }
        name = record["messageId"]  # a group of its own, and once however often this is tried
        refused = self._letters.send([Outgoing(letter, name, name, attributes)])
        if refused:
            raise InvalidInput(f"the dead-letter queue refuses it: {refused[0][1]}")
        log("queue").warning("message_buried", reason=reason, tries=_tries(record))
        self._signals.measure("LettersSent", 1)

    def _put_back(self, records: Sequence[Record], failed: set[str]) -> None:
        """Let what failed be seen again after its wait, and the rest of its group with it (a group
        waits for the last of its messages that are out).
        """
        waits: dict[str, int] = {}
        by_wait: dict[int, list[Message]] = {}
        for record in records:
            if record["messageId"] in failed:
                group = record["attributes"].get("MessageGroupId", record["messageId"])
                wait = waits.setdefault(group, pause_s(_tries(record)))
                by_wait.setdefault(wait, []).append(_message(record))
        for wait, messages in by_wait.items():
            self._signals.measure("MessagesWaiting", len(messages))
            try:
                self._queue.release(messages, wait)
            except WindowshopError as error:  # then they come again after the queue's own time
                log("queue").warning("messages_not_returned", detail=error.detail)


class _Again(Exception):
    """The message is to be delivered again."""


def _tries(record: Record) -> int:
    return int(record["attributes"].get("ApproximateReceiveCount", 1))


def _message(record: Record) -> Message:
    return Message(
        id=record["messageId"],
        body=None,
        receipt=record["receiptHandle"],
        tries=_tries(record),
        sent_ms=int(record["attributes"].get("SentTimestamp", 0)),
        attributes={},
        group=record["attributes"].get("MessageGroupId"),
    )
