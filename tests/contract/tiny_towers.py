"""Towers small enough to be made in a test: matrices from a seed, and a user tower that is the mean
of its items, newer ones and later kinds weighing more, with a reference in plain numpy beside it.
"""

import io

import numpy as np
import onnx
from onnx import helper

from windowshop.learned import ITEMS, MODEL, shelf_in
from windowshop.store import LEARNED_DIM
from windowshop.tower import KIND, Tower


def items_of(dim, keys=(), seed=0):
    """The npz of a tower that has ids of these keys."""
    chance = np.random.default_rng(seed)
    held = io.BytesIO()
    np.savez(
        held,
        linear=chance.normal(size=(dim, LEARNED_DIM)).astype("f4"),
        bias=(chance.normal(size=LEARNED_DIM) * 0.1).astype("f4"),
        keys=np.sort(np.array(keys, "u8")),
        ids=chance.normal(size=(len(keys), LEARNED_DIM)).astype("f2"),
    )
    return held.getvalue()


def model_of():
    """user = normalise(sum of items * (kind + 1) / exp(gap))."""
    floats, ints = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    nodes = [
        helper.make_node("Cast", ["kinds"], ["kind"], to=floats),
        helper.make_node("Add", ["kind", "one"], ["strong"]),
        helper.make_node("Exp", ["gaps"], ["old"]),
        helper.make_node("Div", ["strong", "old"], ["weight"]),
        helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
        helper.make_node("Mul", ["items", "column"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "first"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["user"], axis=-1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [
            helper.make_tensor_value_info("items", floats, [1, "events", LEARNED_DIM]),
            helper.make_tensor_value_info("kinds", ints, [1, "events"]),
            helper.make_tensor_value_info("gaps", floats, [1, "events"]),
        ],
        [helper.make_tensor_value_info("user", floats, [1, LEARNED_DIM])],
        [
            helper.make_tensor("one", floats, [], [1.0]),
            helper.make_tensor("last", ints, [1], [2]),
            helper.make_tensor("first", ints, [1], [1]),
        ],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def user_of(items, kinds, gaps):
    """What `model_of` computes."""
    found = (items * ((kinds + 1.0) / np.exp(gaps))[:, None]).sum(axis=0)
    return found / np.linalg.norm(found)


def reading(model, items, version):
    """A tower of these files."""
    return Tower({MODEL: model, ITEMS: items}.__getitem__, version)


def tower_of(dim, keys=(), seed=0, version="v1"):
    return reading(model_of(), items_of(dim, keys, seed), version)


def shelve(root, dim, version, seed, store="default", **card):
    """Keep a tower on a home's shelf; returns it."""
    model, items = model_of(), items_of(dim, (), seed)
    files = {MODEL: model, ITEMS: items}
    shelf_in(root).put(store, KIND, version, files, {"method": "tiny", **card})
    return reading(model, items, version)
