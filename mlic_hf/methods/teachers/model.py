"""A frozen model of this library that teaches: it sees its own view of the pixels and answers without gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlic_hf.methods.teachers.half_precision import half_precision
from mlic_hf.methods.views import PixelSpec, convert_pixels
from mlic_hf.modeling import MultiLabelModel

#: fields of a model's output whose second dimension is the labels
PER_LABEL = ("logits", "label_embeddings", "class_maps")


class ModelTeacher:
    """A model in evaluation mode with the pixels it was trained on; not an nn.Module, so nothing registers it.

    Args:
        model: an mlic_hf model.
        labels: the label names its answers shall follow.
        half: run it in half precision (float16 on a GPU, bfloat16 on the CPU).

    Raises:
        ValueError: if the model lacks a label or has one too many.
    """

    def __init__(self, model: MultiLabelModel, labels: Sequence[str], half: bool = False) -> None:
        self.model: MultiLabelModel = model.eval().requires_grad_(False)
        self.pixels: PixelSpec = PixelSpec.of_model(model)
        self.provides: frozenset[str] = model.provides
        self.stage_channels: Sequence[int] = model.backbone.stage_channels
        self.half = half
        self.order = match_labels(list_labels(model), labels, "teacher")

    @torch.no_grad()
    def __call__(
        self,
        pixel_values: Tensor,
        source: PixelSpec,
        *,
        image_id: Sequence[str] | None = None,
        view: Sequence[int] | None = None,
        **asked: bool,
    ) -> Any:
        """The model's outputs for a batch (B, 3, H, W) prepared for `source`, labels in the order asked for."""
        device = pixel_values.device
        if next(self.model.parameters()).device != device:
            self.model.to(device)
        seen = convert_pixels(pixel_values, source, self.pixels)
        with half_precision(device, self.half):
            outputs = self.model(seen, **asked)
        if self.order is not None:
            for field in PER_LABEL:
                if outputs.get(field) is not None:
                    outputs[field] = outputs[field][:, self.order]
        return outputs


def list_labels(model: MultiLabelModel) -> list[str]:
    """The label names of a model, in the order of its logits."""
    return [model.config.id2label[i] for i in range(model.config.num_labels)]


def match_labels(own: Sequence[str], wanted: Sequence[str], what: str) -> list[int] | None:
    """Where each wanted label lies among a model's own, by name; None if both are the same list.

    Raises:
        ValueError: naming the labels that one side lacks.
    """
    if list(own) == list(wanted):
        return None
    missing, unknown = sorted(set(wanted) - set(own)), sorted(set(own) - set(wanted))
    if missing or unknown:
        raise ValueError(
            f"The {what} has {len(own)} labels and the data {len(wanted)}: it lacks {missing[:5]} and has "
            f"{unknown[:5]} that the data lack. Use a {what} trained on these labels."
        )
    position = {name: i for i, name in enumerate(own)}
    return [position[name] for name in wanted]
