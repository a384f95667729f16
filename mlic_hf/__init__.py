"""mlic_hf: multi-label image classification for Hugging Face Transformers."""

__version__ = "0.1.0"
