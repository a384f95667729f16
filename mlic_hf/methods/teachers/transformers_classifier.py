"""Classifiers and dual encoders of transformers, from the Hub, a folder or memory, as classifiers that teach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)

from mlic_hf.methods.saved_model import weight_problems
from mlic_hf.methods.teachers.classifier import Classifier, TeacherOptions
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling import text_vectors
from mlic_hf.modeling.encoder_source_mlic import preparation


def load_classifier(where: str, labels: Sequence[str], options: TeacherOptions) -> Classifier | None:
    """A classifier or dual encoder of transformers by its folder or Hub name; code of a repository is never run.

    Args:
        where: folder or Hub name.
        labels: the student's labels, which a dual encoder is asked about.
        options: see there.

    Returns:
        None where the model is one of this library, or there is none.

    Raises:
        ValueError: for a model that is neither, or lacks weights.
        OSError: when there is no such name, or it has no image processor.
    """
    if Path(where).is_dir() and not (Path(where) / "config.json").is_file():
        return None
    config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    if config.model_type.startswith("mlic_"):
        return None
    named = any(name.endswith("ForImageClassification") for name in config.architectures or ())
    dual = is_dual(config) and not named
    if not dual and type(config) not in AutoModelForImageClassification._model_mapping:
        raise ValueError(
            f"The teacher {where} is a {config.model_type} model; expected an image classifier or a dual encoder "
            "of pictures and texts (CLIP, SigLIP)."
        )
    family = AutoModel if dual else AutoModelForImageClassification
    model, info = family.from_pretrained(where, output_loading_info=True, trust_remote_code=False)
    # what a checkpoint holds beside the model (a second head, a text tower) does no harm
    if problems := weight_problems(model, {**info, "unexpected_keys": ()}):
        raise ValueError(
            f"The teacher {where} is not whole: {'; '.join(problems)}. An encoder without a trained classifier cannot "
            "teach labels; train one on it first."
        )
    return of_model(model, labels, options)


def of_model(model: PreTrainedModel, labels: Sequence[str], options: TeacherOptions) -> Classifier:
    """A loaded classifier or dual encoder; image processor and tokenizer are those of where it came from.

    Raises:
        OSError: when it came from nowhere: make a `Classifier` of it, or use `of_classifier` and `of_dual_encoder`.
    """
    where = model.config._name_or_path
    processor = AutoImageProcessor.from_pretrained(where, trust_remote_code=False)
    if is_dual(model.config) and hasattr(model, "get_text_features"):
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        return of_dual_encoder(model, processor, tokenizer, asked_about(labels, options), options.template)
    return of_classifier(model, processor)


def of_classifier(model: PreTrainedModel, processor: Any) -> Classifier:
    """An `AutoModelForImageClassification` of transformers. Its config says whether it was trained on one label.

    Args:
        model: its `problem_type` "multi_label_classification" means sigmoid, any other softmax, as in transformers.
        processor: its image processor, for size, mean, standard deviation and filter.
    """
    config = model.config
    names = [config.id2label[place] for place in range(config.num_labels)]
    return Classifier(
        function=lambda pixels: model(pixel_values=pixels).logits,
        labels=unlike(names),
        pixels=pixels_of(processor, config),
        activation=activation_of(config),
        module=model,
    )


def of_dual_encoder(
    model: Any, processor: Any, tokenizer: Any, labels: Sequence[str], template: str = "a photo of a {}."
) -> Classifier:
    """A zero-shot classifier: how alike a picture and the texts of labels are, scaled as the dual encoder scales it.

    SigLIP's logits are of each text by itself, CLIP's compare the texts.

    Args:
        model: CLIP, SigLIP or another with image features, text features and a logit scale.
        processor: its image processor.
        tokenizer: its tokenizer.
        labels: what it is asked about.
        template: see `text_vectors`.

    Raises:
        ValueError: for a model without these.
    """
    if not all(hasattr(model, name) for name in ("get_image_features", "logit_scale")):
        raise ValueError(
            f"A {type(model).__name__} has no image features with a logit scale; expected CLIP or SigLIP."
        )
    model.eval()
    texts = F.normalize(text_vectors(labels, model, tokenizer, template), dim=1)
    bias = getattr(model, "logit_bias", None)

    def logits(pixels: Tensor) -> Tensor:
        features = model.get_image_features(pixel_values=pixels)
        pictures = F.normalize(getattr(features, "pooler_output", features).float(), dim=1)
        alike = model.logit_scale.float().exp() * pictures @ texts.to(pictures.device).T
        return alike if bias is None else alike + model.logit_bias.float()

    activation = "softmax" if bias is None else "sigmoid"
    return Classifier(torch.no_grad()(logits), list(labels), pixels_of(processor, model.config), activation, model)


def asked_about(labels: Sequence[str], options: TeacherOptions) -> list[str]:
    """What a dual encoder is asked about: the words of the map, and the labels that the map does not lead to."""
    reached = set(options.labels.values())
    return list(dict.fromkeys([*options.labels, *(label for label in labels if label not in reached)]))


def activation_of(config: PretrainedConfig) -> str:
    """Sigmoid where a config says that it is of several labels, softmax otherwise, as in transformers."""
    return "sigmoid" if config.problem_type == "multi_label_classification" else "softmax"


def is_dual(config: PretrainedConfig) -> bool:
    """Whether a config describes an encoder of pictures and one of texts."""
    return hasattr(config, "vision_config") and hasattr(config, "text_config")


def pixels_of(processor: Any, config: PretrainedConfig) -> PixelSpec:
    """Side, mean, standard deviation and filter of an image processor of transformers, timm's wrapper included.

    Raises:
        ValueError: when neither processor nor config tells one size.
    """
    timms = getattr(processor, "data_config", None)
    if timms is not None:
        return PixelSpec(timms["input_size"][-1], tuple(timms["mean"]), tuple(timms["std"]), timms["interpolation"])
    told = preparation(processor)
    size = told.get("image_size") or getattr(getattr(config, "vision_config", config), "image_size", None)
    if not isinstance(size, int):
        raise ValueError(f"{type(processor).__name__} does not tell the side of its pictures, found {size!r}.")
    return PixelSpec(size, tuple(told["image_mean"]), tuple(told["image_std"]), told.get("interpolation", "bilinear"))


def unlike(names: Sequence[str]) -> list[str]:
    """Names of which none occurs twice: ImageNet has two cranes; a second one gets its place behind it."""
    seen: set[str] = set()
    found = []
    for place, name in enumerate(names):
        found.append(f"{name} ({place})" if name in seen else name)
        seen.add(name)
    return found
