"""A load generator of our own, over keep-alive connections to 127.0.0.1: an open loop (a steady
rate, latency counted from the scheduled start) and a closed one.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class Connection:
    """One HTTP/1.1 keep-alive connection that sends prepared bytes and reads answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a JSON body; gives status and answer."""
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = 0
        for line in head.split(b"\r\n"):
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        return status, await self._reader.readexactly(length) if length else b""

    def close(self) -> None:
        self._writer.close()


@dataclass(slots=True)
class Measured:
    """Latencies in ms (sorted by `percentile`), answers that were not as expected, wall seconds."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


async def steady(
    url: str,
    path: str,
    body: Callable[[int], bytes],
    rate: float,
    count: int,
    connections: int = 32,
) -> Measured:
    """`count` calls at `rate` a second; one that waits for a connection has started already."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await Connection(url).open())
    measured = Measured()
    start = time.perf_counter() + 0.1

    async def call(number: int) -> None:
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await free.get()
        status, _ = await connection.post(path, body(number))
        free.put_nowait(connection)
        measured.latencies.append((time.perf_counter() - due) * 1000)
        measured.errors += status >= 300

    await asyncio.gather(*(call(number) for number in range(count)))
    measured.seconds = time.perf_counter() - start
    while not free.empty():
        free.get_nowait().close()
    return measured


async def flat_out(
    url: str, path: str, body: Callable[[int], bytes], seconds: float, connections: int = 16
) -> Measured:
    """As many calls as `connections` get answered, each after the answer to the one before."""
    measured = Measured()
    end = time.perf_counter() + seconds
    number = 0

    async def work() -> None:
        nonlocal number
        connection = await Connection(url).open()
        while time.perf_counter() < end:
            number += 1
            begun = time.perf_counter()
            status, _ = await connection.post(path, body(number))
            measured.latencies.append((time.perf_counter() - begun) * 1000)
            measured.errors += status >= 300
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    measured.seconds = time.perf_counter() - begun
    return measured
