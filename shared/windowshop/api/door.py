"""The outermost layer: every call gets a request id, and every failure an answer.

A shop without keys is open to this machine only: a page on another site must not be able to reach
it through a visitor's browser (DNS rebinding, cross-site requests), so foreign `Host` and `Origin`
headers are refused. With keys, the configured origins' pages may read answers (CORS), others not.
"""

import ipaddress
import re
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windowshop.api.access import Access, Headers
from windowshop.api.problems import answer
from windowshop.errors import Forbidden, Misconfigured
from windowshop.logs import log
from windowshop.records import new_id

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
ALLOWED_METHODS = "GET, POST, PUT, PATCH"
ALLOWED_HEADERS = "authorization, content-type, windowshop-store, x-request-id"
PREFLIGHT_S = "7200"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Door:
    """Wraps an application. A caller's `X-Request-Id` is kept where it is a plain word."""

    def __init__(self, app: ASGIApp, access: Access, origins: frozenset[str]) -> None:
        self._app = app
        self._access = access
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = (
            given.decode() if _REQUEST_ID.fullmatch(given) else new_id(self._access.clock())
        )
        scope["windowshop.headers"] = headers
        scope["windowshop.request_id"] = request_id
        added = self._added(scope["path"], headers, request_id)
        started: list[int] = []
        begin = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message["status"])
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            access = self._access
            # /livez must not fail where the log, which holds the keys, cannot be read.
            if access.was_open if scope["path"] == "/livez" else access.is_open:
                self._admit_locals(scope.get("client"), headers)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                await self._preflight(headers)(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except Exception as error:
            if started:
                raise
            if not isinstance(error, Forbidden):
                log("api").error("request_failed", error=error, request_id=request_id)
            await answer(error, request_id)(scope, receive, send_with_headers)
        _note(scope, started, request_id, begin)

    def _admit_locals(self, client: Sequence[Any] | None, headers: Headers) -> None:
        """Raises Forbidden where an open shop is reached from elsewhere."""
        if client is not None and not is_loopback(str(client[0])):
            raise Forbidden(
                "without keys only this machine may call: make a key with `windowshop keys create`"
            )
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _name_of(host) not in LOCAL_NAMES:
            raise Forbidden(
                "without keys the host must be localhost or 127.0.0.1: make a key with "
                "`windowshop keys create` to serve other names"
            )
        origin = headers.get(b"origin")
        if origin is not None:
            name = origin.decode("latin-1").lower()
            if name not in self._origins and name not in (f"http://{host}", f"https://{host}"):
                raise Forbidden(
                    "pages of another origin may not call: name it in `origins` in windowshop.toml"
                )

    def _added(self, path: str, headers: Headers, request_id: str) -> list[tuple[bytes, bytes]]:
        added = [
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store" if path.startswith("/v1/") else b"no-cache"),
        ]
        origin = headers.get(b"origin")
        if origin is not None and self._origins:
            added.append((b"vary", b"Origin"))
            if origin.decode("latin-1").lower() in self._origins:
                added.append((b"access-control-allow-origin", origin))
                added.append((b"access-control-expose-headers", b"X-Request-Id, Retry-After"))
        return added

    def _preflight(self, headers: Headers) -> Response:
        """The answer to a browser that asks first. Raises Forbidden for other origins."""
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin not in self._origins:
            raise Forbidden("pages of this origin may not call: name it in `origins`")
        allowed = {
            "Access-Control-Allow-Methods": ALLOWED_METHODS,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": PREFLIGHT_S,
        }
        return Response(status_code=204, headers=allowed)


def _note(scope: Scope, started: list[int], request_id: str, begin: float) -> None:
    """One line a call: quiet for what went well, louder for what did not."""
    status = started[0] if started else 0
    if status < 400:
        return
    route: Any = scope.get("route")
    log("api").info(
        "request_refused",
        request_id=request_id,
        method=scope["method"],
        route=getattr(route, "path", None),
        status=status,
        ms=round((time.perf_counter() - begin) * 1000, 2),
    )


def origin_of(text: str) -> str:
    """A configured origin as browsers send it. Raises Misconfigured."""
    parts = urlsplit(text.strip().lower())
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise Misconfigured(f"origins: {text!r} is no origin, such as https://shop.example")
    return f"{parts.scheme}://{parts.netloc}"


def origins_of(texts: Iterable[str]) -> frozenset[str]:
    """All configured origins. Raises Misconfigured."""
    return frozenset(map(origin_of, texts))


def _name_of(host: str) -> str:
    """A Host header without its port; IPv6 addresses keep their brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and port.isascii() else host


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Whether a client's address is this machine's own."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
