"""The OpenAPI document says the truth: what it describes is answered as it describes it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.integration.api.sites import in_memory
from windowshop import __version__
from windowshop.api import docs

STORE = "default"
CONTRACT = {
    ("POST", "/v1/recommendations"),
    ("POST", "/v1/recommendations/batch"),
    ("POST", "/v1/events"),
    ("PUT", "/v1/items"),
    ("PATCH", "/v1/items"),
    ("GET", "/v1/items"),
    ("GET", "/v1/items/{item_id}"),
    ("POST", "/v1/items/delete"),
    ("POST", "/v1/users/export"),
    ("POST", "/v1/users/forget"),
    ("GET", "/v1/erasures/{erasure_id}"),
    ("POST", "/v1/users/merge"),
    ("POST", "/v1/users/unmerge"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
}


def local(app):
    """The app as this machine reaches it: Schemathesis has a name and an address of its own."""

    async def called(scope, receive, send):
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
            headers.append((b"host", b"127.0.0.1:8000"))
            scope = {**scope, "headers": headers, "client": ("127.0.0.1", 50_000)}
        await app(scope, receive, send)

    return called


site = in_memory()
client = site.client()
client.put(
    "/v1/items",
    json={"items": [{"item_id": f"i{n}", "title": f"Thing {n}"} for n in range(5)]},
    headers={"Windowshop-Store": STORE},
)
app = local(client.app)
schema = schemathesis.openapi.from_asgi("/openapi.json", app)


@schemathesis.check
def errors_are_problems(context, response, case):
    """Every error is a problem document whose members agree with the answer."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:windowshop:error:{problem['code']}"
    assert problem["request_id"] == response.headers["x-request-id"][0]


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    errors_are_problems,
]


@schema.parametrize()
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_call_answers_as_described(case):
    if "Windowshop-Store" in (case.headers or {}):
        case.headers["Windowshop-Store"] = STORE
    case.call_and_validate(checks=CHECKS)


@pytest.fixture(scope="module")
def document():
    return client.get("/openapi.json").json()


def test_the_document_holds_the_contracts_calls_and_no_other(document):
    found = {(verb.upper(), path) for path, calls in document["paths"].items() for verb in calls}

    assert found == CONTRACT
    assert document["info"]["version"] == __version__


def test_every_reference_leads_somewhere(document):
    def references(part):
        if isinstance(part, dict):
            yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else ())
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from references(inner)

    names = {reference.rpartition("/")[2] for reference in references(document)}
    assert names <= set(document["components"]["schemas"])


def test_bodies_are_described_by_the_records_that_read_them(document):
    schemas = document["components"]["schemas"]
    body = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]

    assert set(body) == {"application/json", "text/plain"}
    assert schemas["Events"]["properties"]["events"]["items"]["$ref"].endswith("/Event")
    assert schemas["Request"]["properties"]["limit"]["maximum"] == 200
    assert schemas["Request"]["additionalProperties"] is False
    assert set(schemas["Problem"]["required"]) == {
        "type", "title", "status", "code", "detail", "request_id", "errors"
    }  # fmt: skip


def test_the_page_of_the_document_needs_nothing_from_elsewhere(document):
    answer = client.get("/docs")

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == docs.POLICY
    page = answer.text
    assert "<script" not in page
    assert "src=" not in page
    assert "http" not in page.replace("https://shop.example", "")
    for path in document["paths"]:
        assert path in page
    for name in document["components"]["schemas"]:
        assert f"id='shape-{name}'" in page
    for link in page.split("href='#")[1:]:
        assert f"id='{link.partition(chr(39))[0]}'" in page
