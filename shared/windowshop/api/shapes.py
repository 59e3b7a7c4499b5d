"""What bodies and answers look like, beyond the records; the OpenAPI document is made of these.

Elements of lists are not checked with their envelope (`SkipValidation`): each is read alone, so
that a bad one does not cost its neighbours.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, StringConstraints

from windowshop.records import Event, Item, Record, Slate

MAX_ELEMENTS = 500
PAGE = 100

Cursor = Annotated[str, StringConstraints(max_length=200)]


# --- bodies and queries --------------------------------------------------------------------------


class Events(Record):
    """What users did."""

    events: Annotated[list[SkipValidation[Event]], Field(min_length=1, max_length=MAX_ELEMENTS)]


class Items(Record):
    """Items, or for PATCH the fields of items to change (null removes one)."""

    items: Annotated[list[SkipValidation[Item]], Field(min_length=1, max_length=MAX_ELEMENTS)]


class ItemIds(Record):
    """Which items."""

    item_ids: Annotated[list[SkipValidation[str]], Field(min_length=1, max_length=MAX_ELEMENTS)]


class ItemsQuery(Record):
    """Which page of the items."""

    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)] = PAGE


# --- answers -------------------------------------------------------------------------------------


class Answer(BaseModel):
    """Base of the answers: more fields may come, and clients ignore those they do not know."""

    model_config = ConfigDict(extra="allow")


class Slates(Answer):
    """The slates of a batch, in the order of its requests."""

    slates: list[Slate]


class StoredItem(Answer):
    """An item as it is stored; fields that it lacks are left out."""

    item_id: str
    title: str | None = None
    description: str | None = None
    category: list[str] | None = None
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    image_url: str | None = None
    url: str | None = None
    available: bool = True
    group_id: str | None = None
    created_at: str | None = None
    attributes: dict[str, Any] | None = None
    embedded_at: Annotated[str | None, Field(description="null until the item is searchable")]


class StoredItems(Answer):
    """A page of items; `next` goes back in as `cursor` and is null at the end."""

    items: list[StoredItem]
    next: str | None


class Export(Answer):
    """Everything held about a user; `next` goes back in as `cursor` and is null at the end."""

    profile: dict[str, Any]
    events: list[dict[str, Any]]
    merged: list[Any]
    next: str | None


class ErasureStarted(Answer):
    """Where to ask how far an erasure is: `GET /v1/erasures/{erasure_id}`."""

    erasure_id: str


class Erased(Answer):
    events: int
    profiles: int


class Erasure(Answer):
    """The state of an erasure; `verified`: it was looked for again, and nothing was found."""

    status: Literal["running", "done"]
    erased: Erased
    verified: bool


class Merged(Answer):
    """How many events of the guest count for the user now (merge), or no longer (unmerge)."""

    events: int


class Alive(Answer):
    status: Literal["alive"]


class Ready(Answer):
    """What can be recommended; the counts are null for a caller without a key."""

    status: Literal["ready"]
    store: str
    model: str
    items: int | None
    users: int | None
