"""Configuration of the pooled linear classifier."""

from __future__ import annotations

from typing import Any

from .config_checks_mlic import require_share, require_switch
from .configuration_mlic import MultiLabelConfig


class LinearConfig(MultiLabelConfig):
    """Fields of `LinearForImageClassification`.

    Args:
        classifier_bias: whether the classifier has a bias a label; the object-aware models have none.
        class_maps_first: classify every place and average the class maps, instead of averaging the features
            and classifying once. The two are equal in exact arithmetic.
        dropout: dropout before the classifier, in [0, 1).
        **kwargs: as in `MultiLabelConfig`.
    """

    model_type = "mlic_linear"

    def __init__(
        self,
        classifier_bias: bool = True,
        class_maps_first: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.classifier_bias = classifier_bias
        self.class_maps_first = class_maps_first
        self.dropout = dropout
        super().__init__(**kwargs)

    def check(self) -> None:
        super().check()
        require_switch(self, "classifier_bias", "class_maps_first")
        require_share(self, "dropout")
