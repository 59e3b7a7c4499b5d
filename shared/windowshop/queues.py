"""The port to the queues: messages that wait for somebody to do their work.

Delivery is at least once. A received message is hidden from others for a while ("in flight"); who
neither deletes nor renews it in time sees it delivered again. In a FIFO queue the messages of a
group keep their order: while one is in flight, the rest of its group waits; a message whose `dedup`
was seen in the last five minutes is taken and does nothing.
"""

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

MAX_BYTES = 1_048_576
"""Of a message with its attributes, and of all messages in one call to SQS."""
MAX_BATCH = 10
MAX_DELAY_S = 900
MAX_ATTRIBUTES = 10
DEDUP_MS = 300_000
MAX_FAULTS = 5
"""Deliveries of a message that an error of ours stopped each time, until it is a dead letter."""
LONGEST_PAUSE_S = 900

_NAME = re.compile(
    r"(?!(aws|amazon)\.)(?!.*\.\.)[a-z0-9_-]([a-z0-9_.-]{0,254}[a-z0-9_-])?",
    re.ASCII | re.IGNORECASE,
)
# SQS takes the characters of XML: no control characters, no surrogates.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Outgoing(NamedTuple):
    """A message to be sent. A FIFO queue needs `group` and `dedup` (any text) and knows no
    `delay_s`; a standard queue has neither groups nor deduplication and ignores both.
    """

    body: Mapping[str, Any]
    group: str | None = None
    dedup: str | None = None
    attributes: Mapping[str, str] = {}
    delay_s: int = 0


class Message(NamedTuple):
    """A message that was received. `body` is decoded; of one that is not JSON it is the text.
    `tries`: how often it was delivered, this time included. `receipt` is what settles it.
    """

    id: str
    body: Any
    receipt: str
    tries: int
    sent_ms: int
    attributes: Mapping[str, str]
    group: str | None = None


class Queue(Protocol):
    """Every method raises Unavailable when the queue cannot be reached. Settling a message that was
    delivered to somebody else meanwhile, or is gone, does nothing.
    """

    def send(self, messages: Sequence[Outgoing]) -> list[tuple[int, str]]:
        """Send any number. Returns those refused, as (index, why); raises Unavailable only where
        none was taken.
        """

    def receive(
        self, limit: int = MAX_BATCH, wait_s: int = 0, hidden_s: int | None = None
    ) -> list[Message]:
        """Up to `limit` (10 at most) of what is there, waiting up to `wait_s` (20 at most) for the
        first; hidden from others for `hidden_s` (None: for as long as the queue's default).
        """

    def delete(self, messages: Sequence[Message]) -> None:
        """Their work is done."""

    def renew(self, messages: Sequence[Message], seconds: int) -> None:
        """Keep them hidden for so many seconds from now."""

    def release(self, messages: Sequence[Message], delay_s: int = 0) -> None:
        """Hand them back: they are delivered again, after `delay_s`."""

    def depth(self) -> int:
        """About how many there are, waiting or in flight."""


class Refused(Exception):
    """Why a queue does not take a message."""


def encoded(message: Outgoing, *, fifo: bool) -> str:
    """The body of a message as it is sent. Raises Refused for what no queue takes."""
    if fifo and not (message.group and message.dedup):
        raise Refused("a FIFO queue needs a group and a deduplication id")
    if fifo and message.delay_s:
        raise Refused("a FIFO queue cannot delay one message")
    if not 0 <= message.delay_s <= MAX_DELAY_S:
        raise Refused(f"a message is delayed by {MAX_DELAY_S} seconds at most")
    try:
        body = _json(message.body, ensure_ascii=False)
        if _UNSPEAKABLE.search(body):
            body = _json(message.body, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from None
    attributes = attributes_of(message)
    if len(attributes) > MAX_ATTRIBUTES:
        raise Refused(f"a message has at most {MAX_ATTRIBUTES} attributes")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise Refused(f"{name[:64]!r} cannot be the name of an attribute")
        if _UNSPEAKABLE.search(value):
            raise Refused(f"attribute {name}: it has control characters")
    if size_of(body, attributes) > MAX_BYTES:
        raise Refused(f"a message has at most {MAX_BYTES:,} bytes")
    return body


def attributes_of(message: Outgoing) -> dict[str, str]:
    """Those that have a value: SQS takes no empty ones."""
    return {name: value for name, value in message.attributes.items() if value}


def pause_s(tries: int) -> int:
    """Seconds until what was delivered so often, in vain, is tried again: 1, 2, 4 ... 900."""
    return min(1 << min(max(tries, 1) - 1, 10), LONGEST_PAUSE_S)


def size_of(body: str, attributes: Mapping[str, str]) -> int:
    """Bytes of a message as SQS counts them: names, types and values of attributes too."""
    return len(body.encode()) + sum(
        len(name.encode()) + len("String") + len(value.encode())
        for name, value in attributes.items()
    )


def _json(body: Mapping[str, Any], *, ensure_ascii: bool) -> str:
    return json.dumps(dict(body), ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))


def decoded(body: str) -> Any:
    """The content of a message, or its text where it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


@dataclass(slots=True)
class _Held:
    """A message in a LocalQueue; `visible_ms` is when it may be delivered (again)."""

    id: str
    body: str
    group: str | None
    attributes: Mapping[str, str]
    sent_ms: int
    visible_ms: int
    receipt: str | None = None
    tries: int = 0


class LocalQueue:
    """A queue in this process, for tests and for one machine; thread-safe. `clock` gives
    milliseconds; `visible_s` is for how long a received message is hidden.
    """

    def __init__(
        self, clock: Callable[[], int], *, fifo: bool = False, visible_s: int = 30
    ) -> None:
        self._clock, self.fifo, self._visible_ms = clock, fifo, visible_s * 1000
        self._changed = threading.Condition()
        self._held: list[_Held] = []
        self._seen: dict[tuple[str | None, str | None], int] = {}
        self._numbers = itertools.count(1)

    def send(self, messages: Sequence[Outgoing]) -> list[tuple[int, str]]:
        refused = []
        with self._changed:
            for index, message in enumerate(messages):
                try:
                    self._take(message, encoded(message, fifo=self.fifo))
                except Refused as error:
                    refused.append((index, str(error)))
            self._changed.notify_all()
        return refused

    def _take(self, message: Outgoing, body: str) -> None:
        now = self._clock()
        if self.fifo:
            known = (message.group, message.dedup)
            self._seen = {key: end for key, end in self._seen.items() if end > now}
            if known in self._seen:
                return
            self._seen[known] = now + DEDUP_MS
        self._held.append(
            _Held(
                f"m{next(self._numbers)}",
                body,
                message.group if self.fifo else None,
                attributes_of(message),
                now,
                now + message.delay_s * 1000,
            )
        )

    def receive(
        self, limit: int = MAX_BATCH, wait_s: int = 0, hidden_s: int | None = None
    ) -> list[Message]:
        end = time.monotonic() + wait_s
        with self._changed:
            while True:
                found = self._deliver(min(limit, MAX_BATCH), hidden_s)
                left = end - time.monotonic()
                if found or left <= 0:
                    return found
                self._changed.wait(min(left, 0.05))  # what is hidden comes back by the clock alone

    def _deliver(self, limit: int, hidden_s: int | None) -> list[Message]:
        now = self._clock()
        hidden_ms = self._visible_ms if hidden_s is None else hidden_s * 1000
        out = {held.group for held in self._held if held.receipt and held.visible_ms > now}
        found: list[Message] = []
        for held in self._held:
            if len(found) == limit:
                break
            if held.visible_ms > now or (self.fifo and held.group in out):
                if self.fifo:
                    out.add(held.group)
                continue
            held.tries += 1
            held.receipt = f"{held.id}-{held.tries}"
            held.visible_ms = now + hidden_ms
            found.append(
                Message(
                    held.id, decoded(held.body), held.receipt, held.tries,
                    held.sent_ms, held.attributes, held.group,
                )
            )  # fmt: skip
        return found

    def delete(self, messages: Sequence[Message]) -> None:
        receipts = {message.receipt for message in messages}
        with self._changed:
            self._held = [held for held in self._held if held.receipt not in receipts]
            self._changed.notify_all()

    def renew(self, messages: Sequence[Message], seconds: int) -> None:
        receipts = {message.receipt for message in messages}
        with self._changed:
            now = self._clock()
            for held in self._held:
                if held.receipt in receipts and held.visible_ms > now:
                    held.visible_ms = now + seconds * 1000
            self._changed.notify_all()

    def release(self, messages: Sequence[Message], delay_s: int = 0) -> None:
        self.renew(messages, delay_s)

    def depth(self) -> int:
        with self._changed:
            return len(self._held)
