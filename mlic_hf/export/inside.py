"""What may be put inside a graph, so that a program around it has less to know: preparation and thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.methods.views import PixelSpec
from mlic_hf.pictures.onnx_tagger import PICTURES, PIXELS

# Pillow's filters that ONNX has too; antialiased, with nothing counted outside of the picture, they agree to one step
# of 255 at most
RESIZES: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5},
}


def put_pictures_inside(graph: Any, pixels: PixelSpec) -> None:
    """Let the graph resize and normalise: its input becomes `pictures`, uint8 (batch, height, width, 3) RGB.

    Args:
        graph: of `logits_graph`, changed in place.
        pixels: what the model was built for.

    Raises:
        ValueError: the model's filter is one that ONNX does not have.
    """
    from onnx import TensorProto, helper, numpy_helper

    if pixels.interpolation not in RESIZES:
        raise ValueError(
            f"ONNX has no {pixels.interpolation} resize; only {' and '.join(RESIZES)} can be put inside: leave the "
            "preprocessing outside."
        )
    mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (pixels.mean, pixels.std))
    constants = {
        "side": np.array([pixels.image_size] * 2, np.int64),
        "highest": np.float32(255.0),
        "mean": mean,
        "std": std,
    }
    resize = {**RESIZES[pixels.interpolation], "antialias": 1, "exclude_outside": 1, "axes": [1, 2]}
    nodes = [
        helper.make_node("Resize", [PICTURES, "", "", "mlic.side"], ["mlic.resized"], **resize),
        helper.make_node("Cast", ["mlic.resized"], ["mlic.float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["mlic.float"], ["mlic.channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["mlic.channels_first", "mlic.highest"], ["mlic.unit"]),
        helper.make_node("Sub", ["mlic.unit", "mlic.mean"], ["mlic.centred"]),
        helper.make_node("Div", ["mlic.centred", "mlic.std"], [PIXELS]),
    ]
    for name, value in constants.items():
        graph.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"mlic.{name}"))
    _prepend(graph, nodes)
    shape: list[str | int | None] = ["batch", "height", "width", 3]
    graph.graph.input[0].CopyFrom(helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, shape))


def put_thresholds_inside(graph: Any, thresholds: list[float]) -> None:
    """Let the graph decide: beside `logits`, `scores` float32 and `decisions` bool, each (batch, C).

    Args:
        graph: of `logits_graph`, changed in place.
        thresholds: one a label, on the scores.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph.graph.initializer.append(numpy_helper.from_array(np.float32(thresholds), "mlic.thresholds"))
    graph.graph.node.append(helper.make_node("Sigmoid", ["logits"], ["scores"]))
    graph.graph.node.append(helper.make_node("GreaterOrEqual", ["scores", "mlic.thresholds"], ["decisions"]))
    for name, kind in (("scores", TensorProto.FLOAT), ("decisions", TensorProto.BOOL)):
        graph.graph.output.append(helper.make_tensor_value_info(name, kind, ["batch", len(thresholds)]))


def _prepend(graph: Any, nodes: list[Any]) -> None:
    old = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *old])
