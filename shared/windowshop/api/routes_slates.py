"""Calls for slates. The hot path: one decode, one check, one encode."""

from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request as Call
from starlette.responses import Response

from windowshop.api.access import Caller
from windowshop.api.context import Context
from windowshop.api.openapi import described
from windowshop.api.shapes import Slates
from windowshop.api.wire import read_body
from windowshop.errors import Flaw, Forbidden
from windowshop.records import Batch, RecentEvent, Request, Slate, read

_SLATE = TypeAdapter(Slate)
_SLATES = TypeAdapter(Slates)
JSON = "application/json"


def routes(app: FastAPI, context: Context) -> None:
    shop, access = context.shop, context.access

    @app.post(
        "/v1/recommendations",
        **described("recommendations", "One slate", body=Request, answer=Slate),
    )
    async def recommend(call: Call) -> Response:
        """Recommendations for a user, a guest or nobody in particular."""
        caller = access.caller(call)
        request = read(Request, await read_body(call))
        resolve(context, caller, request, "")
        if needs_encoder(request):
            slate = await context.searches.run(lambda: shop.recommend(caller.store, request))
        else:
            slate = shop.recommend(caller.store, request)
        return Response(_SLATE.dump_json(slate), media_type=JSON)

    @app.post(
        "/v1/recommendations/batch",
        **described("recommendations", "Several slates", body=Batch, answer=Slates),
    )
    async def recommend_batch(call: Call) -> Response:
        """Up to ten slates; with `dedupe` later ones skip the items of earlier ones."""
        caller = access.caller(call)
        batch = read(Batch, await read_body(call))
        for index, request in enumerate(batch.requests):
            resolve(context, caller, request, f"/requests/{index}")
        if any(map(needs_encoder, batch.requests)):
            slates = await context.searches.run(lambda: shop.recommend_batch(caller.store, batch))
        else:
            slates = shop.recommend_batch(caller.store, batch)
        return Response(_SLATES.dump_json(Slates(slates=slates)), media_type=JSON)


def needs_encoder(request: Request) -> bool:
    """Whether a text has to be encoded for the answer (which lets other threads run)."""
    return request.query is not None or any(e.kind == "search" for e in request.recent or ())


def resolve(context: Context, caller: Caller, request: Request, pointer: str) -> None:
    """Turn tokens into user ids. Raises Unauthorized, Forbidden (a raw id, a public key)."""
    subjects: list[tuple[str, Request | RecentEvent]] = [(pointer, request)]
    subjects += [(f"{pointer}/recent/{i}", event) for i, event in enumerate(request.recent or ())]
    for where, subject in subjects:
        if subject.user_id is not None and caller.role == "publishable":
            raise raw_user(where)
        if subject.user_token is not None:
            subject.user_id = context.access.user_of(caller, subject.user_token)
            subject.user_token = None


def raw_user(pointer: str) -> Forbidden:
    """The refusal of a user id that anyone could have written."""
    detail = "a publishable key cannot name a user_id: send a user_token or an anonymous_id"
    return Forbidden(detail, [Flaw(f"{pointer}/user_id", detail)])
