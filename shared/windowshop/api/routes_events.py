"""Events in: `fetch`, servers, and pages on their way out (`sendBeacon`)."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request as Call
from starlette.responses import Response

from windowshop.api.access import Caller
from windowshop.api.context import Context, json_answer
from windowshop.api.openapi import described
from windowshop.api.routes_slates import raw_user
from windowshop.api.shapes import Events
from windowshop.api.wire import JSON, read_body, read_each
from windowshop.records import Event, EventsReceipt, Rejection, read

TEXT = "text/plain"
KEY_PARAMETER = {
    "name": "key",
    "in": "query",
    "description": "A publishable key, where no header can be sent (`sendBeacon`).",
    "schema": {"type": "string", "maxLength": 128},
}


def routes(app: FastAPI, context: Context) -> None:

    @app.post(
        "/v1/events",
        **described(
            "events",
            "Record events",
            body=Events,
            answer=EventsReceipt,
            status=202,
            types=(JSON, TEXT),
            parameters=[KEY_PARAMETER],
        ),
    )
    async def record(call: Call) -> Response:
        """What users did; on disk when the answer comes. A bad event costs only itself."""
        caller = context.access.caller(call, call.query_params.get("key"))
        body = await read_body(call, types=(JSON, TEXT), query=("key",))
        sent: list[Any] = read(Events, body).events
        if caller.role == "publishable":
            _refuse_raw_users(sent)
        events, places, rejected = read_each(Event, sent)
        _resolve(context, caller, events)
        unknown = 0
        if events:
            taken = await context.events.submit(caller.store, events, context.access.clock())
            rejected += [
                one.model_copy(update={"index": places[one.index]}) for one in taken.rejected
            ]
            unknown = taken.unknown_items
        more = {"unknown_items": unknown} if unknown else {}
        return receipt(len(sent), rejected, **more)


def receipt(sent: int, rejected: list[Rejection], **more: int) -> Response:
    """The answer to a list of writes."""
    rejected.sort(key=lambda one: one.index)
    listed = [{"index": one.index, "code": one.code, "detail": one.detail} for one in rejected]
    return json_answer({"accepted": sent - len(rejected), "rejected": listed, **more}, 202)


def _refuse_raw_users(sent: list[Any]) -> None:
    """Raises Forbidden before anything is taken, also where the event would be rejected anyway."""
    for index, event in enumerate(sent):
        if isinstance(event, dict) and event.get("user_id") is not None:
            raise raw_user(f"/events/{index}")


def _resolve(context: Context, caller: Caller, events: list[Event]) -> None:
    """Turn tokens into user ids, each distinct one once. Raises Unauthorized."""
    known: dict[str, str] = {}
    for event in events:
        token = event.user_token
        if token is not None:
            if token not in known:
                known[token] = context.access.user_of(caller, token)
            event.user_id, event.user_token = known[token], None
