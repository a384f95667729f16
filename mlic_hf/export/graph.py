"""The ONNX graph of a model: prepared pixels in, logits out, any number of pictures at once."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mlic_hf.modeling import MultiLabelModel
from mlic_hf.pictures.onnx_tagger import PIXELS

OPSET = 20  # what torch's exporter writes of itself
OLDEST_OPSET = 18  # older ones have no Resize that antialiases
MOST_PICTURES = 2**31 - 1  # in a batch; torch 2.7 wants an end below that of int64


class _Logits(nn.Module):
    """A model that takes and gives float32, whatever it computes in."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values.to(self.dtype)).logits.float()


def logits_graph(model: MultiLabelModel, opset: int = OPSET) -> Any:
    """The model as an `onnx.ModelProto`: `pixel_values` (batch, 3, S, S) to `logits` (batch, C), both float32.

    Args:
        model: on the CPU; it is exported in evaluation mode.
        opset: version of ONNX's operators, 18 or more.

    Raises:
        ImportError: onnx or onnxscript is missing.
        ValueError: an older opset.
    """
    return _traced(model.eval(), torch.float32, opset)


def half_graph(model: MultiLabelModel, opset: int = OPSET) -> Any:
    """As `logits_graph`, with weights and sums of 16 bits (float16) between an input and an output of 32."""
    return _traced(copy.deepcopy(model).eval().half(), torch.float16, opset)


def _traced(model: MultiLabelModel, dtype: torch.dtype, opset: int) -> Any:
    if opset < OLDEST_OPSET:
        raise ValueError(f"opset is {opset}; expected {OLDEST_OPSET} or more.")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError("the export needs onnx and onnxscript: pip install 'mlic_hf[onnx]'") from error
    size = model.config.image_size
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            _Logits(model, dtype),
            (torch.zeros(2, 3, size, size),),
            dynamo=True,
            dynamic_shapes={PIXELS: {0: torch.export.Dim("batch", min=1, max=MOST_PICTURES)}},
            input_names=[PIXELS],
            output_names=["logits"],
            opset_version=opset,
            verbose=False,
        )
    if program is None:
        raise ValueError("torch gave no ONNX program.")
    return _without_traces(program.model_proto)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter tells of its steps, which are not the user's."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _without_traces(graph: Any) -> Any:
    """The same graph without the exporter's notes, which hold paths of this machine."""
    del graph.metadata_props[:]
    graph.graph.doc_string = graph.doc_string = ""
    for part in (graph.graph.node, graph.graph.input, graph.graph.output, graph.graph.value_info):
        for entry in part:
            entry.doc_string = ""
            del entry.metadata_props[:]
    for tensor in graph.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    del graph.graph.metadata_props[:]
    for function in graph.functions:
        function.doc_string = ""
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]
    return graph
