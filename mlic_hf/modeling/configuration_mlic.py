"""The configuration that all architectures share: backbone, input, labels, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

HEAVY_OUTPUTS = [
    "label_embeddings",
    "group_embeddings",
    "feature_map",
    "stage_maps",
    "attentions",
    "class_maps",
    "projections",
    "co_occurrence",
    "graph_embeddings",
]
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def require_positive(config: PretrainedConfig, *names: str) -> None:
    """Raises ValueError unless each named field is a whole number of at least 1."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected a whole number of at least 1.")


def require_share(config: PretrainedConfig, *names: str) -> None:
    """Raises ValueError unless each named field lies in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected a number in [0, 1).")


def require_choice(config: PretrainedConfig, name: str, choices: Sequence[Any]) -> None:
    """Raises ValueError unless the named field is one of the choices."""
    value = getattr(config, name)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{type(config).__name__}.{name} is {value!r}; expected one of {listed}.")


def require_divisible(config: PretrainedConfig, width: str, heads: str) -> None:
    """Raises ValueError unless the attention heads share the width evenly."""
    if getattr(config, width) % getattr(config, heads) != 0:
        raise ValueError(
            f"{type(config).__name__}.{width} is {getattr(config, width)}, which {heads} "
            f"{getattr(config, heads)} does not divide; choose {heads} that divides it."
        )


def encoder_config(fields: PretrainedConfig | dict[str, Any] | None) -> PretrainedConfig | None:
    """A stored encoder's config as the class of transformers that its `model_type` names.

    Raises:
        ValueError: when this transformers has no such model.
    """
    if not isinstance(fields, dict):
        return fields
    if fields.get("model_type") not in CONFIG_MAPPING:
        raise ValueError(
            f"backbone_config.model_type is {fields.get('model_type')!r}, which this transformers does not have; "
            "expected the name of one of its vision encoders, such as 'dinov2'."
        )
    return CONFIG_MAPPING[fields["model_type"]].from_dict(fields)


class MultiLabelConfig(PretrainedConfig):
    """Fields that every architecture has.

    Args:
        backbone: a timm model name, e.g. "resnet101"; with `backbone_config` only what the encoder is called.
        backbone_config: the config of a vision encoder of transformers, which is then the backbone; None for timm.
        image_size: side of the square input, in pixels.
        output_stride: 8 or 16 to keep the last stages at a finer grid; None for the backbone's own.
        dilation: with `output_stride`, dilate the convolutions whose stride was taken (timm's way);
            False keeps them undilated, as in the published object-aware models.
        drop_path_rate: stochastic depth of the backbone, in [0, 1).
        freeze_batch_norm: keep the backbone's batch norm on its running statistics while training.
        freeze_batch_norm_affine: also keep the batch norm's weight and bias untrained.
        freeze_stages: how many of the backbone's stages stay untrained, from the finest, the stem included.
        reparameterized: the backbone's parallel branches are fused (`model.reparameterize()` sets it).
        thresholds: one decision threshold in [0, 1] a label, or None for 0.5 everywhere.
        image_mean, image_std, interpolation: how pixels are prepared; None for the backbone's own.
        id2label, label2id, num_labels: as in every PretrainedConfig.

    Raises:
        ValueError: a sentence naming the field, what was found and what was expected.
    """

    model_type = "mlic"
    sub_configs = {"backbone_config": AutoConfig}

    def __init__(
        self,
        backbone: str = "resnet50",
        image_size: int = 224,
        output_stride: int | None = None,
        dilation: bool = False,
        drop_path_rate: float = 0.0,
        freeze_batch_norm: bool = False,
        freeze_batch_norm_affine: bool = False,
        freeze_stages: int = 0,
        reparameterized: bool = False,
        thresholds: Sequence[float] | None = None,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        interpolation: str | None = None,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        problem = kwargs.pop("problem_type", None) or "multi_label_classification"
        if problem != "multi_label_classification":
            raise ValueError(
                f"problem_type is {problem!r}; these models answer only 'multi_label_classification'. "
                "Leave problem_type out."
            )
        self.backbone = backbone
        self.backbone_config = encoder_config(backbone_config)
        self.image_size = image_size
        self.output_stride = output_stride
        self.dilation = dilation
        self.drop_path_rate = drop_path_rate
        self.freeze_batch_norm = freeze_batch_norm
        self.freeze_batch_norm_affine = freeze_batch_norm_affine
        self.freeze_stages = freeze_stages
        self.reparameterized = reparameterized
        self.image_mean = None if image_mean is None else [float(value) for value in image_mean]
        self.image_std = None if image_std is None else [float(value) for value in image_std]
        self.interpolation = interpolation
        kwargs.setdefault("keys_to_ignore_at_inference", list(HEAVY_OUTPUTS))
        super().__init__(problem_type=problem, **kwargs)
        self.thresholds = None if thresholds is None else [float(value) for value in thresholds]
        self._check_shared_fields()

    def _check_shared_fields(self) -> None:
        name = type(self).__name__
        if not isinstance(self.backbone, str) or not self.backbone:
            raise ValueError(f"{name}.backbone is {self.backbone!r}; expected a timm model name such as 'resnet50'.")
        require_positive(self, "image_size")
        require_choice(self, "output_stride", (None, 8, 16, 32))
        require_share(self, "drop_path_rate")
        if not isinstance(self.freeze_stages, int) or not 0 <= self.freeze_stages <= 4:
            raise ValueError(f"{name}.freeze_stages is {self.freeze_stages!r}; expected 0 to 4 stages.")
        if self.freeze_batch_norm_affine and not self.freeze_batch_norm:
            raise ValueError(
                f"{name}.freeze_batch_norm_affine needs freeze_batch_norm: weights cannot be frozen while "
                "the statistics still move. Set freeze_batch_norm=True."
            )
        for field in ("image_mean", "image_std"):
            value = getattr(self, field)
            if value is not None and len(value) != 3:
                raise ValueError(f"{name}.{field} is {value!r}; expected three numbers, one a colour.")
        if self.image_std is not None and min(self.image_std) <= 0:
            raise ValueError(f"{name}.image_std is {self.image_std!r}; expected three numbers above 0.")
        require_choice(self, "interpolation", (None, *INTERPOLATIONS))
        self._check_labels_and_thresholds()

    def _check_labels_and_thresholds(self) -> None:
        name = type(self).__name__
        if sorted(self.id2label) != list(range(self.num_labels)):
            raise ValueError(
                f"{name}.id2label has the ids {sorted(self.id2label)}; expected 0 to {self.num_labels - 1}."
            )
        if self.thresholds is None:
            return
        if len(self.thresholds) != self.num_labels:
            raise ValueError(
                f"{name}.thresholds has {len(self.thresholds)} numbers for {self.num_labels} labels; "
                "give one a label, in the order of id2label."
            )
        if not all(0.0 <= value <= 1.0 for value in self.thresholds):
            raise ValueError(f"{name}.thresholds is {self.thresholds!r}; expected numbers in [0, 1].")
