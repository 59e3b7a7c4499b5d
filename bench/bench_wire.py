"""CPU ms of our side of a call to a Qdrant server, by REST and by gRPC.

The other side is a process with answers made beforehand, so nothing of a server is measured: only
what `windowshop.store.server` and its client spend to ask and to read. Medians of rounds that take
turns, so that a busy machine is busy for both alike.
"""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc as grpc_lib
import numpy as np
import uvicorn
from pydantic_core import to_json
from qdrant_client import QdrantClient, grpc
from qdrant_client import models as m
from qdrant_client.conversions.conversion import RestToGrpc
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localstack.emulator import free_port
from windowshop.filters import AnyOf
from windowshop.store import Search
from windowshop.store.server.collection import Collection
from windowshop.store.server.items import Items
from windowshop.store.server.line import Line, Patience, Place
from windowshop.store.server.users import Users

STORE, HITS, DIM = "bench", 100, 384
ROUNDS, CALLS = 15, 40
USER = "925a0843-dc1b-5b7e-8650-04be175d94e9"
FOUND = [m.ScoredPoint(id=n + 2**40, version=1, score=1 - n / 1000) for n in range(HITS)]
ITEMS = [
    m.Record(
        id=n + 2**40,
        payload={
            "item_id": f"sku-{n}",
            "title": "Organic whole milk, one gallon",
            "description": "From pastures. " * 30,
            "brand": "Acme",
            "price": 3.5 + n,
            "currency": "USD",
            "available": True,
            "category": ["Food", "Dairy", "Milk"],
            "url": f"https://shop.example/items/sku-{n}",
            "image_url": f"https://shop.example/images/sku-{n}.jpg",
            "store": STORE,
            "embedded_at": 1_790_000_000_000,
        },
    )
    for n in range(HITS)
]
PROFILE = m.Record(
    id=USER, payload={"store": STORE, "version": 7, "profile": "x" * 2_640, "tail": "y" * 868}
)


def run() -> dict[str, float]:
    with _served() as (http, rpc):
        rest = Line(Place(f"http://127.0.0.1:{http}"), Patience(), time.monotonic)
        client = QdrantClient(
            host="127.0.0.1", grpc_port=rpc, prefer_grpc=True, check_compatibility=False
        )
        by_grpc = Line(client, Patience(), time.monotonic)
        spent: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for wire, line in (("rest", rest), ("grpc", by_grpc)):
                for what, call in _calls(line).items():
                    spent.setdefault(f"wire_{what}_{wire}_cpu_ms", []).append(_cpu_ms(call))
        rest.close()
        client.close()
    return {name: statistics.median(times) for name, times in spent.items()}


def _calls(line: Line) -> dict[str, Callable[[], Any]]:
    """What a slate asks: four searches at once, a profile, the payloads of what is shown."""
    items, users = Items(Collection(line, "items")), Users(Collection(line, "users"))
    vector = np.full(DIM, DIM**-0.5, np.float32)
    searches = [Search(vector, HITS, AnyOf("available", (True,)))] * 4
    keys = [int(record.id) for record in ITEMS]
    items.search(STORE, searches)  # it counts once, and remembers
    return {
        "search": lambda: items.search(STORE, searches),
        "user": lambda: users.read(STORE, [USER], vectors=False),
        "items": lambda: items.read(STORE, keys),
    }


def _cpu_ms(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - begin) / CALLS * 1000


# --- the other side ------------------------------------------------------------------------------


@contextlib.contextmanager
def _served() -> Iterator[tuple[int, int]]:
    """The ports of a process that answers: (HTTP, gRPC)."""
    ports = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bench_wire", *map(str, ports)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        yield ports
    finally:
        process.terminate()
        process.wait()


class _Points(PointsServicer):
    def QueryBatch(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        one = grpc.BatchResult(result=[RestToGrpc.convert_scored_point(point) for point in FOUND])
        return grpc.QueryBatchResponse(result=[one] * len(request.query_points))

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        records = [PROFILE] if len(request.ids) == 1 else ITEMS
        return grpc.GetResponse(result=[RestToGrpc.convert_record(one) for one in records])

    def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
        return grpc.CountResponse(result=grpc.CountResult(count=100_000))


def _serve(http: int, rpc: int) -> None:
    def answer(result: Any) -> Any:
        body = to_json({"result": result, "status": "ok", "time": 0.0})

        async def answered(_request: Request) -> Response:
            return Response(body, media_type="application/json")

        return answered

    async def points(request: Request) -> Response:
        short = len(await request.body()) < 400
        return await (profile if short else items)(request)

    profile, items = answer([PROFILE]), answer(ITEMS)
    at = "/collections/{name}/points"
    found = [{"points": FOUND}] * 4
    routes = [
        Route(at, points, methods=["POST"]),
        Route(f"{at}/count", answer({"count": 100_000}), methods=["POST"]),
        Route(f"{at}/query/batch", answer(found), methods=["POST"]),
    ]
    server = grpc_lib.server(futures.ThreadPoolExecutor(2))
    add_PointsServicer_to_server(_Points(), server)
    server.add_insecure_port(f"127.0.0.1:{rpc}")
    server.start()
    print("ready", flush=True)
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=http, log_level="error")


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
