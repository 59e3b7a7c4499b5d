"""requirements/aws.txt as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from infra.packing.targets import Target

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "aws.txt"
_ENTRY = re.compile(r"^(?=[a-z0-9])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """One package. `line` is what pip reads: version and hashes, without a marker."""

    name: str
    version: str
    line: str


def pins(target: Target, lock: Path = LOCK) -> Mapping[str, Pin]:
    """What is pinned for that target, by name."""
    environment = target.environment()
    found: dict[str, Pin] = {}
    for entry in _ENTRY.split(lock.read_text("utf-8"))[1:]:
        lines = [line.split("#")[0].strip().rstrip("\\").strip() for line in entry.splitlines()]
        asked = Requirement(lines[0])
        if asked.marker is not None and not asked.marker.evaluate(environment):
            continue
        hashes = [line for line in lines[1:] if line.startswith("--hash=")]
        version = next(iter(asked.specifier)).version
        found[asked.name] = Pin(asked.name, version, f"{asked.name}=={version} {' '.join(hashes)}")
    return found
