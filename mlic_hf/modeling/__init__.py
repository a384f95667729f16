"""The models: the only code that travels to the Hub."""

from __future__ import annotations

from .backbone_mlic import TimmBackbone
from .configuration_linear_mlic import LinearConfig
from .configuration_ml_decoder_mlic import MLDecoderConfig
from .configuration_mlic import MultiLabelConfig
from .image_processing_mlic import MultiLabelImageProcessor
from .modeling_linear_mlic import LinearForImageClassification
from .modeling_ml_decoder_mlic import MLDecoderForImageClassification
from .outputs_mlic import MultiLabelOutput

ARCHITECTURES = {
    config.model_type: (config, model)
    for config, model in (
        (LinearConfig, LinearForImageClassification),
        (MLDecoderConfig, MLDecoderForImageClassification),
    )
}

for _config, _model in ARCHITECTURES.values():
    _config.register_for_auto_class()
    _model.register_for_auto_class("AutoModelForImageClassification")
MultiLabelImageProcessor.register_for_auto_class()

__all__ = [
    "ARCHITECTURES",
    "LinearConfig",
    "LinearForImageClassification",
    "MLDecoderConfig",
    "MLDecoderForImageClassification",
    "MultiLabelConfig",
    "MultiLabelImageProcessor",
    "MultiLabelOutput",
    "TimmBackbone",
]
