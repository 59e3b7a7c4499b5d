"""The AWS emulator (`ministack`) as a process, in an environment of its own: .venv/emulator.

It pins a botocore of its own, so it cannot live beside ours. The environment is made on first use
from requirements/emulator.txt, and made anew when that file changes.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements" / "emulator.txt"
HOME = ROOT / ".venv" / "emulator"
REGION = "eu-central-1"
START_S = 30.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""Any will do: an emulator has no accounts to protect."""


def environment() -> Path:
    """The folder of the emulator's programs, installed if need be. Raises RuntimeError."""
    mark, pins = HOME / "installed", PINS.read_text("utf-8")
    if not (mark.is_file() and mark.read_text("utf-8") == pins):
        shutil.rmtree(HOME, ignore_errors=True)
        python = HOME / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", str(HOME)],
            [*map(str, install), "--no-deps", "--require-hashes", "-r", str(PINS)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip()[-2000:]
                raise RuntimeError(f"the emulator cannot be installed into {HOME}:\n{said}")
        mark.write_text(pins, "utf-8")
    return HOME / "bin"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@dataclass(slots=True)
class Emulator:
    """A running emulator: its address, its folder, its process."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment in which boto3 talks to it."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION, **CREDENTIALS}

    def stop(self) -> None:
        """End it and what it started; its folder goes too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 15)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(port: int | None = None, folder: Path | None = None) -> Emulator:
    """An emulator that accepts requests. Raises RuntimeError (it says what it said)."""
    port = port or free_port()
    folder = folder or Path(tempfile.mkdtemp(prefix="windowshop-aws-"))
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(folder),
    }
    variables.pop("AWS_ENDPOINT_URL", None)
    said = folder / "emulator.log"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [str(environment() / "ministack")],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    emulator = Emulator(f"http://127.0.0.1:{port}", folder, process)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if _answers(emulator.url):
            return emulator
        time.sleep(0.05)
    words = said.read_text("utf-8", "replace")[-2000:]
    emulator.stop()
    raise RuntimeError(f"the emulator did not start on port {port}:\n{words}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def running(port: int | None = None) -> Iterator[Emulator]:
    """An emulator for as long as the block lasts."""
    emulator = start(port)
    try:
        yield emulator
    finally:
        emulator.stop()
