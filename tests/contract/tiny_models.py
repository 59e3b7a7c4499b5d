"""Models small enough to be made in a test, saved as the hub's models are.

The BERT is written without torch, with a reference in plain numpy beside it; the others are
transformers' own, so that what is loaded is what transformers writes.
"""

import json
import math

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    "organic whole milk bread butter apple juice the of and red blue shoes size 有 机 牛 奶".split()
)
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,:")
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]

CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "type_vocab_size": 2,
}


def wordpieces():
    """A BERT tokenizer: words, single letters, and `##letter` inside a word."""
    vocabulary = [*MARKS, *WORDS, *LETTERS, *("##" + letter for letter in LETTERS)]
    ids = {word: at for at, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(mark, ids[mark]) for mark in ("[CLS]", "[SEP]")]
    )
    # As all-MiniLM-L6-v2 ships it: settings of its own that must not be obeyed.
    tokenizer.enable_padding(length=24)
    tokenizer.enable_truncation(5)
    return tokenizer


def bert_weights(config, vocabulary, seed=0):
    """Random weights under BERT's names."""
    random = np.random.default_rng(seed)
    width, wide = config["hidden_size"], config["intermediate_size"]

    def normal(*shape, scale=0.3, around=0.0):
        return (around + scale * random.standard_normal(shape)).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": normal(vocabulary, width, scale=1),
        "embeddings.position_embeddings.weight": normal(config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": normal(2, width),
    }
    shapes = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (wide, width),
        "output.dense": (width, wide),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        norms += [at + "attention.output.LayerNorm", at + "output.LayerNorm"]
        for name, shape in shapes.items():
            weights[f"{at}{name}.weight"] = normal(*shape)
            weights[f"{at}{name}.bias"] = normal(shape[0])
    for name in norms:
        weights[name + ".weight"] = normal(width, around=1.0)
        weights[name + ".bias"] = normal(width)
    return weights


def save_bert(folder, *, seed=0, prefix="", dtype=np.float32, **changes):
    """A BERT in `folder`; `changes` go into its config. Returns its weights."""
    config = CONFIG | changes
    tokenizer = wordpieces()
    weights = bert_weights(config, tokenizer.get_vocab_size(), seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(
        json.dumps(config | {"vocab_size": tokenizer.get_vocab_size()})
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    stored = {prefix + name: array.astype(dtype) for name, array in weights.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    return weights


def save_modules(folder, *, pooling="mean", dense=None, max_tokens=None, prompts=None):
    """The files of sentence-transformers. `dense`: (weight, bias or None, activation)."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    write(folder / "1_Pooling" / "config.json", {"pooling_mode": pooling})
    if dense:
        weight, bias, activation = dense
        kinds["2_Dense"] = "Dense"
        write(folder / "2_Dense" / "config.json", {"activation_function": f"torch.nn.{activation}"})
        tensors = {"linear.weight": weight} | ({} if bias is None else {"linear.bias": bias})
        save_file(tensors, folder / "2_Dense" / "model.safetensors")
    kinds["3_Normalize"] = "Normalize"
    listed = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"}
        for path, kind in kinds.items()
    ]
    write(folder / "modules.json", listed)
    if max_tokens:
        write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens})
    if prompts:
        write(folder / "config_sentence_transformers.json", {"prompts": prompts})


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def reference(weights, ids, pooling="mean", config=None):
    """The vector of one row of token ids: BERT written down once more, in numpy, one row a time."""
    config = CONFIG | (config or {})
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    heads = config["num_attention_heads"]

    def linear(name, x):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return x * w[name + ".weight"] + w[name + ".bias"]

    def gelu(x):
        if config["hidden_act"] == "relu":
            return np.maximum(x, 0)
        if config["hidden_act"] == "gelu_new":
            return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    x = w["embeddings.word_embeddings.weight"][list(ids)]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (
            np.stack(np.split(linear(f"{at}attention.self.{name}", x), heads, axis=-1))
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.concatenate(list(shares / shares.sum(-1, keepdims=True) @ v), axis=-1)
        x = norm(
            at + "attention.output.LayerNorm", x + linear(at + "attention.output.dense", mixed)
        )
        wide = gelu(linear(at + "intermediate.dense", x))
        x = norm(at + "output.LayerNorm", x + linear(at + "output.dense", wide))
    return {"mean": x.mean(0), "cls": x[0], "last": x[-1]}[pooling]


def save_with_transformers(folder, kind):
    """A tiny `bert`, `gpt2` or `t5` as transformers creates and saves it. Needs torch."""
    import torch
    import transformers

    torch.manual_seed(7)
    if kind == "bert":
        save_bert(folder)  # for the tokenizer; the weights are transformers' own
        config = transformers.BertConfig(**CONFIG, vocab_size=wordpieces().get_vocab_size())
        network = transformers.BertModel(config)
    else:
        tokenizer = _bytes() if kind == "gpt2" else _pieces()
        size = tokenizer.get_vocab_size()
        folder.mkdir(parents=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        if kind == "gpt2":
            config = transformers.GPT2Config(
                vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                bos_token_id=size - 1, eos_token_id=size - 1, initializer_range=0.3,
            )  # fmt: skip
            network = transformers.GPT2LMHeadModel(config)  # as it is published
        else:
            config = transformers.T5Config(
                vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                initializer_factor=0.5,
            )  # fmt: skip
            network = transformers.T5ForConditionalGeneration(config)  # with its decoder
    network.save_pretrained(folder)


def _bytes():
    """GPT-2's kind of tokenizer: bytes, no marks, so that an empty text has no token at all."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {letter: at for at, letter in enumerate([*alphabet, "<|endoftext|>"])}
    tokenizer = Tokenizer(models.BPE(ids, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _pieces():
    """T5's kind of tokenizer: pieces with a score, and an end mark."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [("▁" + word, -3.0) for word in WORDS] + [(letter, -4.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer
