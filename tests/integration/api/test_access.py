"""Who may call: an open shop from this machine only, keys with two roles, tokens for users."""

import pytest
from starlette.requests import Request as Call

from tests.integration.api.fake_shop import FakeKeyring
from tests.integration.api.sites import ORIGIN
from windowshop.api import Access
from windowshop.errors import Unauthorized, Unavailable
from windowshop.keys import make_key, sign_user_token

ASK = "/v1/recommendations"
VIEW = {"kind": "view", "item_id": "i1"}

SECRET_ONLY = [
    ("PUT", "/v1/items", {"items": [{"item_id": "a", "title": "A"}]}),
    ("PATCH", "/v1/items", {"items": [{"item_id": "a"}]}),
    ("POST", "/v1/items/delete", {"item_ids": ["a"]}),
    ("GET", "/v1/items", None),
    ("GET", "/v1/items/a", None),
    ("POST", "/v1/users/export", {"user_id": "u"}),
    ("POST", "/v1/users/forget", {"user_id": "u"}),
    ("GET", "/v1/erasures/e", None),
    ("POST", "/v1/users/merge", {"user_id": "u", "anonymous_id": "g"}),
    ("POST", "/v1/users/unmerge", {"user_id": "u", "anonymous_id": "g"}),
]
PUBLIC = [
    ("POST", ASK, {}),
    ("POST", ASK + "/batch", {"requests": [{}]}),
    ("POST", "/v1/events", {"events": [{**VIEW, "anonymous_id": "g"}]}),
]


def code(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# --- open ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"]
)
def test_an_open_shop_answers_to_its_own_names(memory, host):
    assert memory.client().get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "shop.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "",
        "10.0.0.1",
        "localhost:80:80",
        "localhost@evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/items", "/docs", "/"])
def test_an_open_shop_refuses_foreign_hosts(memory, host, path):
    assert code(memory.client().get(path, headers={"Host": host})) == (403, "forbidden")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "",
        "file://",
        ORIGIN + ".evil.example",
    ],
)
def test_an_open_shop_refuses_pages_of_other_origins(memory, origin):
    answer = memory.client().post(ASK, json={}, headers={"Origin": origin})

    assert code(answer) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", ORIGIN])
def test_an_open_shop_answers_its_own_page_and_configured_ones(memory, origin):
    assert memory.client().post(ASK, json={}, headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "peer", [("10.0.0.7", 1), ("::ffff:10.0.0.7", 1), ("203.0.113.9", 1), ("unix", 0)]
)
def test_an_open_shop_answers_this_machine_only(memory, peer):
    assert code(memory.client(peer=peer).post(ASK, json={})) == (403, "forbidden")


@pytest.mark.parametrize(
    "peer", [("127.0.0.1", 1), ("127.8.8.8", 1), ("::1", 1), ("::ffff:127.0.0.1", 1), None]
)
def test_this_machine_has_several_addresses(memory, peer):
    assert memory.client(peer=peer).post(ASK, json={}).status_code == 200


@pytest.mark.parametrize("store", ["Default", "a b", "a/b", "", "x" * 65, "ä", "a_b", "a\u0660"])
def test_a_stores_name_is_checked(memory, store):
    answer = memory.client().post(ASK, json={}, headers={"Windowshop-Store": store.encode()})

    assert code(answer) == (422, "invalid_input")


def test_the_first_key_closes_an_open_shop_for_good(memory):
    now = [1_000_000]
    memory.clock = lambda: now[0]
    client = memory.client(keyring=memory.keyring)
    assert client.post(ASK, json={}).status_code == 200

    _, stored = make_key("other", "secret", 0)
    memory.keyring.put_key(stored)
    now[0] += 2_001
    assert code(client.post(ASK, json={})) == (401, "unauthorized")
    memory.keyring.keys.clear()
    now[0] += 60_000
    assert code(client.post(ASK, json={})) == (401, "unauthorized")


def test_livez_touches_nothing_and_every_other_call_says_what_is_wrong(memory):
    class Broken(FakeKeyring):
        fails = False

        def has_keys(self):
            if self.fails:
                raise Unavailable("the log cannot be read")
            return False

        key = signing_secret = None

    keyring = Broken()
    client = memory.client(keyring=keyring, shop=None, events=None)
    keyring.fails = True

    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/livez", headers={"Host": "evil.example"}).status_code == 403
    assert code(client.post(ASK, json={})) == (503, "unavailable")


def test_a_public_address_demands_keys_even_while_there_are_none(memory):
    client = memory.client(keys_required=True, peer=("203.0.113.9", 1), address="http://x.example")

    assert code(client.post(ASK, json={})) == (401, "unauthorized")
    assert client.get("/livez").status_code == 200


# --- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), SECRET_ONLY + PUBLIC)
def test_without_a_key_nothing_is_told(site, method, path, body):
    client = site.keyed("secret")
    del client.headers["Authorization"]
    answer = client.request(method, path, json=body)

    assert code(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "body"), SECRET_ONLY + PUBLIC)
def test_a_secret_key_may_do_everything(site, method, path, body):
    answer = site.keyed("secret", peer=("203.0.113.9", 1)).request(method, path, json=body)

    assert answer.status_code in (200, 202, 404)


@pytest.mark.parametrize(("method", "path", "body"), SECRET_ONLY)
def test_a_publishable_key_may_not(site, method, path, body):
    assert code(site.keyed("publishable").request(method, path, json=body)) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path", "body"), PUBLIC)
def test_a_publishable_key_sends_events_and_asks_for_slates(site, method, path, body):
    assert site.keyed("publishable").request(method, path, json=body).status_code in (200, 202)


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic dTpw",
        "x",
        "",
        "Bearer " + "x" * 5000,
        "Bearer \xff",
        "Bearer ws_secret_ ws_secret_",
    ],
)
def test_no_other_header_is_a_key(site, value):
    client = site.keyed("secret")
    del client.headers["Authorization"]
    answer = client.post(ASK, json={}, headers={"Authorization": value.encode("latin-1")})

    assert code(answer) == (401, "unauthorized")


def test_a_key_is_for_its_store(site):
    client = site.keyed("secret")
    assert client.post(ASK, json={}).json()["store"] == site.store

    answer = client.post(ASK, json={}, headers={"Windowshop-Store": "other"})
    assert code(answer) == (403, "forbidden")
    del client.headers["Windowshop-Store"]
    assert client.post(ASK, json={}).json()["store"] == site.store


def test_a_revoked_key_works_no_longer_than_two_seconds(memory):
    now = [1_000_000]
    memory.clock = lambda: now[0]
    client = memory.keyed("secret")
    assert client.post(ASK, json={}).status_code == 200

    memory.keyring.keys.clear()
    now[0] += 2_001
    assert code(client.post(ASK, json={})) == (401, "unauthorized")


def test_a_key_is_looked_up_once_in_two_seconds(memory):
    asked = []
    found = memory.keyring.key
    memory.keyring.key = lambda digest: asked.append(digest) or found(digest)
    client = memory.keyed("secret")
    for _ in range(10):
        client.post(ASK, json={})

    assert len(asked) <= 2


def test_after_a_sleep_keys_are_asked_for_again(memory):
    access = Access(memory.keyring, memory.clock, keys_required=True)
    key, stored = make_key(memory.store, "secret", 0)
    memory.keyring.put_key(stored)
    call = Call({
        "type": "http", "windowshop.headers": {b"authorization": b"Bearer " + key.encode()}
    })  # fmt: skip
    assert access.caller(call).role == "secret"

    memory.keyring.keys.clear()
    assert access.caller(call).role == "secret"
    access.renew()
    with pytest.raises(Unauthorized):
        access.caller(call)


def test_a_key_that_calls_too_often_is_told_when_to_come_again(memory):
    now = [1_000_000]
    memory.clock = lambda: now[0]
    often, other = (memory.keyed("publishable", key_rps=0.25) for _ in range(2))
    assert often.post(ASK, json={}).status_code == 200
    refused = often.post(ASK, json={})
    assert code(refused) == (429, "too_many_requests")
    assert refused.headers["retry-after"] == "4"
    assert other.post(ASK, json={}).status_code == 200

    now[0] += 4_000
    assert often.post(ASK, json={}).status_code == 200


def test_counts_are_for_those_with_a_key(site):
    client = site.keyed("secret")
    assert client.get("/readyz").json()["items"] == 0
    client.headers["Authorization"] = "Bearer wrong"
    assert code(client.get("/readyz")) == (401, "unauthorized")
    del client.headers["Authorization"]
    state = client.get("/readyz").json()

    assert (state["status"], state["items"], state["users"]) == ("ready", None, None)


# --- the address ---------------------------------------------------------------------------------


def beacon(client, key, **event):
    del client.headers["Authorization"]
    body = b'{"events": [{"kind": "view", "item_id": "i", "anonymous_id": "g"}]}'
    return client.post(
        f"/v1/events?key={key}", content=body, headers={"Content-Type": "text/plain"}
    )


def test_a_beacon_carries_a_publishable_key_in_the_address(site):
    client = site.keyed("publishable")
    key = client.headers["Authorization"].removeprefix("Bearer ")

    assert beacon(client, key).json()["accepted"] == 1


def test_a_secret_key_in_an_address_is_refused(site):
    client = site.keyed("secret")
    key = client.headers["Authorization"].removeprefix("Bearer ")

    assert code(beacon(client, key)) == (403, "forbidden")


def test_a_wrong_key_in_an_address_is_refused(site):
    assert code(beacon(site.keyed("secret"), "x" * 300)) == (401, "unauthorized")


def test_no_other_call_takes_a_key_from_the_address(site):
    client = site.keyed("publishable")
    key = client.headers.pop("Authorization").removeprefix("Bearer ")

    assert code(client.post(f"{ASK}?key={key}", json={})) == (401, "unauthorized")


# --- users -----------------------------------------------------------------------------------------

RAW = [
    (ASK, {"user_id": "u"}),
    (ASK, {"anonymous_id": "g", "recent": [{**VIEW, "user_id": "u"}]}),
    (ASK + "/batch", {"requests": [{}, {"user_id": "u"}]}),
    ("/v1/events", {"events": [{**VIEW, "anonymous_id": "g"}, {**VIEW, "user_id": "u"}]}),
    ("/v1/events", {"events": [{"kind": "nonsense", "user_id": "u"}]}),
]


@pytest.mark.parametrize(("path", "body"), RAW)
def test_a_raw_user_id_with_a_publishable_key_is_refused(site, path, body):
    answer = site.keyed("publishable").post(path, json=body)

    assert code(answer) == (403, "forbidden")
    assert answer.json()["errors"][0]["pointer"].endswith("/user_id")
    held = site.keyed("secret").post("/v1/users/export", json={"anonymous_id": "g"}).json()
    assert held["events"] == []


def with_token(token):
    return [
        (ASK, {"user_token": token}),
        (ASK, {"recent": [{**VIEW, "user_token": token}]}),
        (ASK + "/batch", {"requests": [{"user_token": token}]}),
        ("/v1/events", {"events": [{**VIEW, "user_token": token}]}),
    ]


@pytest.mark.parametrize("role", ["secret", "publishable"])
def test_a_token_speaks_for_its_user(site, role):
    client = site.keyed(role)
    for path, body in with_token(site.token("anna")):
        assert client.post(path, json=body).status_code in (200, 202)

    held = site.keyed("secret").post("/v1/users/export", json={"user_id": "anna"}).json()["events"]
    assert len(held) == 1
    assert "user_token" not in held[0]


@pytest.mark.parametrize("role", ["secret", "publishable"])
@pytest.mark.parametrize("kind", ["expired", "another store's", "forged", "nonsense"])
def test_a_token_that_does_not_count_is_refused(site, role, kind):
    site.keyring.signing_secret(site.store, create=True)
    secret = site.keyring.signing_secret(site.store + "-2", create=True)
    later = site.clock() // 1000 + 600
    token = {
        "expired": site.token("anna", seconds=-600),
        "another store's": sign_user_token("anna", secret, later),
        "forged": sign_user_token("anna", "0" * 64, later),
        "nonsense": "x.y.z",
    }[kind]

    for path, body in with_token(token):
        assert code(site.keyed(role).post(path, json=body)) == (401, "unauthorized")
    held = site.keyed("secret").post("/v1/users/export", json={"user_id": "anna"}).json()
    assert held["events"] == []


def test_the_user_of_a_token_is_the_one_that_is_asked_for(memory):
    memory.keyed("publishable").post(ASK, json={"user_token": memory.token("anna")})

    (asked,) = memory.shop.asked
    assert (asked.user_id, asked.user_token) == ("anna", None)
