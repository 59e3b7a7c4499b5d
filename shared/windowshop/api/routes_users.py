"""What is held about a user: shown, forgotten, merged. No user is ever named in a URL."""

from typing import Annotated

from fastapi import FastAPI, Path
from starlette.requests import Request as Call
from starlette.responses import Response

from windowshop.api.context import Context, json_answer
from windowshop.api.openapi import described
from windowshop.api.shapes import Erasure, ErasureStarted, Export, Merged
from windowshop.api.wire import read_body, refuse_query
from windowshop.records import MergePair, Who, read

ErasureId = Annotated[str, Path(min_length=1, max_length=128)]


def routes(app: FastAPI, context: Context) -> None:
    shop, access = context.shop, context.access

    @app.post("/v1/users/export", **described("users", "Export a user", body=Who, answer=Export))
    async def export(call: Call) -> Response:
        """Everything held about a user or a guest, a page of events at a time."""
        store = access.secret(call).store
        who = read(Who, await read_body(call))
        return json_answer(
            await context.reads.run(lambda: shop.export(store, who.name, who.cursor))
        )

    @app.post(
        "/v1/users/forget",
        **described("users", "Forget a user", body=Who, answer=ErasureStarted, status=202),
    )
    async def forget(call: Call) -> Response:
        """Erase a user and the guests merged into them. Events on their way come to nothing."""
        store = access.secret(call).store
        who = read(Who, await read_body(call))
        erasure = await context.writes.run(lambda: shop.forget(store, who.name))
        return json_answer({"erasure_id": erasure["erasure_id"]}, 202)

    @app.get(
        "/v1/erasures/{erasure_id}",
        **described("users", "An erasure", answer=Erasure, missing=True),
    )
    async def erasure(call: Call, erasure_id: ErasureId) -> Response:
        """How far an erasure is, and whether looking again found nothing."""
        store = access.secret(call).store
        refuse_query(call)
        return json_answer(await context.reads.run(lambda: shop.erasure(store, erasure_id)))

    @app.post(
        "/v1/users/merge", **described("users", "Merge a guest", body=MergePair, answer=Merged)
    )
    async def merge(call: Call) -> Response:
        """A guest turned out to be a user: the guest's events count for the user from now on."""
        store = access.secret(call).store
        pair = read(MergePair, await read_body(call))
        events = await context.writes.run(
            lambda: shop.merge(store, pair.user_id, pair.anonymous_id)
        )
        return json_answer({"events": events})

    @app.post(
        "/v1/users/unmerge",
        **described("users", "Undo a merge", body=MergePair, answer=Merged, missing=True),
    )
    async def unmerge(call: Call) -> Response:
        """The guest was somebody else after all."""
        store = access.secret(call).store
        pair = read(MergePair, await read_body(call))
        events = await context.writes.run(
            lambda: shop.unmerge(store, pair.user_id, pair.anonymous_id)
        )
        return json_answer({"events": events})
