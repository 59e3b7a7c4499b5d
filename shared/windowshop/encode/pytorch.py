"""Any Hugging Face encoder or decoder on torch: sentence encoders, BERT, GPT-2, T5 and later ones.

bf16 where the processor or the GPU computes in it, float32 elsewhere; pooling and normalisation are
always float32. On the same BERT its vectors equal those of `onnx.OnnxEncoder` (cosine >= 0.999).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from windowshop.encode.batching import Tokens, Vectors, cores, encode_texts, pad
from windowshop.encode.models import Model, Pooling, read_json
from windowshop.encode.precision import computes_bf16
from windowshop.errors import Misconfigured, Unavailable

CPU_TOKENS = 1024  # activations of more fall out of a core's cache
GPU_TOKENS = (4096, 131_072)  # smaller batches leave a GPU idle, larger ones gain nothing
GPU_SHARE = 0.5  # of the memory that is free when the model opens
COPIES = 16  # of a token's widest activation that are alive at once, generously

Layer = Callable[[Tensor], Tensor]


class TorchEncoder:
    """Safe to use from many threads at once: the model is only ever read.

    On a processor `threads` batches run side by side, each on one core, which takes less of its
    time than several cores on one batch; torch is told so for the whole process.
    """

    def __init__(self, model: Model, threads: int | None = None, device: str | None = None) -> None:
        self.name, self.languages = model.name, model.languages
        self._reading = model.reading
        try:
            self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            self._tokenizer, self._filler = _tokenizer(model), model.filler
            kind = torch.bfloat16 if computes_bf16(self._device) else torch.float32
            self._net = _load(model).to(device=self._device, dtype=kind).eval()
            self._dense = [_dense(place, self._device) for place in model.dense]
            self.dim = self._forward(*pad([[self._filler]], self._filler)).shape[1]
        except Misconfigured:
            raise
        except Exception as error:  # transformers and torch raise all kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise Misconfigured(f"model: torch cannot open {model.folder}: {reason}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._reading.max_tokens)
        self._budget, self._workers = CPU_TOKENS, threads or cores()
        if self._device.type == "cuda":
            self._budget, self._workers = _gpu_tokens(self._net.config, self._device), 1
        else:
            torch.set_num_threads(1)

    def encode(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Vectors [len(texts), dim], L2-normalised. Raises Unavailable when torch fails."""
        prefix = self._reading.prefix(query)

        def tokenize(chunk: list[str]) -> list[Tokens]:
            encoded = self._tokenizer.encode_batch_fast([prefix + text for text in chunk])
            return [one.ids for one in encoded]

        return encode_texts(
            texts, self.dim, tokenize, self._run, self._budget, self._workers, progress
        )

    def _run(self, rows: list[Tokens]) -> Vectors:
        try:
            return self._forward(*pad(rows, self._filler))
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise Unavailable(f"the GPU has no room for one text: {error}") from error
            half = len(rows) // 2
            return np.concatenate([self._run(rows[:half]), self._run(rows[half:])])
        except RuntimeError as error:
            raise Unavailable(f"the encoder failed: {error}") from error

    def _forward(self, ids: NDArray[np.int64], mask: NDArray[np.float32]) -> Vectors:
        with torch.inference_mode():
            marks = torch.from_numpy(mask).to(self._device)
            # Attention is faster where nothing is masked.
            seen = None if mask.all() else marks.long()
            tokens = torch.from_numpy(ids).to(self._device)
            states = self._net(input_ids=tokens, attention_mask=seen).last_hidden_state
            vectors = _pool(states.float(), marks, self._reading.pooling)
            for layer in self._dense:
                vectors = layer(vectors)
            normal = torch.nn.functional.normalize(vectors, dim=1)
            return np.asarray(normal.cpu().numpy(), dtype=np.float32)


def _pool(states: Tensor, marks: Tensor, pooling: Pooling) -> Tensor:
    """[rows, tokens, width] -> [rows, width]; padding is on the right."""
    if pooling == "cls":
        return states[:, 0]
    lengths = marks.sum(dim=1)
    if pooling == "last":
        return states[torch.arange(len(states)), lengths.long() - 1]
    return torch.bmm(marks.unsqueeze(1), states).squeeze(1) / lengths.unsqueeze(1)


def _tokenizer(model: Model) -> Tokenizer:
    path = model.folder / "tokenizer.json"
    if path.is_file():
        return Tokenizer.from_file(str(path))
    other = transformers.AutoTokenizer.from_pretrained(str(model.folder), local_files_only=True)
    backend: Tokenizer = other.backend_tokenizer
    return backend


def _load(model: Model) -> Any:
    """The network without its heads. Raises Misconfigured where weights are missing."""
    folder = str(model.folder)
    with _quiet():
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        encoder = type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
        kind = transformers.AutoModelForTextEncoding if encoder else transformers.AutoModel
        net, report = kind.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    # transformers fills what is missing with noise; only the pooler may be, it is not used here.
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise Misconfigured(
            f"model: the weights in {folder} lack {missing[0]} and {len(missing) - 1} more"
        )
    if not encoder and config.is_encoder_decoder:
        net = net.get_encoder()
    net.config.use_cache = False
    return net


def _dense(place: Path, device: torch.device) -> Layer:
    """A linear layer of sentence-transformers, after pooling."""
    tensors = load_file(place / "model.safetensors")
    weights = {name: tensor.float().to(device) for name, tensor in tensors.items()}
    act = str(read_json(place / "config.json").get("activation_function", "")).rsplit(".", 1)[-1]
    if act not in ("Tanh", "Identity"):
        raise Misconfigured(f"model: {place} uses {act}, of which there is Tanh and Identity")

    def layer(x: Tensor) -> Tensor:
        x = torch.nn.functional.linear(x, weights["linear.weight"], weights.get("linear.bias"))
        return torch.tanh(x) if act == "Tanh" else x

    return layer


def _gpu_tokens(config: Any, device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    width = int(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
    fit = int(free * GPU_SHARE) // (COPIES * 2 * width)
    low, high = GPU_TOKENS
    return min(high, max(low, fit))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no advice on stderr while a model loads: it belongs to the command line."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
