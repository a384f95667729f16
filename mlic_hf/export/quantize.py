"""Eight bits for thirty-two: onnxruntime's own static quantizer, its ranges measured on pictures."""

from __future__ import annotations

import contextlib
import logging
import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.pictures.onnx_tagger import PIXELS

# they add up, or divide by, many small numbers: in float as everywhere
IN_FLOAT = ("LayerNormalization", "Softmax")
# of the weights that stay in float: those of the first layers, whose few channels differ most in their ranges
FRONT = 0.01


def int8_graph(graph: Any, batches: Iterable[np.ndarray]) -> Any:
    """The graph with weights of 8 bits (a scale a channel) and sums of 8-bit products between them.

    Ranges of what flows between are those that hold all but a 10,000th of it over the given pictures, so that one
    odd picture does not make every step coarse. The first layers, to a hundredth of all weights, stay in float: their
    errors go through all others, and they made up half of the error of the logits where it was measured.

    Args:
        graph: of `logits_graph`.
        batches: prepared pixels (b, 3, S, S) of pictures such as the model will see; a few hundred are enough.

    Returns:
        Another `onnx.ModelProto`, with ONNX's QuantizeLinear and DequantizeLinear around what is computed in int8.

    Raises:
        ImportError: onnxruntime is missing.
        ValueError: there is no picture.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.registry import QDQRegistry
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise ImportError("the quantizer needs onnxruntime and onnx: pip install 'mlic_hf[onnx]'") from error
    reader = _Batches(batches)
    if not len(reader):
        raise ValueError("There is no picture to measure the ranges on.")
    with tempfile.TemporaryDirectory(prefix="mlic-int8-") as folder, _quiet():
        given, fused, quantized = (str(Path(folder) / f"{name}.onnx") for name in ("given", "fused", "int8"))
        onnx.save(graph, given)
        quant_pre_process(given, fused, skip_symbolic_shape=True)
        quantize_static(
            fused,
            quantized,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=front(onnx.load(fused)),
            op_types_to_quantize=[name for name in QDQRegistry if name not in IN_FLOAT],
            extra_options={"CalibStridedMinMax": 1, "CalibPercentile": 99.99},  # a batch at a time in memory
        )
        return onnx.load(quantized)


def front(graph: Any, share: float = FRONT) -> list[str]:
    """The names of the first nodes of a graph, as far as they hold together a share of all its weights."""
    sizes = {weights.name: math.prod(weights.dims) for weights in graph.graph.initializer}
    left, names = share * sum(sizes.values()), []
    for node in graph.graph.node:
        left -= sum(sizes.get(name, 0) for name in node.input)
        if left < 0:
            break
        names.append(node.name)
    return names


class _Batches:
    """What onnxruntime's quantizer reads: one batch after another, from the start of a range."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self.batches = list(batches)
        self._left: Iterator[np.ndarray] = iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self.batches[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._left, None)
        return None if batch is None else {PIXELS: batch}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        logging.disable(level)
