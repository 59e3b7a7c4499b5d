"""Queue batches -> verbs: what a queue delivers takes effect, is retried, or is a dead letter.

A message is `{"store", "events", "received_ms"}`. `message` makes one and gives every event an id
and a time, so that a message that is delivered twice counts once. `events` takes a batch of them;
one bad message, or one bad event in a message, never holds up its neighbours.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from windowshop.errors import InvalidInput, Misconfigured, Unavailable
from windowshop.jobs import outcome_of
from windowshop.logs import log
from windowshop.records import (
    MIN_SECONDS,
    Event,
    Rejection,
    StoreName,
    format_instant,
    new_id,
    read,
)
from windowshop.shop import Shop

MAX_EVENTS = 500
FIELDS = frozenset({"store", "events", "received_ms"})

Message = Mapping[str, Any]
_STORE: TypeAdapter[str] = TypeAdapter(StoreName)


@dataclass(slots=True)
class Outcome:
    """What came of a message.

    ok: it took effect. retry: deliver it again later. dead: `letter` (the message with only
    those of its events that cannot take effect; the others did) belongs into the dead-letter list,
    with `reason`. `rejected` says what is wrong with each bad event, by its index in the message.
    `fault`: not the message and no dependency is to blame but an error of ours, and `reason` is its
    name; waiting will not mend it, so there should be an end to trying.
    """

    status: Literal["ok", "retry", "dead"] = "ok"
    reason: str | None = None
    letter: Message | None = None
    rejected: list[Rejection] = field(default_factory=list)
    fault: bool = False


@dataclass(slots=True)
class _Part:
    """A readable message of a batch: its good events, and where they stood in it."""

    place: int
    message: Message
    received_ms: int
    events: list[Event]
    indices: list[int]


def message(
    store: str, some: Iterable[Event], received_ms: int, stamp_ms: int | None = None
) -> dict[str, Any]:
    """Checked events as a message of plain JSON.

    An event that has neither id nor time is a new event; it gets both here, before it is queued.
    `stamp_ms` is the time of events without one, where that is not the time of their receipt.
    """
    stamp = received_ms if stamp_ms is None else stamp_ms
    rows = []
    for event in some:
        row = event.model_dump(exclude_none=True)
        if "event_id" not in row and "timestamp" not in row:
            row["event_id"] = new_id(received_ms)
        row["timestamp"] = format_instant(row.get("timestamp", stamp))
        rows.append(row)
    return {"store": store, "events": rows, "received_ms": received_ms}


def group_of(store: str, user: str) -> str:
    """The FIFO group of a user's messages; `user` is a pseudonym (`records.user_key`)."""
    return f"{store}/{user}"


def events(shop: Shop, batch: Sequence[Message]) -> list[Outcome]:
    """Log and fold a batch, with one write a store where all goes well. Outcomes keep its order.

    Raises Misconfigured only; everything else is an outcome.
    """
    outcomes = [Outcome() for _ in batch]
    by_store: dict[str, list[_Part]] = {}
    for place, one in enumerate(batch):
        try:
            part = _read(place, one, outcomes[place])
        except InvalidInput as error:
            outcomes[place] = Outcome("dead", error.detail, one)
            continue
        by_store.setdefault(one["store"], []).append(part)
    for store, parts in by_store.items():
        _take(shop, store, parts, outcomes)
    return outcomes


def _read(place: int, value: object, outcome: Outcome) -> _Part:
    """The good events of a message; bad ones are noted in its outcome. Raises InvalidInput."""
    if not isinstance(value, Mapping) or set(value) != FIELDS:
        raise InvalidInput(f"a message has {', '.join(sorted(FIELDS))} and nothing else")
    one: Message = value
    received, sent = one["received_ms"], one["events"]
    try:
        _STORE.validate_python(one["store"], strict=True)
    except ValidationError:
        raise InvalidInput("store: a store's name has 1-64 of a-z, 0-9 and -") from None
    if type(received) is not int or not MIN_SECONDS * 1000 <= received < 1e14:
        raise InvalidInput("received_ms: milliseconds since 1970")
    if not isinstance(sent, list) or not 0 < len(sent) <= MAX_EVENTS:
        raise InvalidInput(f"events: a list of 1-{MAX_EVENTS}")
    part = _Part(place, one, received, [], [])
    for index, element in enumerate(sent):
        try:
            event = read(Event, element)
            if event.user_token is not None:
                raise InvalidInput("user_token: tokens are resolved before an event is queued")
        except InvalidInput as error:
            _reject(outcome, index, error.code, error.detail)
        else:
            part.events.append(event)
            part.indices.append(index)
    _settle(outcome, one)
    return part


def _take(shop: Shop, store: str, parts: Sequence[_Part], outcomes: list[Outcome]) -> None:
    """Record the parts together; where that fails, each alone, so that only the culprits fail."""
    parts = [part for part in parts if part.events]
    if not parts:
        return
    try:
        recorded = shop.record_many(store, [(part.events, part.received_ms) for part in parts])
    except Misconfigured:
        raise
    except Exception as error:  # noqa: BLE001 - a message must not be lost over a fault of ours
        if len(parts) > 1 and not isinstance(error, Unavailable):
            for part in parts:
                _take(shop, store, [part], outcomes)
            return
        for part in parts:
            outcomes[part.place] = _failed(error, part.message)
        return
    for part, taken in zip(parts, recorded, strict=True):
        for one in taken.rejected:
            _reject(outcomes[part.place], part.indices[one.index], one.code, one.detail)
        _settle(outcomes[part.place], part.message)


def _failed(error: Exception, message: Message) -> Outcome:
    known = outcome_of(error)
    if known.fault:
        log("queue").error("message_failed", error=error)
    letter = message if known.status == "dead" else None
    return Outcome(known.status, known.reason, letter, fault=known.fault)


def _reject(outcome: Outcome, index: int, code: str, detail: str) -> None:
    outcome.rejected.append(Rejection(index=index, code=code, detail=detail))


def _settle(outcome: Outcome, message: Message) -> None:
    """A message with rejected events becomes a letter that holds those alone."""
    if outcome.rejected:
        outcome.rejected.sort(key=lambda one: one.index)
        bad = [message["events"][one.index] for one in outcome.rejected]
        outcome.status = "dead"
        outcome.letter = {**message, "events": bad}
        outcome.reason = "; ".join(dict.fromkeys(one.detail for one in outcome.rejected))[:1000]
