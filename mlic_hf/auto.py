"""Tell transformers' Auto classes of this package's models."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoVideoProcessor,
)
from transformers.pipelines import PIPELINE_REGISTRY

from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor, MultiLabelPipeline
from mlic_hf.modeling.pipeline_mlic import TASK


def register_auto_classes() -> None:
    """Register every architecture; calling it again changes nothing."""
    processors = {"torchvision": MultiLabelImageProcessor, "pil": MultiLabelImageProcessor}
    for model_type, (config_class, model_class) in ARCHITECTURES.items():
        AutoConfig.register(model_type, config_class, exist_ok=True)
        AutoModel.register(config_class, model_class, exist_ok=True)
        AutoModelForImageClassification.register(config_class, model_class, exist_ok=True)
        # transformers looks for a video processor wherever it finds an image processor's code, and would ask
        # the user whether to run it: an empty entry says that there is none
        AutoVideoProcessor.register(config_class, None, exist_ok=True)
        try:
            AutoImageProcessor.register(config_class, image_processor_classes=processors, exist_ok=True)
        except TypeError:  # transformers before 5.4 or so knows one class for all backends
            AutoImageProcessor.register(config_class, MultiLabelImageProcessor, exist_ok=True)
    if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
        PIPELINE_REGISTRY.register_pipeline(TASK, MultiLabelPipeline, pt_model=AutoModelForImageClassification)
