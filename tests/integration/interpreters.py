"""Fresh interpreters, to see what a process imports and how processes get along."""

import os
import subprocess
import sys

OPEN = """
import sys
from pathlib import Path
from windowshop.encode import open_encoder
encoder = open_encoder(sys.argv[1], Path(sys.argv[2]))
print(encoder.name, float(encoder.encode(["organic milk"])[0, 0]), "onnx" in sys.modules)
"""

WITHOUT = """
import sys
from pathlib import Path
for name in sys.argv[3].split(","):
    sys.modules[name] = None  # as if it were not installed
from windowshop.encode import open_encoder
from windowshop.errors import Misconfigured
try:
    print(open_encoder(sys.argv[1], Path(sys.argv[2])).name)
except Misconfigured as error:
    print(error)
"""


def python(code, *arguments, **environment):
    """Runs `code` in a fresh interpreter that never asks the hub over the network."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.split()
