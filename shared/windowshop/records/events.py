"""Events: what users do, and who they are."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

import orjson
from pydantic import Field, StringConstraints, model_validator

from windowshop.records.scalars import Context, Finite, Id, Instant, Record

Kind = Literal[
    "view",
    "click",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "return",
    "like",
    "dislike",
    "rate",
    "search",
    "dwell",
    "impression",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
KIND_CODE: Mapping[str, int] = {kind: code for code, kind in enumerate(KINDS)}


NEEDS_NO_ITEM = frozenset({"search", "impression"})


class Event(Record):
    """What a user did. `kind` says which other fields must be there."""

    needs_user: ClassVar[bool] = True

    kind: Kind
    user_id: Id | None = None
    anonymous_id: Id | None = None
    user_token: Annotated[str, StringConstraints(max_length=4096)] | None = None
    item_id: Id | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    item_ids: Annotated[list[Id], Field(min_length=1, max_length=500)] | None = None
    value: Finite | None = None
    quantity: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None
    price: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] | None = None
    currency: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    position: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    timestamp: Instant | None = None
    event_id: Id | None = None
    request_id: Id | None = None
    context: Context | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Event":
        kind = self.kind
        if self.item_id is None and kind not in NEEDS_NO_ITEM:
            raise ValueError(f"{kind} needs item_id")
        if kind == "search" and self.query is None:
            raise ValueError("search needs query")
        if kind == "impression" and self.item_ids is None:
            raise ValueError("impression needs item_ids")
        if kind == "rate" and not (self.value is not None and 1 <= self.value <= 5):
            raise ValueError("rate needs value from 1 to 5")
        if kind == "dwell" and not (self.value is not None and 0 <= self.value <= 86_400):
            raise ValueError("dwell needs value, the seconds (0 to 86400)")
        users = sum(x is not None for x in (self.user_id, self.anonymous_id, self.user_token))
        if users > 1 or (users == 0 and self.needs_user):
            raise ValueError("an event needs exactly one of user_id, anonymous_id, user_token")
        return self


class RecentEvent(Event):
    """An event that travels inside a request: it needs no user, the request names one."""

    needs_user: ClassVar[bool] = False


def user_name(user_id: str | None, anonymous_id: str | None) -> str | None:
    """The one name of a user inside: `u:` and `a:` keep the two name spaces apart."""
    if user_id is not None:
        return "u:" + user_id
    if anonymous_id is not None:
        return "a:" + anonymous_id
    return None


class Who(Record):
    """A user, by exactly one of the two name spaces, and where to go on reading."""

    user_id: Id | None = None
    anonymous_id: Id | None = None
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Who":
        if (self.user_id is None) == (self.anonymous_id is None):
            raise ValueError("exactly one of user_id, anonymous_id")
        return self

    @property
    def name(self) -> str:
        return user_name(self.user_id, self.anonymous_id) or ""


class MergePair(Record):
    """A guest (`anonymous_id`) who turned out to be `user_id`."""

    user_id: Id
    anonymous_id: Id


def derived_event_id(event: Event, user: str) -> str:
    """The id of an event that came without one but with a time: a hash of all its fields."""
    fields = event.model_dump(
        exclude_none=True, exclude={"event_id", "user_token", "user_id", "anonymous_id"}
    )
    body = orjson.dumps([user, fields], option=orjson.OPT_SORT_KEYS)
    return "h-" + hashlib.blake2b(body, digest_size=16).hexdigest()
