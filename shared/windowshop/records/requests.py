"""Requests: calls for a slate."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from windowshop.records.events import RecentEvent
from windowshop.records.scalars import Context, Id, Record

Scenario = Literal[
    "for_you",
    "similar",
    "bought_together",
    "trending",
    "popular",
    "buy_again",
    "recently_viewed",
    "search",
    "rerank",
]


FilterJson = Annotated[dict[str, Any], Field(max_length=50)]


class Rule(Record):
    """A merchandiser's hand: boost or bury what matches, or pin one item at a place."""

    boost: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] | None = None
    bury: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    where: FilterJson | None = None
    pin: Id | None = None
    at: Annotated[int, Field(ge=0, le=199)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Rule":
        if (self.boost is not None) + (self.bury is not None) + (self.pin is not None) != 1:
            raise ValueError("a rule has exactly one of boost, bury, pin")
        if self.pin is not None and (self.where is not None or self.at is None):
            raise ValueError("pin needs `at` (the place, from 0) and takes no `where`")
        if self.pin is None and (self.where is None or self.at is not None):
            raise ValueError("boost and bury need `where` (a filter) and take no `at`")
        return self


Seen = Literal["keep", "demote", "drop"]
NEEDS_ITEMS = frozenset({"similar", "bought_together", "rerank"})


class Request(Record):
    """A call for one slate."""

    scenario: Scenario = "for_you"
    user_id: Id | None = None
    anonymous_id: Id | None = None
    user_token: Annotated[str, StringConstraints(max_length=4096)] | None = None
    item_ids: Annotated[list[Id], Field(min_length=1, max_length=500)] | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    limit: Annotated[int, Field(ge=1, le=200, strict=True)] = 20
    filters: FilterJson | None = None
    exclude: Annotated[list[Id], Field(max_length=1000)] | None = None
    recent: Annotated[list[RecentEvent], Field(max_length=50)] | None = None
    seen: Seen | None = None
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    caps: Annotated[dict[str, Annotated[int, Field(ge=1, le=200)]], Field(max_length=10)] | None = (
        None
    )
    rules: Annotated[list[Rule], Field(max_length=20)] | None = None
    fields: (
        Annotated[
            list[Annotated[str, StringConstraints(max_length=100)]],
            Field(max_length=60),
        ]
        | None
    ) = None
    context: Context | None = None

    @model_validator(mode="after")
    def _fits_its_scenario(self) -> "Request":
        if self.scenario in NEEDS_ITEMS and not self.item_ids:
            raise ValueError(f"{self.scenario} needs item_ids")
        if self.scenario == "search" and self.query is None:
            raise ValueError("search needs query")
        if sum(x is not None for x in (self.user_id, self.anonymous_id, self.user_token)) > 1:
            raise ValueError("at most one of user_id, anonymous_id, user_token")
        return self


class Batch(Record):
    """Up to ten slates in one call; with `dedupe` later ones skip items of earlier ones."""

    requests: Annotated[list[Request], Field(min_length=1, max_length=10)]
    dedupe: bool = True
