"""API Gateway's events (HTTP API, payload 2.0) into an ASGI application, and its answers back."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.types import ASGI

from windowshop.api.problems import MEDIA_TYPE, answer
from windowshop.errors import TooLarge
from windowshop.logs import log
from windowshop.records import new_id

Event = Mapping[str, Any]
Answer = dict[str, Any]

LARGEST = 6_291_556
"""Bytes that Lambda takes from a function for one answer."""
_NO_WORD = re.compile(r"[^A-Za-z0-9._-]")


class Gateway:
    """Answers one event at a time, and always: what API Gateway itself says to a function that
    failed is no problem document.
    """

    def __init__(self, app: ASGI) -> None:
        # Mangum runs each call on the thread's own loop; a runtime has none.
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._mangum = Mangum(
            app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, MEDIA_TYPE]
        )

    def __call__(self, event: Event, context: Any = None) -> Answer:
        request_id = _request_id(event)
        try:
            answered = self._mangum(_prepared(event, request_id), context)
        except Exception as error:  # noqa: BLE001 - it is logged, and the caller is answered
            return _failed(error, request_id)
        if answered["statusCode"] == 500 and answered["headers"]["content-type"] != MEDIA_TYPE:
            return _failed(RuntimeError("the application broke off"), request_id)
        if _size(answered) > LARGEST:
            return _failed(
                TooLarge("the answer has more than 6 MB: ask for fewer at a time, or fewer fields"),
                request_id,
            )
        return answered

    def close(self) -> None:
        asyncio.set_event_loop(None)
        self._loop.close()


def _request_id(event: Event) -> str:
    """The gateway's own id of a request, which its access log has too, as a plain word."""
    context = event.get("requestContext")
    given = context.get("requestId") if isinstance(context, Mapping) else None
    word = _NO_WORD.sub("", given)[:64] if isinstance(given, str) else ""
    return word or new_id(time.time_ns() // 1_000_000)


def _prepared(event: Event, request_id: str) -> dict[str, Any]:
    """The event with a request id, unless the caller sent one, and without the stage's name, with
    which the path begins at the gateway's own address.
    """
    if event.get("version") != "2.0":
        return dict(event)
    headers = {"x-request-id": request_id, **_lowered(event.get("headers") or {})}
    context = event["requestContext"]
    path, stage = context["http"]["path"], f"/{context.get('stage', '$default')}"
    if ".execute-api." in context.get("domainName", "") and f"{path}/".startswith(f"{stage}/"):
        path = path.removeprefix(stage)
    context = {**context, "http": {**context["http"], "path": path}}
    return {**event, "headers": headers, "requestContext": context}


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _size(answered: Answer) -> int:
    """Bytes of an answer as Lambda counts them; 0 for one that is small for sure."""
    if len(answered["body"]) < LARGEST // 8:  # a character takes 6 bytes at most, escaped
        return 0
    return len(json.dumps(answered, ensure_ascii=False).encode("utf-8", "replace"))


def _failed(error: Exception, request_id: str) -> Answer:
    log("gateway").error("request_failed", error=error, request_id=request_id)
    response = answer(error, request_id)
    return {
        "statusCode": response.status_code,
        "headers": dict(response.headers),
        "body": bytes(response.body).decode(),
        "isBase64Encoded": False,
    }
