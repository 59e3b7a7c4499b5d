"""Answers: slates with reasons, and receipts for writes."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from windowshop.records.events import Kind
from windowshop.records.requests import Scenario


@dataclass(slots=True)
class Reason:
    """Why an item stands in a slate; `text` is for shoppers."""

    kind: Literal[
        "because_of",
        "like_minded",
        "bought_together",
        "similar",
        "search",
        "popular",
        "trending",
        "buy_again",
        "recent",
        "new",
        "pinned",
    ]
    text: str
    item_id: str | None = None
    item_title: str | None = None
    event: Kind | None = None


@dataclass(slots=True)
class SlateItem:
    """Like `Reason` a plain dataclass: dozens are made for every answer, from what was checked."""

    item_id: str
    score: float
    fields: dict[str, Any]
    reason: Reason


class Degraded(BaseModel):
    """What failed, and what was served instead."""

    code: str
    detail: str


class Slate(BaseModel):
    request_id: str
    scenario: Scenario
    store: str
    model: str
    as_of: str | None
    degraded: Degraded | None
    items: list[SlateItem]


class Rejection(BaseModel):
    """One element of a list that was not taken."""

    index: int
    code: str
    detail: str


class Receipt(BaseModel):
    """The answer to a list of writes."""

    accepted: int
    rejected: list[Rejection]


class EventsReceipt(Receipt):
    """`unknown_items`, where there are any: accepted events of items not known yet, which count
    from the moment the item exists.
    """

    unknown_items: int = 0
