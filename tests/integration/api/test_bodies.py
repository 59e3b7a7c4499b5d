"""What a hostile or clumsy client sends gets a clean answer, and always a problem document."""

import json
import re
import socket
import threading
import time
from urllib.parse import quote

import pytest
import uvicorn

from localstack.emulator import free_port
from tests.integration.api.fake_shop import FakeQueue, FakeShop
from tests.integration.api.sites import in_memory
from windowshop.api.wire import MAX_BODY
from windowshop.errors import Misconfigured, NotReady, Unavailable

ASK = "/v1/recommendations"
JSON = {"Content-Type": "application/json"}
CALLS = [
    ("POST", ASK),
    ("POST", ASK + "/batch"),
    ("POST", "/v1/events"),
    ("PUT", "/v1/items"),
    ("PATCH", "/v1/items"),
    ("POST", "/v1/items/delete"),
    ("POST", "/v1/users/export"),
    ("POST", "/v1/users/forget"),
    ("POST", "/v1/users/merge"),
    ("POST", "/v1/users/unmerge"),
]


def problem(answer, status, code):
    """The problem document of an answer, which must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert set(found) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert (found["status"], found["code"]) == (status, code)
    assert found["type"] == f"urn:windowshop:error:{code}"
    assert found["title"]
    assert found["detail"]
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


@pytest.fixture
def client(memory):
    return memory.client()


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nul", b"[]", b"7", b'"x"', b"null", b"NaN", b'{"limit": NaN}', b'{"limit": Infinity}',
        b'{"a": 1, "a": 2}', b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500, b"\xff\xfe", b'"\xff"',
        b'{"\xed\xa0\x80": 1}', b"1" * 10_000, b"1e999", b'{"nosuchfield": 1}', b"\x00" * 100,
    ],
    ids=lambda body: repr(body[:16]),
)  # fmt: skip
def test_what_cannot_be_read_is_422(client, method, path, body):
    problem(client.request(method, path, content=body, headers=JSON), 422, "invalid_input")


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"limt": 5}, "/limt", "did you mean 'limit'"),
        ({"limit": 0}, "/limit", "1"),
        ({"limit": 201}, "/limit", "200"),
        ({"limit": "20"}, "/limit", "integer"),
        ({"limit": 10**30}, "/limit", "integer"),
        ({"limit": True}, "/limit", "integer"),
        ({"scenario": "best"}, "/scenario", "for_you"),
        ({"scenario": "similar"}, "", "item_ids"),
        ({"scenario": "search"}, "", "query"),
        ({"user_id": "u", "anonymous_id": "g"}, "", "at most one"),
        ({"user_id": " u"}, "/user_id", "printable"),
        ({"user_id": ""}, "/user_id", "1"),
        ({"user_id": "x" * 129}, "/user_id", "128"),
        ({"exclude": ["x"] * 1001}, "/exclude", "1000"),
        ({"recent": [{"kind": "view", "item_id": "i"}] * 51}, "/recent", "50"),
        ({"recent": [{"kind": "view"}]}, "/recent/0", "item_id"),
        ({"diversity": 1.1}, "/diversity", "1"),
        ({"seen": "hide"}, "/seen", "keep"),
        ({"rules": [{"boost": 2}]}, "/rules/0", "where"),
        ({"rules": [{"pin": "a", "at": 0}] * 21}, "/rules", "20"),
    ],
    ids=str,
)  # fmt: skip
def test_an_error_says_where_and_what_to_do(client, body, pointer, says):
    found = problem(client.post(ASK, json=body), 422, "invalid_input")

    assert found["errors"][0]["pointer"] == pointer
    assert says in found["errors"][0]["detail"]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_other_media_types_are_415(client, method, path):
    for kind in (
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/xml",
        "",
        "x" * 999,
    ):
        answer = client.request(method, path, content=b"{}", headers={"Content-Type": kind})
        problem(answer, 415, "unsupported_media_type")
    if path != "/v1/events":
        answer = client.request(method, path, content=b"{}", headers={"Content-Type": "text/plain"})
        problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json;charset=utf-16"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
def test_other_encodings_are_415(client, headers):
    problem(client.post(ASK, content=b"{}", headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_json_is_taken_however_it_is_written(client, kind):
    assert client.post(ASK, content=b"{}", headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_body_over_a_mebibyte_is_413(client, method, path):
    large = b'{"x": "' + b"x" * MAX_BODY + b'"}'
    problem(client.request(method, path, content=large, headers=JSON), 413, "too_large")

    def parts():
        for _ in range(40):
            yield b" " * 65_536

    problem(client.request(method, path, content=parts(), headers=JSON), 413, "too_large")


def test_a_body_of_a_mebibyte_is_read(client):
    body = b"{" + b" " * (MAX_BODY - 2) + b"}"

    assert client.post(ASK, content=body, headers=JSON).status_code == 200


def test_a_body_in_parts_is_read(client):
    answer = client.post(ASK, content=iter([b'{"lim', b'it": ', b"3}"]), headers=JSON)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/v1",
        "/v1/",
        "/v1/events/",
        "/v2/items",
        "/page/none.js",
        "/page/../../keys.py",
        "/page/%2e%2e/keys.py",
        "/\u00e4",
    ],
)
def test_what_is_not_there_is_404(client, path):
    problem(client.get(path), 404, "not_found") if path != "/v1/events/" else problem(
        client.post(path, json={}), 404, "not_found"
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", ASK, "POST"),
        ("DELETE", "/v1/items", "GET, PATCH, PUT"),
        ("POST", "/v1/items/a", "GET"),
        ("PUT", "/livez", "GET"),
        ("OPTIONS", "/v1/events", "POST"),
        ("POST", "/", "GET"),
        ("TRACE", "/readyz", "GET"),
        ("WHAT", "/readyz", "GET"),
    ],
)
def test_a_method_that_does_not_fit_is_405(client, method, path, allowed):
    answer = client.request(method, path)

    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_query_parameters_that_mean_nothing_are_refused(client, method, path):
    found = problem(client.request(method, path + "?limit=5", json={}), 422, "invalid_input")

    assert "limit" in found["detail"]


def test_every_answer_has_a_request_id(client):
    given = client.get("/livez", headers={"X-Request-Id": "abc-1.2_3"}).headers["x-request-id"]
    made = client.get("/livez").headers["x-request-id"]

    assert given == "abc-1.2_3"
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", made)
    for odd in ("x" * 65, "a b", 'a"b', "é".encode()):
        assert re.fullmatch(
            "[0-9A-Z]{26}",
            client.get("/livez", headers={"X-Request-Id": odd}).headers["x-request-id"],
        )


def test_answers_about_users_are_not_cached(client):
    assert client.post(ASK, json={}).headers["cache-control"] == "no-store"
    assert client.post(ASK, json={}).headers["x-content-type-options"] == "nosniff"


class Broken(FakeShop):
    """Every verb fails in the same way."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def fail(self, *args, **kwargs):
        raise self._error

    recommend = recommend_batch = put_items = patch_items = delete_items = get_item = fail
    list_items = record = export = forget = erasure = merge = unmerge = ready = fail


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unavailable("the log cannot be written"), 503, "unavailable"),
        (NotReady("another model is loaded"), 409, "not_ready"),
        (Misconfigured("model: /home/anna"), 500, "internal"),
        (ValueError("anna"), 500, "internal"),
        (MemoryError(), 500, "internal"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_shop_that_fails_is_told_without_giving_anything_away(memory, error, status, code):
    shop = Broken(error)
    client = memory.client(shop=shop, events=FakeQueue(shop))
    event = {"kind": "view", "user_id": "u", "item_id": "i"}
    item = {"item_id": "a", "title": "A"}
    pair = {"user_id": "u", "anonymous_id": "g"}
    for method, path, body in [
        ("POST", ASK, {}),
        ("POST", ASK, {"scenario": "search", "query": "milk"}),
        ("POST", ASK + "/batch", {"requests": [{}]}),
        ("POST", "/v1/events", {"events": [event]}),
        ("PUT", "/v1/items", {"items": [item]}),
        ("PATCH", "/v1/items", {"items": [item]}),
        ("POST", "/v1/items/delete", {"item_ids": ["a"]}),
        ("GET", "/v1/items", None),
        ("GET", "/v1/items/a", None),
        ("POST", "/v1/users/export", {"user_id": "u"}),
        ("POST", "/v1/users/forget", {"user_id": "u"}),
        ("GET", "/v1/erasures/e", None),
        ("POST", "/v1/users/merge", pair),
        ("POST", "/v1/users/unmerge", pair),
        ("GET", "/readyz", None),
    ]:
        answer = client.request(method, path, json=body)
        found = problem(answer, status, code)
        assert ("retry-after" in answer.headers) == (status == 503)
        assert "anna" not in answer.text
        assert status == 500 or found["detail"] == error.detail
    assert client.get("/livez").json() == {"status": "alive"}


def test_when_too_much_waits_callers_are_told_to_come_back(memory):
    """One write works, 64 wait for it, and whoever comes then is answered at once."""
    release = threading.Event()

    class Slow(FakeShop):
        def put_items(self, *args, **kwargs):
            release.wait(20)
            return super().put_items(*args, **kwargs)

    body = {"items": [{"item_id": "a", "title": "A"}]}
    statuses = []
    with memory.client(shop=Slow()) as client:

        def put():
            statuses.append(client.put("/v1/items", json=body).status_code)

        threads = [threading.Thread(target=put) for _ in range(70)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10
        while len(statuses) < 5 and time.monotonic() < end:
            time.sleep(0.01)
        answer = client.put("/v1/items", json=body)
        assert client.post(ASK, json={}).status_code == 200
        release.set()
        for thread in threads:
            thread.join()

    problem(answer, 429, "too_many_requests")
    assert answer.headers["retry-after"] == "1"
    assert sorted(set(statuses)) == [202, 429]
    assert statuses.count(202) == 65


# --- over a real socket ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address():
    app = in_memory().client().app
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield "127.0.0.1", port
    server.should_exit = True
    thread.join()


def spoken(address, *parts):
    """What a server answers to raw bytes, until it is silent."""
    with socket.create_connection(address, timeout=5) as line:
        for part in parts:
            line.sendall(part)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.rstrip().endswith(b"}"):
            more = line.recv(65_536)
            if not more:
                break
            answer += more
    return answer.decode()


HEAD = b"POST /v1/recommendations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_real_server_stops_reading_a_chunked_body(address):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = spoken(address, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 17)

    assert answer.startswith("HTTP/1.1 413")
    assert '"code":"too_large"' in answer


def test_a_real_server_does_not_wait_for_a_body_that_is_announced_too_large(address):
    answer = spoken(address, HEAD + b"Content-Length: 99999999999\r\n\r\n")

    assert answer.startswith("HTTP/1.1 413")


@pytest.mark.parametrize("item_id", ["a/b c", "/", "a%2Fb", "../x", "蛋糕"])
def test_a_real_server_decodes_item_ids_once(address, item_id):
    body = json.dumps({"items": [{"item_id": item_id, "title": "A"}]}).encode()
    put = HEAD.replace(b"POST /v1/recommendations", b"PUT /v1/items")
    spoken(address, put + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    path = quote(item_id, safe="").encode()
    answer = spoken(address, b"GET /v1/items/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)

    assert answer.startswith("HTTP/1.1 200")
    assert f'"item_id":"{item_id}"' in answer


def test_a_real_server_refuses_a_foreign_host(address):
    answer = spoken(address, b"GET /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n")

    assert answer.startswith("HTTP/1.1 403")
