"""Pages of other origins, and the command line beside a server."""

import pytest

from tests.integration.api.sites import ORIGIN
from windowshop.errors import Misconfigured
from windowshop.settings import Settings

ASK = "/v1/recommendations"


def code(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# --- pages of other origins --------------------------------------------------------------------------


def preflight(client, origin):
    wanted = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return client.options(ASK, headers={"Origin": origin, **wanted})


def test_a_configured_origin_may_ask_first_and_read_answers(site):
    client = site.keyed("publishable")
    asked = preflight(client, ORIGIN)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(
        asked.headers["access-control-allow-headers"].split(", ")
    )

    for answer in (
        client.post(ASK, json={}, headers={"Origin": ORIGIN}),
        client.post(ASK, json={"limt": 1}, headers={"Origin": ORIGIN}),
    ):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ORIGIN + ".evil.example", "*"])
def test_no_other_origin_may(site, origin):
    client = site.keyed("publishable")

    assert code(preflight(client, origin)) == (403, "forbidden")
    answer = client.post(ASK, json={}, headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "shop.example", "https://shop.example/path", "ftp://x", ""]
)
def test_an_origin_that_is_none_is_a_wrong_setting(memory, origin):
    with pytest.raises(Misconfigured, match="origins"):
        memory.client(settings=Settings(origins=(origin,)))


# --- the command line beside a server ------------------------------------------------------------------


@pytest.fixture
def operated(memory):
    verbs = {"ping": lambda args: {"pong": args}}
    return lambda **more: memory.client(operator=verbs, operator_token="t0ken", **more)


def test_the_operator_is_answered_with_the_homes_token(operated):
    client = operated()
    for keyring in (None, "keyed"):
        answer = client.post(
            "/v1/operator/ping", json={"a": 1}, headers={"Authorization": "Bearer t0ken"}
        )
        assert (answer.status_code, answer.json()) == (200, {"pong": {"a": 1}}), keyring


@pytest.mark.parametrize(
    ("headers", "peer", "status"),
    [
        ({}, ("127.0.0.1", 1), 401),
        ({"Authorization": "Bearer other"}, ("127.0.0.1", 1), 401),
        ({"Authorization": "Bearer é".encode("latin-1")}, ("127.0.0.1", 1), 401),
        ({"Authorization": "Bearer t0ken"}, ("10.0.0.7", 1), 403),
        (
            {"Authorization": "Bearer t0ken", "Origin": "http://127.0.0.1:8000"},
            ("127.0.0.1", 1),
            403,
        ),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_nobody_else_operates(operated, headers, peer, status, required):
    client = operated(peer=peer, keys_required=required)

    assert client.post("/v1/operator/ping", json={}, headers=headers).status_code == status


def test_an_unknown_verb_is_not_found_and_without_an_operator_there_is_nothing(operated, memory):
    token = {"Authorization": "Bearer t0ken"}
    assert code(operated().post("/v1/operator/nope", json={}, headers=token)) == (404, "not_found")
    assert code(memory.client().post("/v1/operator/ping", json={}, headers=token)) == (
        404,
        "not_found",
    )
