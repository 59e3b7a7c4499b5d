"""The line to a server: set up without a call, and cut for a moment when nobody answers."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from windowshop.errors import Misconfigured, Unavailable
from windowshop.store.server.errors import is_away, is_gone, translated

Clock = Callable[[], float]

CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=4.0)
"""Idle ones are closed before the server would do it (5 s)."""
SHORT = ("/points", "/points/count", "/points/query/batch")
"""Calls that a slate waits for: points by id, counts, searches."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is. `ca` is the PEM text of the one authority that is trusted to vouch for it
    (None: those that everybody trusts).
    """

    url: str
    key: str | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to connect, for what a slate waits for, for everything else; and how long nobody is
    asked after nobody answered.
    """

    connect: float = 1.0
    short: float = 3.0
    long: float = 10.0
    rest: float = 2.0


class Line:
    """All calls to one server. Thread-safe."""

    def __init__(self, server: Place | QdrantClient, patience: Patience, clock: Clock) -> None:
        """`server`: where it is, or a client that is left open. Raises Misconfigured."""
        self._patience, self._clock = patience, clock
        self._lock = threading.Lock()
        self._cut_until = 0.0
        self.lost = False
        """A collection that was there is not any more: it is time to look again what there is."""
        self._place = server if isinstance(server, Place) else None
        self._client = self._connected(server) if isinstance(server, Place) else server

    def renew(self, url: str | None, key: str | None, ca: str | None) -> None:
        """New connections: there, or without `url` to the same place. Raises Misconfigured."""
        self._cut_until = 0.0
        if self._place is None:
            return
        place = self._place if url is None else Place(url, key, ca)
        before = self._client
        self._client, self._place = self._connected(place), place
        before.close()

    def close(self) -> None:
        if self._place is not None:
            self._client.close()

    @contextlib.contextmanager
    def calling(self) -> Iterator[QdrantClient]:
        """The client, its errors as ours. Raises Unavailable at once while the line is cut."""
        self._check()
        try:
            with translated():
                yield self._client
        except Unavailable as error:
            cause = error.__cause__
            if cause is not None and is_away(cause):
                self._cut_until = self._clock() + self._patience.rest
            elif cause is not None and is_gone(cause):
                self.lost = True
            raise
        if self._cut_until:
            self._cut_until = 0.0

    def _check(self) -> None:
        if not self._cut_until:
            return
        with self._lock:
            now = self._clock()
            if now < self._cut_until:
                raise Unavailable("Qdrant could not be reached a moment ago")
            # One caller asks; until it knows, the others need not wait beside it.
            self._cut_until = now + self._patience.rest

    def _connected(self, place: Place) -> QdrantClient:
        trusted: dict[str, Any] = {}
        try:
            if place.ca is not None:
                trusted["verify"] = ssl.create_default_context(cadata=place.ca)
            client = QdrantClient(
                url=place.url,
                api_key=place.key,
                timeout=round(self._patience.long),
                check_compatibility=False,
                limits=CONNECTIONS,
                **trusted,
            )
        except ssl.SSLError as error:
            raise Misconfigured(f"Qdrant's authority is no certificate in PEM: {error}") from error
        except (ValueError, httpx.InvalidURL) as error:  # urllib3's and httpx's included
            raise Misconfigured(f"QDRANT_URL is no address: {error}") from error
        client.http.client.add_middleware(self._send)
        return client

    def _send(
        self, request: httpx.Request, onward: Callable[[httpx.Request], httpx.Response]
    ) -> httpx.Response:
        """Send a request with the patience that it deserves."""
        patience = self._patience
        short = request.method == "GET" or (
            request.method == "POST" and request.url.path.endswith(SHORT)
        )
        seconds = patience.short if short else patience.long
        waits = {"read": seconds, "write": seconds, "pool": seconds, "connect": patience.connect}
        request.extensions["timeout"] = waits
        try:
            return onward(request)
        except ResponseHandlingException as error:
            if not isinstance(error.source, httpx.RemoteProtocolError | httpx.NetworkError):
                raise
            if isinstance(error.source, httpx.ConnectError):
                raise
        # A connection that had been idle was closed as we took it. Whatever we send may be sent
        # twice: a write on a condition finds it met no more, and is recognised by its mark.
        return onward(request)
