"""Bodies: read under a bound, decoded strictly, and lists checked element by element.

Decoding is orjson's: no NaN, no Infinity, no invalid UTF-8, bounded depth. What orjson lets pass
and two readers might understand differently, a name given twice in one object, is refused here.
"""

import json
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import orjson
from starlette.requests import Request

from windowshop.api.access import Headers
from windowshop.api.problems import UnsupportedMediaType
from windowshop.errors import Flaw, InvalidInput, TooLarge
from windowshop.records import Record, Rejection, read

MAX_BODY = 1 << 20
JSON = "application/json"

R = TypeVar("R", bound=Record)


async def read_body(
    request: Request,
    *,
    types: Sequence[str] = (JSON,),
    query: Sequence[str] = (),
    limit: int = MAX_BODY,
) -> Any:
    """The decoded JSON body. Raises UnsupportedMediaType, TooLarge, InvalidInput.

    `query` are the parameters that the address may carry.
    """
    headers: Headers = request.scope["windowshop.headers"]
    refuse_query(request, query)
    _check_type(headers, types)
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return decode(parts[0] if len(parts) == 1 else b"".join(parts))


def refuse_query(request: Request, known: Sequence[str] = ()) -> None:
    """Raises InvalidInput for a query parameter that means nothing: it was meant to."""
    if request.scope["query_string"]:
        for name in request.query_params:
            if name not in known:
                detail = f"{name[:100]}: unknown query parameter; fields belong into the body"
                raise InvalidInput(detail, [Flaw("", detail)])


def _check_type(headers: Headers, types: Sequence[str]) -> None:
    kind, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    if kind.strip().lower() not in types:
        raise UnsupportedMediaType(f"send the body as `Content-Type: {JSON}`")
    charset = parameters.lower().replace(" ", "").replace('"', "").partition("charset=")[2]
    if charset.split(";")[0] not in ("", "utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("send the body in UTF-8")
    if headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
        raise UnsupportedMediaType("send the body without Content-Encoding")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"a body may have {limit} bytes: send it in parts")


# --- decoding ------------------------------------------------------------------------------------


def decode(body: bytes) -> Any:
    """JSON, strictly. Raises InvalidInput."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _refuse(f"the body is no JSON: {error}")
    try:
        again = orjson.dumps(value)
    except TypeError:
        _refuse("the body is nested too deeply")
    # A colon outside of strings stands for one name. If writing the value again yields as many
    # colons as came in, no name was dropped; an escaped colon (\u003a) would spoil the count.
    if body.count(b":") != again.count(b":") or b"\\u003" in body:
        _look_for_repeated_names(body)
    return value


def _look_for_repeated_names(body: bytes) -> None:
    def once(pairs: list[tuple[str, Any]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                _refuse(f"{name[:100]!r} is given twice in one object")
            names.add(name)

    json.loads(body, object_pairs_hook=once)


def _refuse(detail: str) -> NoReturn:
    raise InvalidInput(detail, [Flaw("", detail)])


# --- lists of elements ---------------------------------------------------------------------------


def read_each(
    record: type[R], values: Sequence[object]
) -> tuple[list[R], list[int], list[Rejection]]:
    """The good elements, where they stood, and what is wrong with the others."""
    good: list[R] = []
    places: list[int] = []
    rejected: list[Rejection] = []
    for index, value in enumerate(values):
        try:
            good.append(read(record, value))
            places.append(index)
        except InvalidInput as error:
            rejected.append(rejection(index, error))
    return good, places, rejected


def rejection(index: int, error: InvalidInput) -> Rejection:
    return Rejection(index=index, code=error.code, detail=error.detail[:500])
