"""mlic_hf: multi-label image classification for Hugging Face Transformers.

`import mlic_hf` makes transformers' Auto classes know the models; everything else is loaded when it is first named.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

__version__ = "0.2.0"

#: name -> the module that has it
_PUBLIC = {
    "CoOccurrenceForImageClassification": "modeling",
    "LabelTransformerForImageClassification": "modeling",
    "LinearForImageClassification": "modeling",
    "MLDecoderForImageClassification": "modeling",
    "MulConForImageClassification": "modeling",
    "MultiLabelImageProcessor": "modeling",
    "Query2LabelForImageClassification": "modeling",
    "TextDecoderForImageClassification": "modeling",
    "LabelSpace": "data",
    "TransformConfig": "data",
    "adapt": "data",
    "CoOccurrenceLossConfig": "methods.co_occurrence",
    "L2DConfig": "methods.l2d",
    "MulConLossConfig": "methods.mulcon",
    "OASSConfig": "methods.oass",
    "PSDConfig": "methods.psd",
    "SupervisedConfig": "methods.supervised",
    "MultiLabelTrainer": "training",
    "MultiLabelTrainingArguments": "training",
    "OnnxTagger": "pictures.onnx_tagger",
    "run": "runs",
    "train_part_teachers": "runs",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"mlic_hf has no {name!r}; it has {', '.join(_PUBLIC)}.")
    return getattr(importlib.import_module(f"mlic_hf.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


# an exported model is used without torch, where nobody has Auto classes to tell
if importlib.util.find_spec("torch") is not None:
    from mlic_hf.auto import register_auto_classes

    register_auto_classes()
