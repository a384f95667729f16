"""mlic_hf: multi-label image classification for Hugging Face Transformers."""

from mlic_hf.auto import register_auto_classes

__version__ = "0.1.0"

register_auto_classes()
