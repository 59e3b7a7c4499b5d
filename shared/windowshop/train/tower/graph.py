"""A trained user tower as an ONNX graph, written node by node: only the newest event asks, so that
one row of attention is all there is to compute.

Inputs: `items` float32 [1, l, width] (unit vectors, oldest first), `kinds` int64 [1, l] and `gaps`
float32 [1, l] (log1p of the days before the newest event), l from 1 to NEWEST. Output: `user`
float32 [1, width], a unit vector.
"""

import io
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from windowshop.encode.graph import Graph
from windowshop.rank import Floats, Keys
from windowshop.tower import NEWEST

OPSET, IR_VERSION = 20, 10
EPSILON = 1e-5

Arrays = Mapping[str, Floats]


def to_onnx(weights: Arrays) -> bytes:
    """The graph of `model.user_vectors` for one user, its last place."""
    g, wide = Graph(), weights["places"].shape[1]
    x = _norm(g, weights, "before", events := _events(g, weights))
    newest = _newest(g, events)
    x = g.op("Add", newest, _attention(g, weights, x))
    inner = _dense(g, weights, "widen", _norm(g, weights, "between", x))
    x = g.op("Add", x, _dense(g, weights, "narrow", g.op("Gelu", inner, approximate="none")))
    x = g.op("Squeeze", _norm(g, weights, "after", x), g.numbers(1))
    g.nodes.append(helper.make_node("LpNormalization", [x], ["user"], axis=-1, p=2))
    floats, ints = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        g.nodes,
        "tower",
        [
            helper.make_tensor_value_info("items", floats, [1, "events", wide]),
            helper.make_tensor_value_info("kinds", ints, [1, "events"]),
            helper.make_tensor_value_info("gaps", floats, [1, "events"]),
        ],
        [helper.make_tensor_value_info("user", floats, [1, wide])],
        list(g.constants.values()),
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def to_npz(weights: Arrays, keys: Keys) -> bytes:
    """What places items: `linear` and `bias` for every text vector, and the ids of those items that
    have one, by their `keys` [m].
    """
    order, file = np.argsort(keys), io.BytesIO()
    np.savez(
        file,
        linear=weights["linear"],
        bias=weights["bias"],
        keys=keys[order],
        ids=weights["ids"][order].astype(np.float16),
    )
    return file.getvalue()


def _events(g: Graph, weights: Arrays) -> str:
    """[1, l, width]: each event as its item, place, kind, and time since the one before."""
    length = g.op("Slice", g.op("Shape", "kinds"), g.numbers(1), g.numbers(2))
    places = g.op("Slice", g.constant(weights["places"]), g.op("Neg", length), g.numbers(NEWEST))
    x = g.op("Add", g.op("Mul", "items", g.constant(weights["scale"])), places)
    x = g.op("Add", x, g.op("Gather", g.constant(weights["kinds"]), "kinds"))
    one = g.constant(np.float32(1))
    days = g.op("Sub", g.op("Exp", "gaps"), one)
    first = g.op("Slice", days, g.numbers(0), g.numbers(1), g.numbers(1))
    rest = g.op("Slice", days, g.numbers(0), g.numbers(-1), g.numbers(1))
    before = g.op("Concat", first, rest, axis=1)
    since = g.op("Max", g.op("Sub", before, days), g.constant(np.float32(0)))
    step = g.op("Unsqueeze", g.op("Log", g.op("Add", since, one)), g.numbers(2))
    return g.op("Add", x, g.op("Mul", step, g.constant(weights["step"])))


def _newest(g: Graph, x: str) -> str:
    return g.op("Slice", x, g.numbers(-1), g.numbers(NEWEST), g.numbers(1))


def _attention(g: Graph, weights: Arrays, x: str) -> str:
    """[1, 1, width]: what the newest event finds in those before it, and in itself."""
    heads = len(weights["fade"])
    width = weights["places"].shape[1] // heads
    scale = np.float32(width**-0.5)
    (wq, wk, wv), (bq, bk, bv) = (
        np.split(weights[f"mix.{part}"], 3) for part in ("weight", "bias")
    )
    query = g.op(
        "Reshape", _linear(g, _newest(g, x), wq * scale, bq * scale), g.numbers(1, 1, heads, width)
    )
    key = g.op("Reshape", _linear(g, x, wk, bk), g.numbers(1, -1, heads, width))
    value = g.op("Reshape", _linear(g, x, wv, bv), g.numbers(1, -1, heads, width))
    scores = g.op(
        "MatMul",
        g.op("Transpose", query, perm=[0, 2, 1, 3]),
        g.op("Transpose", key, perm=[0, 2, 3, 1]),
    )
    fade = g.constant(weights["fade"].reshape(1, heads, 1, 1))
    scores = g.op("Add", scores, g.op("Mul", g.op("Unsqueeze", "gaps", g.numbers(1, 2)), fade))
    shares = g.op("Softmax", scores, axis=-1)
    mixed = g.op("MatMul", shares, g.op("Transpose", value, perm=[0, 2, 1, 3]))
    flat = g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1, 3]), g.numbers(1, 1, -1))
    return _dense(g, weights, "mixed", flat)


def _linear(g: Graph, x: str, weight: Floats, bias: Floats) -> str:
    """Kept as float32: small, and equal to torch to the last digits."""
    return g.op("Add", g.op("MatMul", x, g.constant(weight.T)), g.constant(bias))


def _dense(g: Graph, weights: Arrays, name: str, x: str) -> str:
    return _linear(g, x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(g: Graph, weights: Arrays, name: str, x: str) -> str:
    return g.norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)
