"""Data sets in their owners' layouts, and your own folder, as Hugging Face `datasets` of one schema."""

from __future__ import annotations

from dataset_builders.loading import load_splits

__all__ = ["load_splits"]
