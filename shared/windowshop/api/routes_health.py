"""Whether the process lives and the shop can be used; and the pages that describe the API."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request as Call
from starlette.responses import HTMLResponse, Response

from windowshop.api import docs
from windowshop.api.context import Context, json_answer
from windowshop.api.openapi import described
from windowshop.api.shapes import Alive, Ready
from windowshop.errors import Unavailable


def routes(app: FastAPI, context: Context) -> None:

    @app.get("/livez", **described("health", "Is the process alive", answer=Alive, keyed=False))
    async def livez() -> Response:
        """Touches nothing: neither log nor store."""
        return json_answer({"status": "alive"})

    @app.get("/readyz", **described("health", "Can the shop be used", answer=Ready))
    async def readyz(call: Call) -> Response:
        """What can be recommended. 503 while log or store cannot be used."""
        store, vouched = context.access.known(call)
        state: dict[str, Any] = await context.reads.run(lambda: context.shop.ready(store))
        if state["status"] != "ready":
            raise Unavailable(f"the shop is {state['status']}")
        if not vouched:
            state = {**state, "items": None, "users": None}
        return json_answer(state)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return json_answer(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        policy = {"Content-Security-Policy": docs.POLICY}
        return HTMLResponse(docs.render(app.openapi()), headers=policy)
