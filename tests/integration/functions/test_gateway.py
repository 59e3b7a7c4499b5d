"""API Gateway's requests to the function `recommend`, recorded, over a shop in memory."""

import json
from types import SimpleNamespace

import pytest

from functions.recommend.entry import build
from functions.recommend.gateway import Gateway
from tests.integration.api.sites import ORIGIN, in_memory
from tests.integration.functions.recorded import http, json_of, load
from windowshop.api import Access
from windowshop.keys import make_key
from windowshop.settings import Settings

ASK = "/v1/recommendations"


@pytest.fixture
def site():
    site = in_memory()
    site.shop.world = SimpleNamespace(settings=Settings(origins=(ORIGIN,)))
    return site


@pytest.fixture
def key(site):
    made, stored = make_key(site.store, "secret", 0)
    site.keyring.put_key(stored)
    return made


@pytest.fixture
def gateway(site):
    access = Access(site.keyring, site.clock, keys_required=True)
    made = build(site.shop, access, site.events, lambda store, keys: site.told.append(store))
    yield made
    made.close()


def problem(answer):
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert not answer["isBase64Encoded"]
    body = json_of(answer)
    assert body["request_id"] == answer["headers"].get("x-request-id", body["request_id"])
    return answer["statusCode"], body["code"]


def test_a_recorded_get_is_answered(gateway):
    answer = gateway(load("http_get"))

    assert (answer["statusCode"], json_of(answer)) == (200, {"status": "alive"})
    assert answer["headers"]["content-type"] == "application/json"
    assert not answer["isBase64Encoded"]


def test_a_post_with_a_key_is_a_slate(gateway, key, site):
    answer = gateway(http("POST", ASK, {"limit": 3}, authorization=f"Bearer {key}"))

    assert answer["statusCode"] == 200
    assert json_of(answer)["store"] == site.store
    assert site.shop.asked[0].limit == 3


def test_a_recorded_post_without_a_key_is_a_problem(gateway):
    assert problem(gateway(load("http_post"))) == (401, "unauthorized")


def test_the_gateways_own_request_id_is_kept_and_the_callers_goes_before(gateway):
    assert gateway(load("http_post"))["headers"]["x-request-id"] == "JKJaXmPLvHcESHA"
    asked = gateway(http("POST", ASK, {}, x_request_id="mine-1"))
    assert asked["headers"]["x-request-id"] == json_of(asked)["request_id"] == "mine-1"


@pytest.mark.parametrize("encoded", [False, True])
def test_bodies_come_as_text_or_as_base64(gateway, key, encoded):
    body = {"events": [{"kind": "view", "item_id": "Käse", "anonymous_id": "g"}]}
    event = http("POST", "/v1/events", body, encoded=encoded, authorization=f"Bearer {key}")
    answer = gateway(event)

    assert (answer["statusCode"], json_of(answer)) == (202, {"accepted": 1, "rejected": []})


def test_a_recorded_beacon_is_taken(gateway, site):
    made, stored = make_key(site.store, "publishable", 0)
    site.keyring.put_key(stored)
    event = load("http_beacon") | {"rawQueryString": f"key={made}"}
    answer = gateway(event)

    assert (answer["statusCode"], json_of(answer)) == (202, {"accepted": 1, "rejected": []})
    assert answer["headers"]["access-control-allow-origin"] == ORIGIN


def test_a_recorded_preflight_is_answered_for_the_shops_own_pages(gateway):
    answer = gateway(load("http_options"))
    assert answer["statusCode"] == 204
    assert answer["headers"]["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer["headers"]["access-control-allow-methods"]

    foreign = load("http_options")
    foreign["headers"]["origin"] = "https://evil.example"
    refused = gateway(foreign)
    assert refused["statusCode"] == 403
    assert "access-control-allow-origin" not in refused["headers"]


@pytest.mark.parametrize("stage", ["$default", "prod", "v1"])
def test_a_stages_name_is_no_part_of_the_path(gateway, key, stage):
    answer = gateway(http("POST", ASK, {}, stage=stage, authorization=f"Bearer {key}"))
    assert answer["statusCode"] == 200


def test_at_an_address_of_the_shops_own_the_path_is_whole(gateway, key):
    event = http("POST", ASK, {}, authorization=f"Bearer {key}")
    event["requestContext"] |= {"stage": "v1", "domainName": "api.shop.example"}
    assert gateway(event)["statusCode"] == 200


@pytest.mark.parametrize(
    ("sent", "asked"),
    # The gateway decodes a path, but for an encoded percent sign.
    [("a/b c", "a/b c"), ("100%25", "100%"), ("100%", "100%"), ("ü", "ü"), ("a%252Fb", "a%2Fb")],
)
def test_item_ids_arrive_as_they_were_meant(gateway, key, site, sent, asked):
    seen = []
    site.shop.get_item = lambda store, item_id: seen.append(item_id) or {"item_id": item_id}
    gateway(http("GET", f"/v1/items/{sent}", authorization=f"Bearer {key}"))
    assert seen == [asked]


def test_the_documentation_is_served_and_the_storefront_is_not(gateway):
    assert gateway(http("GET", "/docs"))["headers"]["content-type"].startswith("text/html")
    assert "/v1/events" in json_of(gateway(http("GET", "/openapi.json")))["paths"]
    assert problem(gateway(http("GET", "/"))) == (404, "not_found")
    assert problem(gateway(http("GET", "/page/app.js"))) == (404, "not_found")


def test_a_fault_of_ours_says_so_and_nothing_else(gateway, key, site, capfd):
    def fail(*_):
        raise ValueError("anna@example.org")

    site.shop.recommend = fail
    answer = gateway(http("POST", ASK, {}, authorization=f"Bearer {key}"))
    assert problem(answer) == (500, "internal")
    assert "anna" not in json.dumps(answer)
    assert "anna" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "event",
    [{}, {"Records": []}, {"version": "2.0", "requestContext": None}, {"version": "2.0"}],
    ids=str,
)
def test_what_is_no_request_is_answered_all_the_same(gateway, event):
    assert problem(gateway(event)) == (500, "internal")


def test_an_answer_that_breaks_off_is_a_problem_too():
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("late")

    gateway = Gateway(broken)
    assert problem(gateway(load("http_get"))) == (500, "internal")
    gateway.close()


def test_an_answer_that_lambda_would_not_take_is_a_problem_that_says_what_to_do(gateway, key, site):
    many = [{"item_id": f"i{n}", "description": '"ü' * 4_000} for n in range(500)]
    site.shop.list_items = lambda *_: (many[: site.take], None)
    for site.take, expected in ((100, 200), (500, 413)):
        answer = gateway(http("GET", "/v1/items", authorization=f"Bearer {key}"))
        assert answer["statusCode"] == expected
    assert problem(answer) == (413, "too_large")
    assert "fewer" in json_of(answer)["detail"]
