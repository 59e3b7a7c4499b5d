"""The command line beside a running server: verbs for the home's owner, on this machine only."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request as Call
from starlette.responses import Response

from windowshop.api.access import Headers, bearer
from windowshop.api.context import json_answer
from windowshop.api.door import is_loopback
from windowshop.api.wire import read_body
from windowshop.api.work import Threads
from windowshop.errors import Forbidden, InvalidInput, NotFound, Unauthorized

MAX_BODY = 64 << 20  # a chunk of items whole, from a process that could write the files as well
Verb = Callable[[dict[str, Any]], dict[str, Any]]


def routes(app: FastAPI, verbs: Mapping[str, Verb], token: str) -> None:
    """`POST /v1/operator/{verb}` with the token that only the owner of the home can read."""
    threads = Threads(4)

    @app.post("/v1/operator/{verb}", include_in_schema=False)
    async def operate(call: Call, verb: str) -> Response:
        _check(call, token)
        if verb not in verbs:
            raise NotFound(f"no verb {verb[:64]!r}: the server may be of another version")
        args = await read_body(call, limit=MAX_BODY)
        if not isinstance(args, dict):
            raise InvalidInput("the arguments of a verb are an object")
        return json_answer(await threads.run(lambda: verbs[verb](args)))


def _check(call: Call, token: str) -> None:
    """Raises Forbidden (from elsewhere, from a web page), Unauthorized (not the home's owner)."""
    headers: Headers = call.scope["windowshop.headers"]
    client = call.scope.get("client")
    if b"origin" in headers or (client is not None and not is_loopback(str(client[0]))):
        raise Forbidden("the operator's calls are for this machine's command line only")
    given = bearer(headers)
    if given is None or not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthorized("this is not the token in HOME/serving.json")
