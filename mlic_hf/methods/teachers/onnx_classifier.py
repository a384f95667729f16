"""An ONNX file as a classifier that teaches, run by onnxruntime (the extra `onnx`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoImageProcessor, PretrainedConfig

from mlic_hf.methods.teachers.classifier import Classifier, TeacherOptions
from mlic_hf.methods.teachers.transformers_classifier import activation_of, pixels_of
from mlic_hf.methods.views import PixelSpec

TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


@dataclass(frozen=True)
class Told:
    """What a file, or what lies beside it, says of itself; None for what it does not say."""

    names: list[str] | None = None
    activation: str | None = None
    pixels: PixelSpec | None = None


def load_onnx(file: Path, options: TeacherOptions) -> Classifier:
    """A classifier of a file with one input (B, 3, H, W) and the logits as its output of that name, or its first.

    Labels and pixels are read from what `mlic export` writes into a file, or from the config.json and
    preprocessor_config.json that exporters of transformers write beside it; what the options say wins.

    Args:
        file: the .onnx file.
        options: its `names`, `image_size`, `image_mean`, `image_std` and `activation`.

    Raises:
        ValueError: when labels, pixels or activation are told nowhere, or the file takes no batch of pictures.
        ImportError: without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError('An ONNX teacher is run by onnxruntime: pip install "mlic_hf[onnx]".') from error
    session = onnxruntime.InferenceSession(str(file), providers=onnxruntime.get_available_providers())
    (entry, *others), outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    batches = len(entry.shape) == 4 and not isinstance(entry.shape[0], int) and entry.type in TYPES
    if others or not batches:
        raise ValueError(
            f"{file} takes {[(one.name, one.shape, one.type) for one in session.get_inputs()]}; expected one input of "
            "floats (B, 3, H, W) with any number of pictures B: export it with a dynamic batch, the preparation of "
            "the pictures left out."
        )
    metadata = session.get_modelmeta().custom_metadata_map
    fixed = entry.shape[-1] if isinstance(entry.shape[-1], int) else None
    told = told_inside(metadata) if metadata.get("format", "").startswith("mlic_hf/") else told_beside(file, fixed)
    names, activation = options.names or told.names, options.activation or told.activation
    if not names or not activation:
        missing = " and ".join(what for what, found in (("names", names), ("activation", activation)) if not found)
        raise ValueError(f"{file} has no config.json beside it that tells {missing}; say so with teacher_options.")
    wanted = "logits" if "logits" in outputs else outputs[0]

    def logits(pixels: Tensor) -> Tensor:
        array = pixels.cpu().numpy().astype(TYPES[entry.type])
        return torch.from_numpy(session.run([wanted], {entry.name: array})[0])

    return Classifier(logits, list(names), chosen_pixels(file, fixed, told.pixels, options), activation)


def told_inside(metadata: dict[str, str]) -> Told:
    """What `mlic export` wrote into a file."""
    pixels: dict[str, Any] = json.loads(metadata["pixels"])
    pixels |= {"mean": tuple(pixels["mean"]), "std": tuple(pixels["std"])}
    return Told(json.loads(metadata["labels"]), "sigmoid", PixelSpec(**pixels))


def told_beside(file: Path, fixed: int | None) -> Told:
    """What lies beside a file: the config of whatever model, its image processor; `fixed` is the file's own size."""
    config, pixels = PretrainedConfig(), None
    if (file.parent / "config.json").is_file():
        config = PretrainedConfig.from_dict(PretrainedConfig.get_config_dict(file.parent)[0])
    if (file.parent / "preprocessor_config.json").is_file():
        processor = AutoImageProcessor.from_pretrained(file.parent, trust_remote_code=False)
        sized = config if fixed is None else PretrainedConfig(image_size=fixed)
        pixels = pixels_of(processor, sized)
    if not (file.parent / "config.json").is_file():
        return Told(pixels=pixels)
    return Told([config.id2label[place] for place in range(config.num_labels)], activation_of(config), pixels)


def chosen_pixels(file: Path, fixed: int | None, told: PixelSpec | None, options: TeacherOptions) -> PixelSpec:
    """The pixels of an ONNX file: as the options say, otherwise as it is told.

    Raises:
        ValueError: when size, mean or standard deviation are told nowhere, or the size contradicts the file's own.
    """
    size = options.image_size or fixed or (told and told.image_size)
    mean, std = options.image_mean or (told and told.mean), options.image_std or (told and told.std)
    if not size or not mean or not std:
        raise ValueError(
            f"{file} has no preprocessor_config.json beside it that tells how its pixels are prepared; say so with "
            "teacher_options: {image_size: ..., image_mean: [...], image_std: [...]}."
        )
    if fixed is not None and size != fixed:
        raise ValueError(f"{file} takes pictures of {fixed} pixels, but image_size is {size}.")
    return PixelSpec(int(size), tuple(mean), tuple(std), told.interpolation if told else "bilinear")
