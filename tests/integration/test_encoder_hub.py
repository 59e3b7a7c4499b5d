"""A model that is nowhere here is fetched from the hub: a small one of our own, on 127.0.0.1."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.contract import tiny_models
from tests.integration.interpreters import OPEN, WITHOUT, answer, python

NAME = "intfloat/multilingual-e5-small"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as a download of a snapshot asks for."""

    folder: Path
    asked: list[str]

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        path = self.path.partition("?")[0]
        self.asked.append(path)
        files = sorted(f for f in self.folder.rglob("*") if f.is_file())
        names = [str(f.relative_to(self.folder)) for f in files]
        resolve = f"/{NAME}/resolve/{COMMIT}/"
        if path in (f"/api/models/{NAME}/revision/main", f"/api/models/{NAME}"):
            siblings = [{"rfilename": name} for name in names]
            content = json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode()
            kind = "application/json"
        elif path.startswith(f"/api/models/{NAME}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": name}
                for name, file in zip(names, files, strict=True)
            ]
            content, kind = json.dumps(tree).encode(), "application/json"
        elif path.startswith(resolve) and path.removeprefix(resolve) in names:
            content = (self.folder / path.removeprefix(resolve)).read_bytes()
            kind = "application/octet-stream"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def hub(folder):
    """Serves `folder` as the model; gives the environment to reach it, and the paths asked for."""
    handler = type("OneModel", (Hub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield (
            {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0"},
            handler.asked,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    tiny_models.save_bert(folder)
    tiny_models.save_modules(folder, pooling="cls")
    for heavy in ("pytorch_model.bin", "onnx/model.onnx", "openvino/openvino_model.bin"):
        (folder / heavy).parent.mkdir(exist_ok=True)
        (folder / heavy).write_bytes(b"not wanted")
    return folder


def test_a_model_is_fetched_once_and_only_what_is_needed(published, tmp_path):
    cache = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    with hub(published) as (reach, asked):
        first = answer(python(OPEN, NAME, tmp_path / "models", **reach, **cache))
        assert first[0].startswith("multilingual-e5-small@")
        assert any(path.endswith("model.safetensors") for path in asked)
        assert [path for path in asked if path.endswith((".bin", ".onnx"))] == []
        asked.clear()
        again = answer(python(OPEN, NAME, tmp_path / "models", **reach, **cache))
        assert again[:2] == first[:2]
        assert asked == [], "what is in the cache is not asked for"
    snapshot = tmp_path / "hub" / "models--intfloat--multilingual-e5-small" / "snapshots" / COMMIT
    assert (snapshot / "1_Pooling" / "config.json").is_file(), "pooling is part of a model"


def test_a_hub_without_the_model_says_so(published, tmp_path):
    cache = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    with hub(published) as (reach, _):
        said = answer(
            python(WITHOUT, "nobody/nothing", tmp_path / "models", "torch", **reach, **cache)
        )
    assert "Set model to a folder" in " ".join(said)
