"""Trees of LightGBM, or a weighted sum, as an ONNX graph: whoever serves them needs no LightGBM."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from windowshop.rank import Floats

OPSETS = (("", 17), ("ai.onnx.ml", 3))
INPUT, OUTPUT = "rows", "scores"
TINY = float(np.float32(1e-35))


def to_onnx(trees: Sequence[Mapping[str, Any]], width: int) -> bytes:
    """`dump_model()["tree_info"]` as a model from rows [n, width] to raw scores [n, 1]."""
    nodes: dict[str, list[Any]] = {
        name: []
        for name in (
            "treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
            "missing_value_tracks_true", "hitrates",
        )
    }  # fmt: skip
    leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for number, tree in enumerate(trees):
        _add(tree["tree_structure"], number, nodes, leaves)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        **_prefixed("nodes", nodes),
        **_prefixed("target", leaves),
    )
    return _model(ensemble, width)


def weighed(tree: Mapping[str, Any], share: float) -> dict[str, Any]:
    """A tree, or a node of one, whose leaves count so many times as much."""
    changed = dict(tree)
    for name in ("tree_structure", "left_child", "right_child"):
        if name in tree:
            changed[name] = weighed(tree[name], share)
    if "leaf_value" in tree:
        changed["leaf_value"] = share * float(tree["leaf_value"])
    return changed


def _prefixed(prefix: str, lists: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {f"{prefix}_{name}": values for name, values in lists.items()}


def sum_to_onnx(weights: Floats) -> bytes:
    """Weights [f] as a model from rows [n, f] to their weighted sums [n, 1]."""
    column = helper.make_tensor("weights", TensorProto.FLOAT, [len(weights), 1], weights.tolist())
    return _model(helper.make_node("MatMul", [INPUT, "weights"], [OUTPUT]), len(weights), [column])


def _model(node: onnx.NodeProto, width: int, constants: Sequence[onnx.TensorProto] = ()) -> bytes:
    graph = helper.make_graph(
        [node],
        "ranker",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        list(constants),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS], ir_version=8
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _add(
    root: Mapping[str, Any], tree: int, nodes: dict[str, list[Any]], leaves: dict[str, list[Any]]
) -> None:
    """Number the nodes of a tree from its root and write them down."""
    waiting, count = [(root, 0)], 1
    while waiting:
        node, number = waiting.pop()
        nodes["treeids"].append(tree)
        nodes["nodeids"].append(number)
        nodes["missing_value_tracks_true"].append(0)
        nodes["hitrates"].append(1.0)
        if "leaf_value" in node:
            _write(nodes, "LEAF", 0, 0.0, 0, 0)
            leaves["treeids"].append(tree)
            leaves["nodeids"].append(number)
            leaves["ids"].append(0)
            leaves["weights"].append(float(node["leaf_value"]))
            continue
        left, right = count, count + 1
        count += 2
        threshold = below(float(node["threshold"]))
        _write(nodes, "BRANCH_LEQ", int(node["split_feature"]), threshold, left, right)
        waiting += [(node["left_child"], left), (node["right_child"], right)]


def _write(
    nodes: dict[str, list[Any]], mode: str, feature: int, value: float, left: int, right: int
) -> None:
    nodes["modes"].append(mode)
    nodes["featureids"].append(feature)
    nodes["values"].append(value)
    nodes["truenodeids"].append(left)
    nodes["falsenodeids"].append(right)


def below(threshold: float) -> float:
    """The greatest 32-bit number that is no greater: `x <= threshold` stays true of the same x."""
    near = np.float32(threshold)
    if -TINY <= threshold < 0:  # LightGBM takes what is that small for 0, which lies above
        return float(np.nextafter(np.float32(-TINY), np.float32(-np.inf)))
    if float(near) <= threshold:  # in 64 bits: beside a 32-bit number it would be rounded first
        return float(near)
    return float(np.nextafter(near, np.float32(-np.inf)))
