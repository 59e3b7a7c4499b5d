"""How long a package takes to import, where it can be imported at all."""

import os
import statistics
import subprocess
import tempfile
import zipfile
from pathlib import Path

from infra.packing.targets import Target

RUNS = 3
# -I and -S: nothing but the standard library and the package itself is on the path.
_TIMED = """
import importlib, sys, time
sys.path.insert(0, sys.argv[1])
begun = time.process_time()
for module in sys.argv[2:]:
    importlib.import_module(module)
print((time.process_time() - begun) * 1000)
"""
# Opening a deployment's ports touches none of them.
DEPLOYMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "probe",
    "POWERTOOLS_METRICS_NAMESPACE": "windowshop/probe",
    "POWERTOOLS_SERVICE_NAME": "probe",
    "QDRANT_URL": "http://127.0.0.1:9",
    **{f"WINDOWSHOP_{name}": "probe" for name in ("TABLE", "BUCKET", "BUS", "PARAMETERS")},
    **{
        f"WINDOWSHOP_{queue}_{kind}": "http://127.0.0.1:9/1/probe.fifo"
        for queue in ("CATALOGUE", "EMBED", "EMBED_BULK", "EVENTS")
        for kind in ("QUEUE", "LETTERS")
    },
}


def import_cpu_ms(package: Path, module: str, target: Target) -> float | None:
    """CPU ms to import `module` from the package in a fresh process (median); None where its Python
    or its machine is not here.
    """
    interpreter = target.interpreter()
    if interpreter is None or not target.runs_here():
        return None
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        return statistics.median(timed(interpreter, Path(folder), module) for _ in range(RUNS))


def timed(interpreter: str, folder: Path, *modules: str) -> float:
    """CPU ms of imports in a fresh process. Raises RuntimeError with what it said."""
    ran = subprocess.run(
        [interpreter, "-I", "-S", "-B", "-c", _TIMED, str(folder), *modules],
        env={"PATH": os.defpath, "HOME": str(folder), **DEPLOYMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{modules} cannot be imported from its package:\n{ran.stderr[-2000:]}")
    return float(ran.stdout.splitlines()[-1])
