"""What the benches share: the demo's data as files, a loaded home, and a server to talk to."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WINDOWSHOP = (sys.executable, "-m", "windowshop.cli")
CACHE = Path(tempfile.gettempdir()) / "windowshop-bench"


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished command: its --json object, wall seconds, CPU seconds and peak memory."""

    answer: dict[str, float]
    seconds: float
    cpu: float
    peak_mb: float


def run(*arguments: str, env: dict[str, str] | None = None) -> Ran:
    """Run a windowshop command to its end. Raises RuntimeError with its words when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        (*WINDOWSHOP, *arguments, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    out, err = process.communicate()
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise RuntimeError(f"windowshop {' '.join(arguments)}: {err.decode()[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    return Ran(json.loads(out or b"{}"), seconds, cpu, used.ru_maxrss / 1024)


def demo_home() -> Path:
    """A home with the demo's catalogue and purchases, made once and kept between runs."""
    from windowshop import demo
    from windowshop.cli import screen

    home = CACHE / "home"
    demo.prepare(home, demo.data_folder(), screen.progress, screen.say)
    return home


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, int]]:
    """Serve a home on a free port; gives its address and pid, and ends it."""
    process = subprocess.Popen(
        (*WINDOWSHOP, "serve", "--home", str(home), "--port", "0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _address(home, process), process.pid
    finally:
        process.terminate()
        process.wait(30)


def _address(home: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(1200):
        try:
            found = json.loads((home / "serving.json").read_text())
            if found["pid"] == process.pid:
                return str(found["url"])
        except (OSError, ValueError):
            pass
        if process.poll() is not None:
            raise RuntimeError("windowshop serve ended early")
        time.sleep(0.05)
    raise RuntimeError("windowshop serve did not accept requests within a minute")


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
