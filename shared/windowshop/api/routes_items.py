"""The catalogue over HTTP. Answers come when a write is on disk; vectors follow within seconds."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import FastAPI, Path
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request as Call
from starlette.responses import Response

from windowshop.api.context import Context, json_answer
from windowshop.api.openapi import described, parameters_of
from windowshop.api.routes_events import receipt
from windowshop.api.shapes import ItemIds, Items, ItemsQuery, StoredItem, StoredItems
from windowshop.api.wire import read_body, read_each, refuse_query
from windowshop.errors import InvalidInput
from windowshop.records import MAX_ID, Id, Item, Receipt, Rejection, read

_ID: TypeAdapter[str] = TypeAdapter(Id)
ItemPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_ID,
        description="Percent-encoded, slashes too (`a%2Fb`).",
    ),
]


def routes(app: FastAPI, context: Context) -> None:
    shop, access = context.shop, context.access

    @app.put("/v1/items", **described("items", "Put items", body=Items, answer=Receipt, status=202))
    async def put(call: Call) -> Response:
        """Write items whole, over what was there. Unchanged ones cost next to nothing."""
        store = access.secret(call).store
        sent = read(Items, await read_body(call)).items
        items, _, rejected = read_each(Item, sent)
        if items:
            written = await context.writes.run(lambda: shop.put_items(store, items))
            await _tell(context, store, written.waiting)
        return receipt(len(sent), rejected)

    @app.patch(
        "/v1/items", **described("items", "Change items", body=Items, answer=Receipt, status=202)
    )
    async def patch(call: Call) -> Response:
        """Merge the given fields into stored items; null removes one. Unknown ids are rejected."""
        store = access.secret(call).store
        sent = read(Items, await read_body(call)).items
        written = await context.writes.run(lambda: shop.patch_items(store, sent))
        await _tell(context, store, written.waiting)
        return receipt(len(sent), written.rejected)

    @app.post(
        "/v1/items/delete",
        **described("items", "Delete items", body=ItemIds, answer=Receipt, status=202),
    )
    async def delete(call: Call) -> Response:
        """Remove items. One that is not there is no error: the wish is fulfilled."""
        store = access.secret(call).store
        sent = read(ItemIds, await read_body(call)).item_ids
        item_ids, rejected = _ids(sent)
        if item_ids:
            await context.writes.run(lambda: shop.delete_items(store, item_ids))
        return receipt(len(sent), rejected)

    @app.get(
        "/v1/items",
        **described(
            "items", "List items", answer=StoredItems, parameters=parameters_of(ItemsQuery)
        ),
    )
    async def page(call: Call) -> Response:
        """A page of the catalogue, in a stable order that means nothing."""
        store = access.secret(call).store
        refuse_query(call, tuple(ItemsQuery.model_fields))
        query = read(ItemsQuery, {k: v for k, v in call.query_params.items() if v})
        items, following = await context.reads.run(
            lambda: shop.list_items(store, query.cursor, query.limit)
        )
        return json_answer({"items": items, "next": following})

    @app.get(
        "/v1/items/{item_id:path}",
        **described("items", "One item", answer=StoredItem, missing=True),
    )
    async def get(call: Call, item_id: ItemPath) -> Response:
        """One item as it is stored; `embedded_at` is null until it is searchable."""
        store = access.secret(call).store
        refuse_query(call)
        return json_answer(await context.reads.run(lambda: shop.get_item(store, item_id)))


async def _tell(context: Context, store: str, keys: Sequence[int]) -> None:
    if keys and (tell := context.on_items) is not None:
        await context.reads.run(lambda: tell(store, keys))


def _ids(sent: list[str]) -> tuple[list[str], list[Rejection]]:
    good: list[str] = []
    rejected: list[Rejection] = []
    for index, item_id in enumerate(sent):
        try:
            good.append(_ID.validate_python(item_id))
        except ValidationError:
            detail = f"an item id has 1-{MAX_ID} printable characters"
            rejected.append(Rejection(index=index, code=InvalidInput.code, detail=detail))
    return good, rejected
