"""The file: a graph with what its users must know, in the metadata that every reader of ONNX shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling import MultiLabelModel
from mlic_hf.pictures.onnx_tagger import FORMAT


def write_onnx(graph: Any, model: MultiLabelModel, path: str | Path) -> None:
    """Write a graph with labels, thresholds, calibration and pixel statistics of its model (JSON values).

    Args:
        graph: of `logits_graph` and what was done to it.
        model: the one that it was made of.
        path: of the .onnx file.
    """
    import onnx

    pixels = PixelSpec.of_model(model)
    told = {
        "labels": model.label_names,
        "thresholds": model.config.thresholds,
        "calibration": model.config.calibration,
        "pixels": {
            "image_size": pixels.image_size,
            "mean": list(pixels.mean),
            "std": list(pixels.std),
            "interpolation": pixels.interpolation,
        },
        "architecture": type(model).__name__,
        "backbone": model.config.backbone,
    }
    metadata = {"format": FORMAT} | {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}
    onnx.helper.set_model_props(graph, metadata)
    graph.producer_name = "mlic_hf"
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
