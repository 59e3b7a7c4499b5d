"""Models that were prepared elsewhere: a folder `models/<name>/` beside the library or the home's.

A function's package has one there, built: it opens on a read-only disk, without `onnx`, without the
weights. A function that embeds nothing has its description alone: enough to name the vectors.
"""

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from windowshop.encode.finding import find
from windowshop.encode.models import BUILT, FORMAT, ModelSpec, Reading, read, read_json
from windowshop.errors import Misconfigured

if TYPE_CHECKING:
    from windowshop.encode.onnx import OnnxEncoder

GRAPH = "model.onnx"


class Prepared:
    """A built folder that is opened when the first text comes: whoever only names the vectors, or
    seldom has a text, waits for no runtime.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        built = read_json(folder / BUILT)
        try:
            if built["format"] != FORMAT:
                raise ValueError(f"format {built['format']}")
            self.name, self.dim = str(built["name"]), int(built["dim"])
            self.languages = str(built["languages"])
        except (KeyError, TypeError, ValueError) as error:
            raise Misconfigured(
                f"model: {folder / BUILT} is not as this version writes it ({error}): prepare it"
                " again"
            ) from None
        self._folder, self._threads = folder, threads
        self._lock = threading.Lock()
        self._open: OnnxEncoder | None = None

    def encode(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """As the port says. Raises Misconfigured too, where there is a description and no more."""
        with self._lock:
            opened = self._open or self._opened()
        return opened.encode(texts, query=query, progress=progress)

    def _opened(self) -> "OnnxEncoder":
        if not (self._folder / GRAPH).exists():
            raise Misconfigured(f"this program was packed without the encoder {self.name}")
        from windowshop.encode.onnx import OnnxEncoder

        self._open = OnnxEncoder(self._folder, self._threads)
        return self._open


def check_reading(spec: ModelSpec, folder: Path) -> None:
    """What `spec` asks for is what the model was built with. Raises Misconfigured."""
    fixed = read_json(folder / BUILT).get("reading")
    asked = {k: v for k, v in asdict(spec).items() if k in Reading.__slots__ and v is not None}
    if asked and (not isinstance(fixed, dict) or asked != {k: fixed.get(k) for k in asked}):
        raise Misconfigured(
            f"model: {folder} is built: pooling, prefixes and lengths are fixed in it."
            " Change them where it is built"
        )


def prepare(spec: ModelSpec, cache: Path, target: Path) -> Path:
    """`target/<name>/`: the model, built for ONNX Runtime. `cache` is where built models are kept.

    Raises Misconfigured: there is no such model, or it is no BERT.
    """
    from windowshop.encode.onnx import build  # imports ONNX Runtime

    folder, label = find(spec.name, cache)
    if not (folder / BUILT).is_file():
        model = read(folder, label, spec, cache)
        if not model.is_bert:
            raise Misconfigured(
                f"model: {label} is of type {model.kind}; functions run ONNX Runtime, and that"
                " runs BERT only"
            )
        folder = build(model, cache)
    made = target / label
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(folder, made)
    return made
