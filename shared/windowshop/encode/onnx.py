"""The default encoder: a BERT-family model on ONNX Runtime.

A model is built once into `models/<name>.<hash>/`: the graph, its tokenizer, and windowshop.json,
which says how to read text. Such a folder is whole: it can be copied and opened by itself, on a
machine that has neither the weights it was built from nor the `onnx` package.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from windowshop.encode.batching import Tokens, Vectors, cores, encode_texts, pad
from windowshop.encode.models import BUILT, FORMAT, Model, Reading, read_json, sha256
from windowshop.errors import Misconfigured, Unavailable

BATCH_TOKENS = 1024  # activations of more fall out of a core's cache


class OnnxEncoder:
    """Opens a built folder. Safe to use from many threads at once.

    `threads` batches run side by side, each on one core: that takes less processor time than
    several cores on one batch, and leaves a single query as fast.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        built = read_json(folder / BUILT)
        try:
            if built["format"] != FORMAT:
                raise ValueError(f"format {built['format']}")
            self.name = str(built["name"])
            self.dim = int(built["dim"])
            self.languages = str(built["languages"])
            self._reading = Reading(**built["reading"])
            self._filler = int(built["filler"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = _session(folder / "model.onnx")
        except Exception as error:  # tokenizers and ONNX Runtime raise Exception itself
            raise Misconfigured(
                f"model: the built folder {folder} cannot be opened ({error}); delete it, and it is"
                " built again"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._reading.max_tokens)
        self._threads = threads or cores()

    def encode(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Vectors [len(texts), dim], L2-normalised. Raises Unavailable when the runtime fails."""
        prefix = self._reading.prefix(query)

        def tokenize(chunk: list[str]) -> list[Tokens]:
            encoded = self._tokenizer.encode_batch_fast([prefix + text for text in chunk])
            return [one.ids for one in encoded]

        return encode_texts(
            texts, self.dim, tokenize, self._run, BATCH_TOKENS, self._threads, progress
        )

    def _run(self, rows: list[Tokens]) -> Vectors:
        ids, mask = pad(rows, self._filler)
        try:
            (vectors,) = self._session.run(None, {"ids": ids, "mask": mask})
        except Exception as error:  # what ONNX Runtime raises has no class in common
            raise Unavailable(f"the encoder failed: {error}") from error
        return np.asarray(vectors, dtype=np.float32)


def _session(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def build(model: Model, home: Path) -> Path:
    """The built folder of `model` under `home`, built now if need be.

    Any number of processes may call this at once: one builds, the others wait and use it. A folder
    appears whole or not at all. Raises Misconfigured.
    """
    tokenizer = model.folder / "tokenizer.json"
    try:
        Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # tokenizers raises Exception itself
        raise Misconfigured(
            f"model: {model.folder} has no tokenizer.json that can be read ({error}); write it with"
            " transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        ) from error
    description = {
        "format": FORMAT,
        "name": model.name,
        "languages": model.languages,
        "reading": asdict(model.reading),
        "filler": model.filler,
    }
    content = [description, dict(model.config), sha256(tokenizer, home)]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    target = home / f"{model.name}.{key}"
    if (target / BUILT).is_file():
        return target
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home):
            if not (target / BUILT).is_file():
                _build(model, tokenizer, description, target)
    except OSError as error:
        raise Misconfigured(f"model: {home} cannot be written: {error}") from error
    return target


def _build(model: Model, tokenizer: Path, description: dict[str, object], target: Path) -> None:
    from windowshop.encode.graph import write_graph  # imports onnx

    for left_over in target.parent.glob(".building-*"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)  # half deleted by hand
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        graph = work / "model.onnx"
        dim = write_graph(graph, model.folder, model.config, model.reading.pooling, model.dense)
        shutil.copyfile(tokenizer, work / "tokenizer.json")
        (work / BUILT).write_text(json.dumps(description | {"dim": dim}, indent=1), "utf-8")
        for file in work.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        work.chmod(0o755)  # mkdtemp's 0700 would keep out a server of another user
        work.rename(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
