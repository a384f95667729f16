"""A saved model as an ONNX file: its graph, what is put inside, fewer bits, and the check against the checkpoint."""

from mlic_hf.export.check import Difference, check_exported, checkpoint_scores
from mlic_hf.export.graph import half_graph, logits_graph
from mlic_hf.export.inside import put_pictures_inside, put_thresholds_inside
from mlic_hf.export.quantize import int8_graph
from mlic_hf.export.write import write_onnx

__all__ = [
    "Difference",
    "check_exported",
    "checkpoint_scores",
    "half_graph",
    "int8_graph",
    "logits_graph",
    "put_pictures_inside",
    "put_thresholds_inside",
    "write_onnx",
]
