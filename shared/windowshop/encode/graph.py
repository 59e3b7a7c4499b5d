"""A BERT encoder as an ONNX graph, written node by node from config.json and model.safetensors.

No export, no torch: the graph is the published architecture (Devlin et al., 2019) with pooling and
L2 normalisation at its end. It takes `ids` int64 [rows, tokens] and `mask` float32 [rows, tokens]
and gives `vectors` float32 [rows, dim]. Matrices are stored as fp16 and cast when a session opens:
half the disk, the same vectors to six digits. Plain operators outrun the fused contrib ones here.

Only this module imports `onnx`, and only when a model is built: serving never does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from safetensors import SafetensorError, safe_open

from windowshop.encode.models import Pooling, read_json
from windowshop.errors import Misconfigured

OPSET = 20  # the first with Gelu
IR_VERSION = 10
PROTOBUF_LIMIT = 2_000_000_000
HALF_MAX = 65_504.0

_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}

Array = NDArray[Any]


class Weights:
    """The tensors of one safetensors file, as float32, under BERT's own names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with safe_open(path, framework="np") as file:
                self._names = set(file.keys())
        except (OSError, SafetensorError) as error:
            raise Misconfigured(f"model: {path} cannot be read: {error}") from None
        self._prefix = "" if "embeddings.word_embeddings.weight" in self._names else "bert."

    def __getitem__(self, name: str) -> Array:
        array = self.get(name)
        if array is None:
            raise Misconfigured(f"model: {self._path} has no tensor {name}")
        return array

    def get(self, name: str) -> Array | None:
        # Checkpoints of 2018 call a norm's weight and bias gamma and beta.
        old = name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
        for known in (name, self._prefix + name, self._prefix + old):
            if known in self._names:
                with safe_open(self._path, framework="np") as file:
                    array: Array = file.get_tensor(known)
                return array.astype(np.float32)
        return None


class Graph:
    """Nodes and constants as they are added; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: Array | np.float32) -> str:
        array = np.asarray(value)
        name = f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def numbers(self, *values: int) -> str:
        name = "n" + "_".join(map(str, values))
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def half(self, array: Array) -> str:
        """A matrix kept as fp16, where it fits, without the cast back."""
        return self.constant(array.astype(np.float16) if fits_half(array) else array)

    def matrix(self, array: Array) -> str:
        return self.op("Cast", self.half(array), to=onnx.TensorProto.FLOAT)

    def linear(self, x: str, weight: Array, bias: Array | None) -> str:
        """`weight` is [out, in], as torch has it."""
        product = self.op("MatMul", x, self.matrix(weight.T))
        return product if bias is None else self.op("Add", product, self.constant(bias))

    def norm(self, x: str, weight: Array, bias: Array, epsilon: float) -> str:
        inputs = (x, self.constant(weight), self.constant(bias))
        return self.op("LayerNormalization", *inputs, axis=-1, epsilon=epsilon)


def fits_half(array: Array) -> bool:
    return bool(np.abs(array).max(initial=0.0) <= HALF_MAX)


def write_graph(
    path: Path, folder: Path, config: Mapping[str, Any], pooling: Pooling, dense: tuple[Path, ...]
) -> int:
    """Write the model in `folder` to `path`; returns the vectors' dimension.

    Raises Misconfigured where tensors are missing, have other shapes, or are too many.
    """
    try:
        model, dim = _model(Weights(folder / "model.safetensors"), config, pooling, dense)
    except (KeyError, ValueError, TypeError) as error:
        raise Misconfigured(
            f"model: config.json and the weights in {folder} do not fit: {error!r}"
        ) from None
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size > PROTOBUF_LIMIT:
        raise Misconfigured(
            f"model: {folder} is too large for ONNX ({size / 1e9:.1f} GB); set runtime to torch"
        )
    path.write_bytes(model.SerializeToString())
    return dim


def _model(
    w: Weights, config: Mapping[str, Any], pooling: Pooling, dense: tuple[Path, ...]
) -> tuple[onnx.ModelProto, int]:
    g = Graph()
    x = _embed(g, w, config)
    hidden = g.op("Sub", "mask", g.constant(np.float32(1)))
    bias = g.op("Mul", hidden, g.constant(np.float32(1e9)))  # 0 for a token, -1e9 for padding
    bias = g.op("Unsqueeze", bias, g.numbers(1, 2))
    for layer in range(config["num_hidden_layers"]):
        x = _layer(g, w, config, f"encoder.layer.{layer}.", x, bias)
    x = _pool(g, x, pooling)
    dim = int(config["hidden_size"])
    for place in dense:
        x, dim = _dense(g, place, x)
    g.nodes.append(helper.make_node("LpNormalization", [x], ["vectors"], axis=-1, p=2))
    float_type, int_type = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        g.nodes,
        "bert",
        [
            helper.make_tensor_value_info("ids", int_type, ["rows", "tokens"]),
            helper.make_tensor_value_info("mask", float_type, ["rows", "tokens"]),
        ],
        [helper.make_tensor_value_info("vectors", float_type, ["rows", dim])],
        list(g.constants.values()),
    )
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), dim


def _embed(g: Graph, w: Weights, config: Mapping[str, Any]) -> str:
    # The table stays fp16 in memory: only the rows that are read are cast.
    words = g.op("Gather", g.half(w["embeddings.word_embeddings.weight"]), "ids")
    words = g.op("Cast", words, to=onnx.TensorProto.FLOAT)
    # All text is of the first type: its vector can be added to the positions here.
    kind = w["embeddings.token_type_embeddings.weight"][0]
    positions = w["embeddings.position_embeddings.weight"] + kind
    tokens = g.op("Slice", g.op("Shape", "ids"), g.numbers(1), g.numbers(2))
    places = g.op("Slice", g.constant(positions), g.numbers(0), tokens, g.numbers(0))
    return _norm(g, w, config, "embeddings.LayerNorm", g.op("Add", words, places))


def _norm(g: Graph, w: Weights, config: Mapping[str, Any], name: str, x: str) -> str:
    return g.norm(x, w[name + ".weight"], w[name + ".bias"], config.get("layer_norm_eps", 1e-12))


def _layer(g: Graph, w: Weights, config: Mapping[str, Any], at: str, x: str, bias: str) -> str:
    def linear(name: str, x: str) -> str:
        return g.linear(x, w[f"{at}{name}.weight"], w[f"{at}{name}.bias"])

    mixed = _attention(g, w, config, at + "attention.self.", x, bias)
    x = g.op("Add", x, linear("attention.output.dense", mixed))
    x = _norm(g, w, config, at + "attention.output.LayerNorm", x)
    wide = linear("intermediate.dense", x)
    act = config.get("hidden_act", "gelu")
    wide = g.op("Relu", wide) if act == "relu" else g.op("Gelu", wide, approximate=_GELU[act])
    x = g.op("Add", x, linear("output.dense", wide))
    return _norm(g, w, config, at + "output.LayerNorm", x)


def _attention(g: Graph, w: Weights, config: Mapping[str, Any], at: str, x: str, bias: str) -> str:
    heads = int(config["num_attention_heads"])
    width = int(config["hidden_size"]) // heads
    scales = {"query": np.float32(width**-0.5), "key": np.float32(1), "value": np.float32(1)}
    weight, flat = (
        np.concatenate([w[f"{at}{name}.{part}"] * scale for name, scale in scales.items()])
        for part in ("weight", "bias")
    )
    joined = g.linear(x, weight, flat)  # one product for all three
    parts = g.ops("Split", 3, joined, axis=-1, num_outputs=3)
    query, key, value = (g.op("Reshape", part, g.numbers(0, 0, heads, width)) for part in parts)
    query = g.op("Transpose", query, perm=[0, 2, 1, 3])
    key = g.op("Transpose", key, perm=[0, 2, 3, 1])
    value = g.op("Transpose", value, perm=[0, 2, 1, 3])
    shares = g.op("Softmax", g.op("Add", g.op("MatMul", query, key), bias), axis=-1)
    mixed = g.op("Transpose", g.op("MatMul", shares, value), perm=[0, 2, 1, 3])
    return g.op("Reshape", mixed, g.numbers(0, 0, -1))


def _pool(g: Graph, x: str, pooling: Pooling) -> str:
    """[rows, tokens, width] -> [rows, width]: a weighted sum over the tokens."""
    if pooling == "cls":
        first = g.op("Slice", x, g.numbers(0), g.numbers(1), g.numbers(1))
        return g.op("Squeeze", first, g.numbers(1))
    if pooling == "last":  # a token whose successor is padding: mask minus the mask moved by one
        moved = g.op("Slice", "mask", g.numbers(1), g.numbers(1 << 31), g.numbers(1))
        moved = g.op("Pad", moved, g.numbers(0, 0, 0, 1))
        weights = g.op("Sub", "mask", moved)
    else:
        weights = g.op("Div", "mask", g.op("ReduceSum", "mask", g.numbers(1), keepdims=1))
    weights = g.op("Unsqueeze", weights, g.numbers(1))
    return g.op("Squeeze", g.op("MatMul", weights, x), g.numbers(1))


def _dense(g: Graph, place: Path, x: str) -> tuple[str, int]:
    """A linear layer of sentence-transformers, after pooling."""
    w = Weights(place / "model.safetensors")
    weight = w["linear.weight"]
    x = g.linear(x, weight, w.get("linear.bias"))
    act = str(read_json(place / "config.json").get("activation_function", "")).rsplit(".", 1)[-1]
    if act not in ("Tanh", "Identity"):
        raise Misconfigured(f"model: {place} uses {act}, of which there is Tanh and Identity")
    return (g.op("Tanh", x) if act == "Tanh" else x), len(weight)
