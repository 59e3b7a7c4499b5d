"""The build context of the bulk lane's container: functions/ingest/Dockerfile and all it copies."""

import shutil
from pathlib import Path

from infra.packing.pins import ROOT
from windowshop.encode.finding import find

DOCKERFILE = ROOT / "functions" / "ingest" / "Dockerfile"
PINNED = ("aws.txt", "torch.txt")
_UNUSED = shutil.ignore_patterns("__pycache__", "*.onnx", "*.bin", "*.h5", "openvino", "README.md")


def assemble(target: Path, model: str) -> None:
    """Fill the folder `target` anew; `model` is a name or a folder. Raises Misconfigured."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "requirements").mkdir(parents=True)
    shutil.copyfile(DOCKERFILE, target / "Dockerfile")
    for name in PINNED:
        shutil.copyfile(ROOT / "requirements" / name, target / "requirements" / name)
    for name in ("shared/windowshop", "functions"):
        folder = ROOT / name
        shutil.copytree(folder, target / folder.name, ignore=_UNUSED)
    weights, label = find(model, target / "models")
    shutil.copytree(weights, target / "models" / label, ignore=_UNUSED, dirs_exist_ok=True)
    shutil.rmtree(target / "models" / ".sha256", ignore_errors=True)
