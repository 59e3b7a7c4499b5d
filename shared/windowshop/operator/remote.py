"""The shop in the process that serves the home: verbs over HTTP."""

import http.client
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from windowshop import errors
from windowshop.errors import Flaw, Unavailable, WindowshopError
from windowshop.operator.verbs import Json
from windowshop.records import Record

PATH = "/v1/operator/"
Progress = Callable[[int], None]

_ERRORS: Mapping[str, type[WindowshopError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WindowshopError)
}


class RemoteOperator:
    """The shop in the process that serves the home. One connection, kept open between calls."""

    def __init__(self, url: str, token: str, timeout_s: float | None = None) -> None:
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=timeout_s
        )
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, verb: str, progress: Progress | None = None, **args: Any) -> Json:
        try:
            self._connection.request("POST", PATH + verb, encode(args), self._headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(
                f"`windowshop serve` on this home went away ({type(error).__name__}): "
                "start it again or leave it off, and repeat the command"
            ) from error
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable(f"no answer of windowshop's from {self._connection.host}")
        if response.status != 200:
            raise _error(answer)
        return answer

    def close(self) -> None:
        self._connection.close()


def _error(problem: Json) -> WindowshopError:
    kind = _ERRORS.get(str(problem.get("code")), WindowshopError)
    flaws = [Flaw(flaw["pointer"], flaw["detail"]) for flaw in problem.get("errors") or ()]
    return kind(str(problem.get("detail")), flaws)


def encode(args: Json) -> bytes:
    """Arguments as JSON; records as they are sent over HTTP (times in seconds)."""
    return orjson.dumps(args, default=_sent)


def _sent(value: object) -> Any:
    if not isinstance(value, Record):
        raise TypeError(type(value).__name__)
    fields = value.model_dump(exclude_none=True)
    for name in ("timestamp", "created_at"):
        if name in fields:
            fields[name] /= 1000
    return fields
