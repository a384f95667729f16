"""Where a vision encoder of transformers is taken from: its config, weights and pixel statistics."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
)

from .transformers_backbone_mlic import TransformersBackbone

# what belongs to the checkpoint and not to the encoder
NOT_THE_ENCODERS = (
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "id2label",
    "label2id",
    "problem_type",
    "torch_dtype",
    "transformers_version",
)
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}  # Pillow's numbers


@dataclass
class EncoderSource:
    """A vision encoder to build from.

    Attributes:
        name: what the backbone is called in the model's config; never a path.
        config: the encoder's own config.
        weights: its tensors, under the names of its own class; None for random ones.
        processor: its image processor, if it has one.
    """

    name: str
    config: PretrainedConfig
    weights: dict[str, Tensor] | None
    processor: Any

    @classmethod
    def read(cls, backbone: Any, pretrained: bool) -> EncoderSource:
        """From a Hub name, a folder, a config or a loaded model; code of a repository is never run.

        Raises:
            ValueError: for anything else.
            OSError: when there is no such name or folder.
        """
        if isinstance(backbone, PretrainedConfig):
            config = vision_config(backbone)
            return cls(config.model_type, clean(config), None, None)
        if isinstance(backbone, PreTrainedModel):
            where = backbone.config._name_or_path
            tower = vision_tower(backbone)
        elif isinstance(backbone, (str, os.PathLike)):
            where = os.fspath(backbone)
            if not pretrained:
                config = vision_config(AutoConfig.from_pretrained(where, trust_remote_code=False))
                return cls(public_name(where, config), clean(config), None, read_processor(where))
            tower = vision_tower(AutoModel.from_pretrained(where, trust_remote_code=False))
        else:
            raise ValueError(
                f"backbone is a {type(backbone).__name__}; expected a Hub name, a folder, a config or a model of "
                "transformers, or a timm name."
            )
        weights = tower.state_dict() if pretrained else None
        return cls(public_name(where, tower.config), clean(tower.config), weights, read_processor(where))

    def config_fields(self, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of a model's config on this encoder, less those given.

        Raises:
            ValueError: when the encoder's weights come without pixel statistics.
        """
        fields: dict[str, Any] = {"backbone": self.name, "backbone_config": self.config}
        if self.processor is not None:
            fields.update(preparation(self.processor))
        elif self.weights is not None and not {"image_mean", "image_std"} <= set(given):
            raise ValueError(
                f"{self.name} has weights, but no image processor that tells how its pixels are normalised; "
                "give image_mean and image_std."
            )
        size = getattr(self.config, "image_size", None)
        if isinstance(size, int):
            fields.setdefault("image_size", size)
        return fields

    def fill(self, backbone: TransformersBackbone) -> None:
        """Copy the weights into a backbone that was built from this config.

        Raises:
            ValueError: when tensors that the map depends on are missing.
        """
        if self.weights is None:
            return
        own = set(backbone.net.state_dict())
        found = backbone.net.load_state_dict({k: v for k, v in self.weights.items() if k in own}, strict=False)
        missing = sorted(set(found.missing_keys) - backbone.measured.unused)
        if missing:
            raise ValueError(f"{self.name} lacks {len(missing)} tensors of its encoder, the first {missing[:3]}.")


def vision_config(config: PretrainedConfig) -> PretrainedConfig:
    """The part of a config that describes the vision encoder: of CLIP its `vision_config`."""
    return getattr(config, "vision_config", None) or config


def vision_tower(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder inside a model: a dual encoder's vision tower, a classifier's base model, or the model itself."""
    base = model.base_model
    for part in (getattr(model, "vision_model", None), getattr(base, "vision_model", None), model, base):
        if isinstance(part, PreTrainedModel) and type(part) is MODEL_MAPPING.get(type(part.config), None):
            return part
    return model


def clean(config: PretrainedConfig) -> PretrainedConfig:
    """A copy of an encoder's config without what belongs to the checkpoint it came from."""
    fields = {name: value for name, value in config.to_dict().items() if name not in NOT_THE_ENCODERS}
    if "vision_use_head" in fields:
        fields["vision_use_head"] = False  # SigLIP's pooling, which no map depends on
    return type(config).from_dict(fields)


def public_name(where: str, config: PretrainedConfig) -> str:
    """A Hub name as it is; for a folder, whose path is nobody's business, the encoder's type."""
    return config.model_type if not where or os.path.isdir(where) or os.path.isabs(where) else where


def read_processor(where: str) -> Any:
    """The image processor of a name or folder, or None."""
    try:
        return AutoImageProcessor.from_pretrained(where, trust_remote_code=False) if where else None
    except OSError:
        return None


def preparation(processor: Any) -> dict[str, Any]:
    """What an image processor of transformers does to pixels, in the fields of our config.

    Raises:
        ValueError: when it turns the colours round, which ours does not.
    """
    if getattr(processor, "do_flip_channel_order", False):
        raise ValueError(
            f"{type(processor).__name__} swaps red and blue, which this library's image processor does not; "
            "choose another backbone."
        )
    scale = 255.0 * processor.rescale_factor if processor.do_rescale else 255.0
    offset = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    mean, std = (list(processor.image_mean), list(processor.image_std)) if processor.do_normalize else ([0.0], [1.0])
    twice = [value if getattr(processor, "include_top", False) else 1.0 for value in std]  # EfficientNet's
    fields: dict[str, Any] = {
        "image_mean": [(value + offset) / scale for value in mean] * (3 // len(mean)),
        "image_std": [value * again / scale for value, again in zip(std, twice, strict=True)] * (3 // len(std)),
    }
    if processor.resample is not None:
        fields["interpolation"] = FILTERS[int(processor.resample)]
    size = image_size(processor)
    return {**fields, "image_size": size} if size else fields


def image_size(processor: Any) -> int | None:
    """The side of the pictures that a processor makes: of its crop, its square or its shorter edge."""
    size = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size = dict(size or getattr(processor, "size", None) or {})
    side = size.get("height") or size.get("shortest_edge")
    patches, patch = getattr(processor, "max_num_patches", None), getattr(processor, "patch_size", None)
    return int(patches**0.5) * patch if side is None and patches and patch else side
