"""The functions' packages: their sizes, and CPU ms to import a handler from its package alone.

A fresh process knows nothing but the package (no site-packages). The measure to hold imports
against: the libraries that any such function needs (fastapi, mangum, numpy, boto3, qdrant_client),
imported from the same package in the same run.
"""

import statistics
import sys
import tempfile
import zipfile
from pathlib import Path

from infra.build import FUNCTIONS, Build, zip_path
from infra.packing.probe import timed
from infra.packing.targets import DEPLOYED_TO, HOST

LIBRARIES = ("fastapi", "mangum", "numpy", "boto3", "qdrant_client")
ROUNDS = 7


def run() -> dict[str, float]:
    return {**_sizes(), **_imports()}


def _sizes() -> dict[str, float]:
    build = Build()
    figures: dict[str, float] = {}
    for target in DEPLOYED_TO:
        for name, made in build.zips(target).items():
            key = f"function_{name}_{target.name}".replace("-", "_")
            figures[f"{key}_zip_mb"] = made["zipped"] / 1e6
            figures[f"{key}_unzipped_mb"] = made["unzipped"] / 1e6
    return figures


def _imports() -> dict[str, float]:
    """Medians of rounds that take turns, so that a busy machine is busy for all alike."""
    Build().zips(HOST)
    with tempfile.TemporaryDirectory() as folder:
        for one in FUNCTIONS:
            with zipfile.ZipFile(zip_path(one.name, HOST)) as archive:
                archive.extractall(Path(folder, one.name))
        spent: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            libraries = timed(sys.executable, Path(folder, "recommend"), *LIBRARIES)
            spent.setdefault("libraries", []).append(libraries)
            for one in FUNCTIONS:
                ms = timed(sys.executable, Path(folder, one.name), one.module)
                spent.setdefault(one.name, []).append(ms)
    middle = {name: statistics.median(times) for name, times in spent.items()}
    figures = {f"function_{name}_import_cpu_ms": ms for name, ms in middle.items()}
    for one in FUNCTIONS:
        figures[f"function_{one.name}_import_ratio"] = middle[one.name] / middle["libraries"]
    return figures
