"""Pooled features and one linear layer; class maps on request."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .backbone_mlic import pooled
from .base_mlic import MultiLabelModel
from .configuration_linear_mlic import LinearConfig
from .head_mlic import Head, HeadRequest


class LinearHead(Head):
    """Global average pooling and a linear classifier, which commute: the same weights give class maps.

    Args:
        in_features: channels D of the feature map.
        config: number of labels, bias, dropout and the order of pooling and classifying.

    Shapes: feature map (B, D, h, w) -> logits (B, C), class maps (B, C, h, w) with mean over places = logits.
    """

    label_rows = ("classifier.weight", "classifier.bias")

    def __init__(self, in_features: int, config: LinearConfig) -> None:
        super().__init__()
        self.class_maps_first = config.class_maps_first
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(in_features, config.num_labels, bias=config.classifier_bias)

    def class_maps(self, feature_map: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, C, h, w): the classifier applied at every place."""
        return self.classifier(feature_map.movedim(1, -1)).movedim(-1, 1)

    def forward(self, feature_map: Tensor, request: HeadRequest) -> dict[str, Tensor | None]:
        features = self.dropout(feature_map)
        if self.class_maps_first:
            maps = self.class_maps(features)
            return {"logits": pooled(maps), "class_maps": maps if request.class_maps else None}
        logits = self.classifier(pooled(features))
        return {"logits": logits, "class_maps": self.class_maps(features) if request.class_maps else None}


class LinearForImageClassification(MultiLabelModel):
    """A timm backbone, global average pooling and a linear classifier.

    Shapes: pixel_values (B, 3, H, W) -> logits (B, C); class maps (B, C, h, w) on request.
    Papers: the ResNet-101, ResNeXt-50 and TResNet-L models of PSD; with `classifier_bias=False`,
    `class_maps_first=True` and `output_stride=16` the classifier of OASS, a 1x1 convolution to class maps.
    """

    config_class: Any = LinearConfig
    provides = frozenset({"class_maps"})

    def build_head(self, config: LinearConfig) -> Head:
        return LinearHead(self.backbone.num_features, config)
