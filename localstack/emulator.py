"""The AWS emulator (`ministack`) as a process, in an environment of its own: .venv/emulator.

It pins a botocore of its own, so it cannot live beside ours. The environment is made on first use
from requirements/emulator.txt, and made anew when that file changes.

`strict` has it speak TLS and enforce IAM, as AWS does: a function may do what its role allows and
nothing else, and policies that demand TLS are met. Needs the openssl program, for a certificate.
"""

import contextlib
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.alone import alone

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements" / "emulator.txt"
HOME = ROOT / ".venv" / "emulator"
_MARK = HOME / "installed"
REGION = "eu-central-1"
START_S = 30.0
_PORTS = range(20_000, 32_000)
END_S = 2.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""Any will do: an emulator has no accounts to protect."""
_OURS = ("AWS_", "LAMBDA_", "MINISTACK_", "PYTHON", "QDRANT_", "WINDOWSHOP_")
"""Functions inherit the emulator's environment, so nothing meant for others may be in it."""
_PROGRAM = Path(__file__).with_name("start_emulator.py")


def environment() -> Path:
    """The folder of the emulator's programs, installed if need be. Raises RuntimeError."""
    if not _installed():
        with alone(HOME.with_name("emulator.lock")):
            if not _installed():
                _install()
    return HOME / "bin"


def _installed() -> bool:
    try:
        return _MARK.read_text("utf-8") == PINS.read_text("utf-8")
    except FileNotFoundError:
        return False


def _install() -> None:
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
    _MARK.write_text(PINS.read_text("utf-8"), "utf-8")


def free_port() -> int:
    """A port that nobody listens on just now. Not one of those that the system gives to whoever
    calls somebody: such a one may be gone before it is listened on.
    """
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as door, contextlib.suppress(OSError):
            door.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


@dataclass(slots=True)
class Emulator:
    """A running emulator: its address, its folder, its process."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"
    certificate: Path | None = None
    """What proves that it is this one; None where it does not speak TLS."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment in which boto3 talks to it."""
        trust = {"AWS_CA_BUNDLE": str(self.certificate)} if self.certificate else {}
        place = {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION}
        return {**place, **CREDENTIALS, **trust}

    def stop(self) -> None:
        """End it and what it started; its folder goes too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 15)
        try:
            self.process.wait(END_S)  # it has nothing to save
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def can_be_strict() -> bool:
    """Whether this machine has what a strict emulator needs."""
    return shutil.which("openssl") is not None


def start(
    port: int | None = None,
    folder: Path | None = None,
    *,
    strict: bool = False,
    more: Mapping[str, str] | None = None,
) -> Emulator:
    """An emulator that accepts requests; `more` is for its environment, and so for that of the
    functions that it runs. Raises RuntimeError (it says what it said).
    """
    port = port or free_port()
    folder = folder or Path(tempfile.mkdtemp(prefix="windowshop-aws-"))
    folder.mkdir(parents=True, exist_ok=True)
    inherited = {key: text for key, text in os.environ.items() if not key.startswith(_OURS)}
    variables = {
        **inherited,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(folder),
        **({"USE_SSL": "1", "AUTH": "true"} if strict else {}),
        **(more or {}),
    }
    said = folder / "emulator.log"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [str(environment() / "python"), str(_PROGRAM)],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    certificate = folder / "ministack-tls" / "server.crt" if strict else None
    scheme = "https" if strict else "http"
    emulator = Emulator(f"{scheme}://127.0.0.1:{port}", folder, process, certificate)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if _answers(emulator):
            return emulator
        time.sleep(0.05)
    words = said.read_text("utf-8", "replace")[-2000:]
    emulator.stop()
    raise RuntimeError(f"the emulator did not start on port {port}:\n{words}")


def _answers(emulator: Emulator) -> bool:
    try:
        proof = emulator.certificate
        trust = ssl.create_default_context(cafile=proof) if proof else None
        with urllib.request.urlopen(
            f"{emulator.url}/_ministack/health", timeout=1, context=trust
        ) as answer:
            return bool(answer.status == 200)
    except OSError:  # nobody listens yet, or its certificate is not made yet
        return False


@contextlib.contextmanager
def running(port: int | None = None) -> Iterator[Emulator]:
    """An emulator for as long as the block lasts."""
    emulator = start(port)
    try:
        yield emulator
    finally:
        emulator.stop()
