"""CPU ms to import what a request and what an event need, in a fresh process (median of nine)."""

import statistics
import subprocess
import sys

_PROBE = """
import time
start = time.process_time()
import {module}
print((time.process_time() - start) * 1000)
"""


def _cost(module: str) -> float:
    times = [
        float(subprocess.check_output((sys.executable, "-c", _PROBE.format(module=module))))
        for _ in range(9)
    ]
    return statistics.median(times)


def run() -> dict[str, float]:
    return {
        "import_recommend_cpu_ms": _cost("windowshop.api"),
        "import_events_cpu_ms": _cost("windowshop.consume"),
        "import_fastapi_numpy_cpu_ms": _cost("fastapi, numpy, onnxruntime"),
    }
