"""The HTTP API: requests -> the verbs of a `Shop`. The only package that imports fastapi.

`create_app` puts it together; every module beside it does one thing: `door` (ids, origins, the last
resort), `access` (keys), `wire` (bodies), `problems` (errors), `openapi` and `docs` (what there
is), `routes_*` (the calls).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as Call
from starlette.responses import Response
from starlette.routing import Match

from windowshop.api import (
    openapi,
    routes_events,
    routes_health,
    routes_items,
    routes_operator,
    routes_page,
    routes_slates,
    routes_users,
)
from windowshop.api.access import Access
from windowshop.api.context import Context, EventQueue
from windowshop.api.door import Door, origins_of
from windowshop.api.problems import MethodNotAllowed, answer
from windowshop.errors import Misconfigured, NotFound, WindowshopError
from windowshop.logs import log
from windowshop.settings import Settings
from windowshop.shop import Shop

__all__ = ["Access", "EventQueue", "create_app"]


def create_app(
    shop: Shop,
    *,
    events: EventQueue,
    access: Access,
    settings: Settings,
    operator: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] | None = None,
    operator_token: str | None = None,
    on_items: Callable[[str, Sequence[int]], None] | None = None,
    page: bool = True,
    page_files: Path | None = None,
) -> FastAPI:
    """The application over a shop, for any ASGI server.

    `on_items(store, keys)` is told which items wait for their vectors; `operator` are the command
    line's verbs, answered only with `operator_token`. `page` serves the storefront, beside its own
    files those of the folder `page_files` (under `/page/`, where there are any). Raises
    Misconfigured.
    """
    app = FastAPI(
        title="windowshop", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    context = Context(shop, events, access, on_items)
    for module in (routes_slates, routes_events, routes_items, routes_users, routes_health):
        module.routes(app, context)
    if operator is not None and operator_token:
        routes_operator.routes(app, operator, operator_token)
    if page:
        routes_page.routes(app, page_files)
    app.openapi = openapi.generator(app)  # type: ignore[method-assign]
    for kind in (WindowshopError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer)
    app.add_middleware(Door, access=access, origins=origins_of(settings.origins))
    return app


def _answer(call: Call, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code in (404, 405):
        error = _no_route(call)
    request_id = call.scope["windowshop.request_id"]
    answered = answer(error, request_id)
    if answered.status_code >= 500:
        # What is wrong with the deployment quotes nobody, and its operator needs to read it.
        more = {"detail": error.detail} if isinstance(error, Misconfigured) else {}
        log("api").error("request_failed", error=error, request_id=request_id, **more)
    return answered


def _no_route(call: Call) -> WindowshopError:
    """Why no route took a call: nothing at that address, or not with that method."""
    path = call.scope["path"][:200]
    allowed = sorted(
        method
        for route in call.app.routes
        if route.matches(call.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    )
    if allowed:
        return MethodNotAllowed(f"{path} takes {', '.join(allowed)}", allowed)
    return NotFound(f"there is nothing at {path}: /docs lists all calls")
