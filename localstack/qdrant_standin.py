"""A stand-in for the Qdrant server, where neither Docker nor a server is at hand.

It answers the part of Qdrant's REST API that `windowshop.store.server` uses, over real HTTP, from
`qdrant_client`'s own local mode (`qdrant_memory.py`), in strict mode. It is no Qdrant: everything
is in memory and looked at point by point, so it is right for thousands of points and hopeless for
millions; nothing measured on it says anything about Qdrant. It keeps its data over a restart only
with `--folder`, and only if it is ended politely.

    python -m localstack.qdrant_standin --port 6333 [--api-key K] [--folder DIR]

`POST /standin/away?seconds=20` lets it be away: every other call is refused with 503, or with
`&how=silent` left without an answer, as by a server behind a broken network.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from pydantic_core import to_json
from qdrant_client import models as m
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if __name__ == "__main__" and not __package__:  # run by its path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localstack.emulator import free_port
from localstack.qdrant_memory import Memory, Refused

ROOT = Path(__file__).resolve().parents[1]
VERSION = "1.17.0"
"""The oldest server that our adapter accepts; no more is answered here."""
TITLE = "stand-in for qdrant: qdrant_client's local mode behind HTTP, not a Qdrant server"
NAME = "localstack.qdrant_standin"
START_S = 30.0
OPEN = ("/healthz", "/livez", "/readyz")

Answer = Callable[[Memory, Request, bytes], Any]


def _fetched(location: str) -> bytes:
    with urllib.request.urlopen(location, timeout=60) as answer:
        return bytes(answer.read())


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _read(model: Any, body: bytes) -> Any:
    return model.model_validate_json(body)


def _index(memory: Memory, request: Request, body: bytes) -> Any:
    asked = _read(m.CreateFieldIndex, body)
    return memory.index(_name(request), asked.field_name, asked.field_schema)


def _delete(memory: Memory, request: Request, body: bytes) -> Any:
    asked = _read(m.DeleteOperation, b'{"delete":' + body + b"}")
    return memory.delete(_name(request), asked.delete)


CALLS: dict[tuple[str, str], Answer] = {
    ("GET", "/collections"): lambda memory, _r, _b: {
        "collections": [{"name": name} for name in memory.names()]
    },
    ("GET", "/aliases"): lambda memory, _r, _b: memory.aliases(),
    ("POST", "/collections/aliases"): lambda memory, _r, body: memory.change_aliases(
        _read(m.ChangeAliasesOperation, body).actions
    ),
    ("PUT", "/collections/{name}"): lambda memory, r, body: memory.create(
        _name(r), _read(m.CreateCollection, body)
    ),
    ("GET", "/collections/{name}"): lambda memory, r, _b: memory.info(_name(r)),
    ("PATCH", "/collections/{name}"): lambda memory, r, body: memory.change(
        _name(r), _read(m.UpdateCollection, body)
    ),
    ("DELETE", "/collections/{name}"): lambda memory, r, _b: memory.drop(_name(r)),
    ("GET", "/collections/{name}/exists"): lambda memory, r, _b: {
        "exists": _name(r) in memory.names()
    },
    ("PUT", "/collections/{name}/index"): _index,
    ("POST", "/collections/{name}/points"): lambda memory, r, body: memory.retrieve(
        _name(r), _read(m.PointRequest, body)
    ),
    ("POST", "/collections/{name}/points/batch"): lambda memory, r, body: memory.update(
        _name(r), _read(m.UpdateOperations, body).operations
    ),
    ("POST", "/collections/{name}/points/delete"): _delete,
    ("POST", "/collections/{name}/points/scroll"): lambda memory, r, body: memory.scroll(
        _name(r), _read(m.ScrollRequest, body)
    ),
    ("POST", "/collections/{name}/points/count"): lambda memory, r, body: memory.count(
        _name(r), _read(m.CountRequest, body)
    ),
    ("POST", "/collections/{name}/points/query/batch"): lambda memory, r, body: memory.query(
        _name(r), _read(m.QueryRequestBatch, body).searches
    ),
    ("POST", "/collections/{name}/facet"): lambda memory, r, body: memory.facet(
        _name(r), _read(m.FacetRequest, body)
    ),
    ("POST", "/collections/{name}/snapshots"): lambda memory, r, _b: memory.snapshot(_name(r)),
    ("GET", "/collections/{name}/snapshots"): lambda memory, r, _b: memory.snapshots(_name(r)),
    ("DELETE", "/collections/{name}/snapshots/{snapshot}"): lambda memory, r, _b: (
        memory.drop_snapshot(_name(r), r.path_params["snapshot"])
    ),
    ("PUT", "/collections/{name}/snapshots/recover"): lambda memory, r, body: memory.recover(
        _name(r), _fetched(_read(m.SnapshotRecover, body).location)
    ),
}


class Server:
    """The HTTP side. All answers are made on one thread: local mode bears no more."""

    def __init__(self, memory: Memory, key: str | None) -> None:
        self._memory, self._key = memory, key
        self._away_until, self._silent = 0.0, False

    def application(self) -> Starlette:
        routes = [
            Route(path, self._call(answer), methods=[method])
            for (method, path), answer in CALLS.items()
        ]
        return Starlette(
            routes=[
                Route("/", self._root),
                *(Route(path, self._health) for path in OPEN),
                Route("/standin/away", self._away, methods=["POST"]),
                Route("/collections/{name}/snapshots/{snapshot}", self._snapshot, methods=["GET"]),
                *routes,
            ]
        )

    async def _root(self, request: Request) -> Response:
        return await self._refusal(request) or Response(
            to_json({"title": TITLE, "version": VERSION, "commit": None}),
            media_type="application/json",
        )

    async def _health(self, request: Request) -> Response:
        return await self._refusal(request) or Response("healthz check passed")

    async def _away(self, request: Request) -> Response:
        seconds = float(request.query_params.get("seconds", "20"))
        self._away_until = time.monotonic() + seconds
        self._silent = request.query_params.get("how") == "silent"
        return _answered({"seconds": seconds})

    async def _snapshot(self, request: Request) -> Response:
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            data = self._memory.snapshot_file(_name(request), request.path_params["snapshot"])
        except Refused as error:
            return _refused(error.status, error.text)
        return Response(data, media_type="application/octet-stream")

    def _call(self, answer: Answer) -> Callable[[Request], Any]:
        async def call(request: Request) -> Response:
            refusal = await self._refusal(request)
            if refusal is not None:
                return refusal
            body = await request.body()
            try:
                return _answered(await _whole(answer(self._memory, request, body)))
            except Refused as error:
                return _refused(error.status, error.text)
            except ValidationError as error:
                return _refused(400, f"Format error in JSON body: {error}")
            except KeyError as error:
                return _refused(404, f"Not found: No point with id {error} found")
            except (ValueError, TypeError, OSError) as error:
                return _refused(400, f"Wrong input: {error}")

        return call

    async def _refusal(self, request: Request) -> Response | None:
        left = self._away_until - time.monotonic()
        if left > 0:
            if self._silent:
                await asyncio.sleep(left)
            return _refused(503, "Service unavailable: the stand-in was told to be away")
        given = request.headers.get("api-key")
        if self._key is not None and given != self._key and request.url.path not in OPEN:
            return _refused(401, "Must provide an API key or an Authorization bearer token")
        return None


async def _whole(result: Any) -> Any:
    """What an answer that comes in steps amounts to; others are answered between them."""
    if not isinstance(result, Generator):
        return result
    while True:
        try:
            next(result)
        except StopIteration as end:
            return end.value
        await asyncio.sleep(0)


def _answered(result: Any) -> Response:
    body = to_json({"result": result, "status": "ok", "time": 0.0})
    return Response(body, media_type="application/json")


def _refused(status: int, text: str) -> Response:
    body = to_json({"status": {"error": text}, "time": 0.0})
    return Response(body, status, media_type="application/json")


# --- as a process of its own ----------------------------------------------------------------------


@dataclass(slots=True)
class Standin:
    """A running stand-in: its address, the folder of its data, its process."""

    url: str
    port: int
    folder: Path
    key: str | None
    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """End it; its data is in its folder."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        _ended(self.process)

    def start_again(self) -> None:
        """At the same address and with its data, after `stop`."""
        self.process = start(self.port, self.folder, self.key).process

    def away(self, seconds: float, how: str = "refuse") -> None:
        """Let it answer nothing but 503 for so long, or (`how="silent"`) nothing at all."""
        asked = urllib.request.Request(
            f"{self.url}/standin/away?seconds={seconds}&how={how}", method="POST"
        )
        with urllib.request.urlopen(asked, timeout=5):
            pass

    def freeze(self) -> None:
        """Let connections be taken and nothing be answered, until `thaw`."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def start(port: int | None = None, folder: Path | None = None, key: str | None = None) -> Standin:
    """A stand-in that accepts requests. Raises RuntimeError (it says what it said)."""
    port = port or free_port()
    folder = folder or Path(tempfile.mkdtemp(prefix="windowshop-qdrant-"))
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "standin.log"
    options = ["--port", str(port), "--folder", str(folder), "--with-parent"]
    options += ["--api-key", key] if key else []
    with said.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "localstack" / "orphans.py"), NAME, *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "default"},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    standin = Standin(f"http://127.0.0.1:{port}", port, folder, key, process)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{standin.url}/readyz", timeout=1),
        ):
            return standin
        time.sleep(0.05)
    words = said.read_text("utf-8", "replace")[-2000:]
    process.kill()
    _ended(process)
    raise RuntimeError(f"the stand-in for Qdrant did not start on port {port}:\n{words}")


def _ended(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _end_with_parent() -> None:
    """End politely when whoever holds the other end of our standard input is gone."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def running(port: int | None = None, key: str | None = None) -> Iterator[Standin]:
    """A stand-in for as long as the block lasts; nothing of it stays."""
    with tempfile.TemporaryDirectory(prefix="windowshop-qdrant-") as folder:
        standin = start(port, Path(folder), key)
        try:
            yield standin
        finally:
            standin.stop()


def main() -> None:
    options = argparse.ArgumentParser(description=TITLE)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=6333)
    options.add_argument("--api-key", help="demand this key of every caller")
    options.add_argument("--folder", type=Path, help="keep the data here over a restart")
    options.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    chosen = options.parse_args()
    if chosen.with_parent:
        _end_with_parent()
    with contextlib.ExitStack() as left:
        folder = chosen.folder or left.enter_context(
            tempfile.TemporaryDirectory(prefix="windowshop-snapshots-")
        )
        memory = Memory(Path(folder) / "snapshots")
        if chosen.folder is not None:
            memory.load(chosen.folder)
        # The server passes on the signal that ended it; there is something left to do.
        signal.signal(signal.SIGTERM, lambda *_: None)
        print(f"{TITLE}: http://{chosen.host}:{chosen.port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.run(
                Server(memory, chosen.api_key).application(),
                host=chosen.host,
                port=chosen.port,
                log_level="warning",
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        if chosen.folder is not None:
            memory.save(chosen.folder)


if __name__ == "__main__":
    main()
