"""`make emulate`: one command up, one down, nothing left behind."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from localstack.emulator import free_port
from tests.e2e.shopping import until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240.0


def emulate(*arguments):
    return [sys.executable, "-m", "localstack.emulate", *map(str, arguments)]


def variables(path):
    words = shlex.split(path.read_text("utf-8"))
    return dict(word.split("=", 1) for word in words if word != "export")


def test_it_goes_up_answers_refuses_a_second_and_goes_down(tmp_path):
    folder, port = tmp_path / "emulated", free_port()
    options = "--folder", folder, "--port", port, "--qdrant-port", free_port()
    said = tmp_path / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            emulate(*options),
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(
            lambda: "Ctrl-C ends it" in said.read_text() or process.poll() is not None,
            "it is up",
            PATIENCE_S,
        )
        assert process.poll() is None, said.read_text()
        known = variables(folder / "env")
        assert known["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
        key = {"Authorization": f"Bearer {known['PUBLIC_KEY']}"}
        answer = httpx.post(f"{known['API']}/v1/recommendations", json={}, headers=key, timeout=60)
        assert answer.status_code == 200, answer.text
        second = subprocess.run(
            emulate(*options), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert f"it runs already, as process {process.pid}" in second.stderr
        elsewhere = subprocess.run(
            emulate("--folder", tmp_path / "other", "--port", port),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert elsewhere.returncode == 1
        assert f"port {port} is taken" in elsewhere.stderr
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert not folder.exists()
    down = subprocess.run(
        emulate("down", "--folder", folder), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (down.returncode, down.stdout) == (0, "nothing runs\n")
