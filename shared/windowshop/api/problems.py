"""Errors as answers: every failure leaves as `application/problem+json` (RFC 9457).

Foreign errors (the framework's) are translated in `problem_of`; whatever else arrives is a fault of
ours and says so without giving anything away.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from windowshop.errors import Flaw, Misconfigured, Unavailable, WindowshopError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MAX_DETAIL = 1_000

TITLES: Mapping[str, str] = {
    "invalid_input": "The request cannot be used as it is",
    "unauthorized": "A valid key is needed",
    "forbidden": "This is not allowed",
    "not_found": "There is no such thing",
    "method_not_allowed": "This address does not take that method",
    "not_ready": "The present state does not allow this yet",
    "too_large": "The request is too large",
    "unsupported_media_type": "This media type is not understood",
    "too_many_requests": "Too many requests at once",
    "internal": "Something went wrong on our side",
    "unavailable": "Something this needs does not answer",
}
_CODES: Mapping[int, str] = {
    400: "invalid_input",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "not_ready",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
    429: "too_many_requests",
    503: "unavailable",
}


class FlawAnswer(BaseModel):
    """One thing wrong with a request: where (a JSON pointer), and what to do about it."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """What went wrong. `code` is stable, `detail` is for people, the logs know `request_id`."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FlawAnswer]


class UnsupportedMediaType(WindowshopError):
    """The body is not of a type that this call reads."""

    code = "unsupported_media_type"
    status = 415


class MethodNotAllowed(WindowshopError):
    """The address exists, the method does not; `allowed` are those that do."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, detail: str, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class TooManyRequests(Unavailable):
    """More work is waiting than is worth keeping, or more was sent than is allowed; the caller
    should slow down, and come again after `after_s` seconds.
    """

    code = "too_many_requests"
    status = 429

    def __init__(self, detail: str, after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(detail)
        self.after_s = after_s


def problem_of(error: BaseException) -> tuple[int, str, str, Sequence[Flaw], dict[str, str]]:
    """What an error says to the caller: (status, code, detail, flaws, headers)."""
    match error:
        case Misconfigured():  # names settings and paths of this machine: for its owner's log only
            return 500, "internal", _OURS, (), {}
        case WindowshopError(code=code) if code in TITLES and error.status != 500:
            return error.status, code, error.detail, error.flaws, _headers_of(error)
        case RequestValidationError():
            flaws = [_flaw(entry) for entry in error.errors()]
            return 422, "invalid_input", flaws[0].detail if flaws else "", flaws, {}
        case HTTPException(status_code=status) if status in _CODES:
            headers = dict(error.headers or {})
            code = _CODES[status]
            status = 422 if status == 400 else status
            return status, code, str(error.detail), (), headers
        case _:
            return 500, "internal", _OURS, (), {}


_OURS = "This is a fault of ours. It has been logged under the request_id given here."


def _headers_of(error: WindowshopError) -> dict[str, str]:
    match error:
        case MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
        case TooManyRequests():
            return {"Retry-After": str(error.after_s)}
        case Unavailable():
            return {"Retry-After": str(RETRY_AFTER_S)}
        case _ if error.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


def _flaw(entry: Mapping[str, Any]) -> Flaw:
    return Flaw("/" + "/".join(str(part) for part in entry["loc"]), str(entry["msg"]))


def answer(error: BaseException, request_id: str) -> Response:
    """The problem document of an error."""
    status, code, detail, flaws, headers = problem_of(error)
    problem = {
        "type": f"urn:windowshop:error:{code}",
        "title": TITLES[code],
        "status": status,
        "code": code,
        "detail": (detail or HTTPStatus(status).phrase)[:MAX_DETAIL],
        "request_id": request_id,
        "errors": [
            {"pointer": flaw.pointer[:MAX_DETAIL], "detail": flaw.detail[:MAX_DETAIL]}
            for flaw in flaws[:100]
        ],
    }
    return Response(_encode(problem), status, headers, MEDIA_TYPE)


def _encode(problem: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(problem)
    except TypeError:  # half of a surrogate pair in a message: show it, do not fail over it
        return orjson.dumps(
            {
                name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
                for name, value in problem.items()
            }
            | {"errors": []}
        )
