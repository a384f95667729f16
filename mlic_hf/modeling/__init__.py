"""The models: the only code that travels to the Hub."""

from __future__ import annotations

from .backbone_mlic import Backbone
from .base_mlic import MultiLabelModel
from .configuration_co_occurrence_mlic import CoOccurrenceConfig
from .configuration_label_transformer_mlic import LabelTransformerConfig
from .configuration_linear_mlic import LinearConfig
from .configuration_ml_decoder_mlic import MLDecoderConfig
from .configuration_mlic import MultiLabelConfig
from .configuration_mulcon_mlic import MulConConfig
from .configuration_query2label_mlic import Query2LabelConfig
from .configuration_text_decoder_mlic import TextDecoderConfig
from .image_processing_mlic import MultiLabelImageProcessor
from .modeling_co_occurrence_mlic import CoOccurrenceForImageClassification
from .modeling_label_transformer_mlic import LabelTransformerForImageClassification
from .modeling_linear_mlic import LinearForImageClassification
from .modeling_ml_decoder_mlic import MLDecoderForImageClassification
from .modeling_mulcon_mlic import MulConForImageClassification
from .modeling_query2label_mlic import Query2LabelForImageClassification
from .modeling_text_decoder_mlic import TextDecoderForImageClassification
from .outputs_mlic import CoOccurrenceOutput, MLDecoderOutput, MulConOutput, MultiLabelOutput
from .pipeline_mlic import MultiLabelPipeline
from .predictions_mlic import calibrated_scores, predicted_labels
from .text_vectors_mlic import text_vectors
from .timm_backbone_mlic import TimmBackbone
from .transformers_backbone_mlic import TransformersBackbone
from .word_vectors_mlic import load_word_vectors

# model_type -> (config class, model class)
ARCHITECTURES: dict[str, tuple[type[MultiLabelConfig], type[MultiLabelModel]]] = {
    "mlic_linear": (LinearConfig, LinearForImageClassification),
    "mlic_ml_decoder": (MLDecoderConfig, MLDecoderForImageClassification),
    "mlic_query2label": (Query2LabelConfig, Query2LabelForImageClassification),
    "mlic_label_transformer": (LabelTransformerConfig, LabelTransformerForImageClassification),
    "mlic_mulcon": (MulConConfig, MulConForImageClassification),
    "mlic_co_occurrence": (CoOccurrenceConfig, CoOccurrenceForImageClassification),
    "mlic_text_decoder": (TextDecoderConfig, TextDecoderForImageClassification),
}

for _config, _model in ARCHITECTURES.values():
    _config.register_for_auto_class()
    _model.register_for_auto_class("AutoModelForImageClassification")
MultiLabelImageProcessor.register_for_auto_class()

__all__ = [
    "ARCHITECTURES",
    "Backbone",
    "CoOccurrenceConfig",
    "CoOccurrenceForImageClassification",
    "CoOccurrenceOutput",
    "LabelTransformerConfig",
    "LabelTransformerForImageClassification",
    "LinearConfig",
    "LinearForImageClassification",
    "MLDecoderConfig",
    "MLDecoderForImageClassification",
    "MLDecoderOutput",
    "MulConConfig",
    "MulConForImageClassification",
    "MulConOutput",
    "MultiLabelConfig",
    "MultiLabelImageProcessor",
    "MultiLabelModel",
    "MultiLabelOutput",
    "MultiLabelPipeline",
    "Query2LabelConfig",
    "Query2LabelForImageClassification",
    "TextDecoderConfig",
    "TextDecoderForImageClassification",
    "TimmBackbone",
    "TransformersBackbone",
    "calibrated_scores",
    "load_word_vectors",
    "predicted_labels",
    "text_vectors",
]
