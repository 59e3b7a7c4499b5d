"""The OpenAPI document, generated from the routes and the records that they read and write.

Routes read their bodies themselves (decoding and checking a body twice would double the cost of the
hot calls), so `described` tells the framework what they read and answer; nothing else repeats it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from windowshop import __version__
from windowshop.api.problems import MEDIA_TYPE, TITLES, Problem
from windowshop.api.shapes import Events, ItemIds, Items
from windowshop.records import Batch, Event, Item, MergePair, Request, Who

_REF = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    Request, Batch, Events, Event, Items, Item, ItemIds, Who, MergePair,
)  # fmt: skip
_ELEMENTS: Mapping[type[BaseModel], type[BaseModel]] = {Events: Event, Items: Item}
_STORE = {
    "name": "Windowshop-Store",
    "in": "header",
    "description": "Which store, where no key says so (default: `default`).",
    "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
}
_ALWAYS = {401: "unauthorized", 403: "forbidden", 422: "invalid_input", 500: "internal"}
_WITH_BODY = {413: "too_large", 415: "unsupported_media_type"}
_AT_WORK = {409: "not_ready", 429: "too_many_requests", 503: "unavailable"}

DESCRIPTION = """\
Recommendations in real time. Send a catalogue and events, ask for slates.

Errors are `application/problem+json` with a stable `code`. Times are RFC 3339 with a zone, or unix
seconds. Unknown fields in a request are errors; clients ignore unknown fields in answers.
"""


def described(
    tag: str,
    summary: str,
    *,
    answer: type[BaseModel],
    body: type[BaseModel] | None = None,
    status: int = 200,
    types: Sequence[str] = ("application/json",),
    parameters: Sequence[Mapping[str, Any]] = (),
    missing: bool = False,
    keyed: bool = True,
) -> dict[str, Any]:
    """What a route's decorator takes: the shapes it reads and answers, and the errors it may give.

    `missing`: it may answer 404. `keyed`: it asks for a key.
    """
    problems = dict(_ALWAYS if keyed else {}) | (_AT_WORK if keyed else {})
    extra: dict[str, Any] = {"parameters": [_STORE, *parameters] if keyed else [*parameters]}
    if body is not None:
        problems |= _WITH_BODY
        schema = {"$ref": _REF.format(model=body.__name__)}
        content = {kind: {"schema": schema} for kind in types}
        extra["requestBody"] = {"required": True, "content": content}
    if missing:
        problems[404] = "not_found"
    if keyed:
        extra["security"] = [{"key": []}, {}]
    return {
        "tags": [tag],
        "summary": summary,
        "status_code": status,
        "response_model": answer,
        "responses": {code: _problem(name) for code, name in sorted(problems.items())},
        "openapi_extra": extra,
    }


def _problem(code: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {"description": TITLES[code], "content": {MEDIA_TYPE: {"schema": schema}}}


def parameters_of(query: type[BaseModel]) -> list[dict[str, Any]]:
    """The query parameters that a record describes."""
    schema = query.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _without_null(part),
        }
        for name, part in schema["properties"].items()
    ]


def _without_null(part: dict[str, Any]) -> dict[str, Any]:
    """In an address there is no null: an optional parameter is left out."""
    kinds = [kind for kind in part.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {k: v for k, v in part.items() if k != "title"}


def generator(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` is replaced by: the document, made on first use and kept."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    return openapi


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=__version__, description=DESCRIPTION, routes=app.routes
    )
    mode: JsonSchemaMode = "validation"
    _, read = models_json_schema([(body, mode) for body in _BODIES], ref_template=_REF)
    _, told = models_json_schema([(Problem, mode)], ref_template=_REF)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name, schema in {**read["$defs"], **told["$defs"]}.items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two different shapes are called {name}: rename one of them")
    for envelope, element in _ELEMENTS.items():  # unchecked there, so pydantic repeats them in full
        (elements,) = schemas[envelope.__name__]["properties"].values()
        elements["items"] = {"$ref": _REF.format(model=element.__name__)}
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of the store, secret or publishable.",
        }
    }
    return document
