"""Items: what can be recommended."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from windowshop.records.scalars import Attributes, Category, Id, Instant, Record, Text


class Item(Record):
    """One thing that can be recommended. At least one of title, description, category is there."""

    item_id: Id
    title: Text | None = None
    description: Text | None = None
    category: Category | None = None
    brand: Annotated[str, StringConstraints(max_length=500)] | None = None
    price: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] | None = None
    currency: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    image_url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    available: bool = True
    group_id: Id | None = None
    created_at: Instant | None = None
    attributes: Attributes | None = None

    @model_validator(mode="after")
    def _has_text(self) -> "Item":
        if not (self.title or self.description or self.category):
            raise ValueError("an item needs a title, a description or a category")
        return self

    def text(self) -> str:
        """What the encoder reads. Changing any of it, and nothing else, embeds the item again."""
        parts = (
            self.title,
            self.brand,
            " > ".join(self.category or ()),
            self.description,
        )
        return "\n".join(part for part in parts if part)


ITEM_FIELDS: tuple[str, ...] = tuple(Item.model_fields)
DEFAULT_FIELDS = (
    "title",
    "price",
    "currency",
    "available",
    "brand",
    "image_url",
    "url",
)
