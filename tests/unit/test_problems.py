"""Every error leaves as a problem document with a code of the contract."""

import importlib
import pkgutil

import orjson
import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import windowshop
from windowshop.api.problems import MEDIA_TYPE, TITLES, MethodNotAllowed, answer, problem_of
from windowshop.errors import Flaw, InvalidInput, Misconfigured, Unavailable, WindowshopError

CONTRACT = {
    "invalid_input": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_ready": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "too_many_requests": 429,
    "internal": 500,
    "unavailable": 503,
}


def all_errors():
    """Every error class that the package defines, wherever."""
    for module in pkgutil.walk_packages(windowshop.__path__, "windowshop."):
        if module.name.split(".")[1] in ("api", "errors", "keys", "records"):
            importlib.import_module(module.name)
    waiting, found = [WindowshopError], []
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting.extend(kind.__subclasses__())
    return found


def made(kind):
    return kind("what to do", ["GET"]) if kind is MethodNotAllowed else kind("what to do")


def test_the_codes_are_those_of_the_contract():
    assert set(TITLES) == set(CONTRACT)


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_class_is_mapped(kind):
    status, code, detail, _, _ = problem_of(made(kind))

    assert CONTRACT[code] == status
    if status != 500:
        assert (status, code, detail) == (kind.status, kind.code, "what to do")


@pytest.mark.parametrize("kind", [Misconfigured, WindowshopError, ValueError, KeyError])
def test_a_fault_of_ours_gives_nothing_away(kind):
    body = answer(kind("/home/me/secret.toml"), "r1").body

    assert b"secret" not in body
    assert orjson.loads(body)["code"] == "internal"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503])
def test_the_frameworks_errors_are_translated(status):
    problem = orjson.loads(answer(HTTPException(status), "r1").body)

    assert CONTRACT[problem["code"]] == problem["status"]
    assert problem["status"] == (422 if status == 400 else status)


@pytest.mark.parametrize("status", [402, 418, 500, 501, 599])
def test_a_status_that_the_contract_does_not_know_is_internal(status):
    assert problem_of(HTTPException(status))[:2] == (500, "internal")


def test_a_problem_has_every_field_of_the_contract():
    error = InvalidInput("limit: too big", [Flaw("/limit", "too big")])
    answered = answer(error, "01K")

    assert answered.media_type == MEDIA_TYPE
    assert orjson.loads(answered.body) == {
        "type": "urn:windowshop:error:invalid_input",
        "title": TITLES["invalid_input"],
        "status": 422,
        "code": "invalid_input",
        "detail": "limit: too big",
        "request_id": "01K",
        "errors": [{"pointer": "/limit", "detail": "too big"}],
    }


def test_the_frameworks_own_checks_become_flaws():
    entry = {"type": "string_too_long", "loc": ("path", "item_id"), "msg": "too long", "input": ""}
    problem = orjson.loads(answer(RequestValidationError([entry]), "r").body)

    assert problem["status"] == 422
    assert problem["errors"] == [{"pointer": "/path/item_id", "detail": "too long"}]


def test_headers_say_what_to_do():
    assert answer(Unavailable("x"), "r").headers["retry-after"] == "1"
    assert answer(MethodNotAllowed("x", ["GET", "PUT"]), "r").headers["allow"] == "GET, PUT"
    assert answer(HTTPException(401), "r").status_code == 401


def test_long_and_broken_text_is_no_obstacle():
    flaws = [Flaw("/" + "x" * 5000, "\ud800" * 3)] * 1000
    problem = orjson.loads(answer(InvalidInput("\ud800" + "y" * 9999, flaws), "r").body)

    assert problem["code"] == "invalid_input"
    assert len(problem["detail"]) <= 1000
