"""The configuration that all architectures share: backbone, input, labels, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from .config_checks_mlic import (
    LARGEST_IMAGE,
    is_number,
    number_list,
    require_choice,
    require_share,
    require_switch,
    require_whole,
    shown,
)
from .labels_mlic import LABEL_FIELDS, asked_names, check_label_maps, label_names, with_labels
from .picture_settings_mlic import FILTERS

HEAVY_OUTPUTS = [
    "label_embeddings",
    "group_embeddings",
    "feature_map",
    "stage_maps",
    "hidden_states",
    "attentions",
    "class_maps",
    "projections",
    "co_occurrence",
    "graph_embeddings",
]


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
        thresholds: one decision threshold in [0, 1] a label, on scores that are not calibrated, or None for 0.5
            everywhere.
        calibration: [scale, shift] a label, the probability being sigmoid(scale * logit + shift) (Platt, 1999; a
            temperature T is [1 / T, 0]), or None. Applied only where calibrated scores are asked for.
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
        calibration: Sequence[Sequence[float]] | None = None,
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
        self.image_mean = image_mean
        self.image_std = image_std
        self.interpolation = interpolation
        kwargs.setdefault("keys_to_ignore_at_inference", list(HEAVY_OUTPUTS))
        check_label_maps(kwargs)
        super().__init__(problem_type=problem, **kwargs)
        self.thresholds = thresholds
        self.calibration = calibration
        self.check()

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers, with every field checked. Thresholds and calibration follow the names of the labels.

        Args:
            config_dict: the stored fields.
            **kwargs: fields that win over the stored ones, and `labels`, a list of names, for `id2label`.
        """
        stored = label_names(config_dict)
        names = asked_names(kwargs, stored)
        fields = dict(config_dict) if names is None or names == stored else with_labels(config_dict, names)
        # `labels` stays: AutoModel hands what is left to the model
        for field in ("num_labels", "id2label", "label2id"):
            kwargs.pop(field, None)
        fields.update({field: kwargs.pop(field) for field in LABEL_FIELDS if field in kwargs})
        loaded = super().from_dict(fields, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded).check()
        return loaded

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, after `check`: fields may have been set since."""
        self.check()
        return super().save_pretrained(save_directory, *args, **kwargs)

    def set_labels(self, names: Sequence[str]) -> None:
        """Other labels, in place. Thresholds and calibration follow their names."""
        fields = {"id2label": self.id2label, **{field: getattr(self, field) for field in LABEL_FIELDS}}
        for field, value in with_labels(fields, names).items():
            setattr(self, field, value)
        self.check()

    def check(self) -> None:
        """Raises ValueError, a sentence naming the field, what was found and what was expected."""
        name = type(self).__name__
        if not isinstance(self.backbone, str) or not self.backbone:
            raise ValueError(f"{name}.backbone is {self.backbone!r}; expected a timm model name such as 'resnet50'.")
        require_whole(self, 1, LARGEST_IMAGE, "image_size")
        require_choice(self, "output_stride", (None, 8, 16, 32))
        require_share(self, "drop_path_rate")
        require_switch(self, "dilation", "freeze_batch_norm", "freeze_batch_norm_affine", "reparameterized")
        require_whole(self, 0, 4, "freeze_stages")
        if self.freeze_batch_norm_affine and not self.freeze_batch_norm:
            raise ValueError(
                f"{name}.freeze_batch_norm_affine needs freeze_batch_norm: weights cannot be frozen while "
                "the statistics still move. Set freeze_batch_norm=True."
            )
        for field in ("image_mean", "image_std"):
            numbers = number_list(self, field, "a colour")
            setattr(self, field, numbers)
            if numbers is not None and len(numbers) != 3:
                raise ValueError(f"{name}.{field} is {shown(numbers)}; expected three numbers, one a colour.")
        if self.image_std is not None and min(self.image_std) <= 0:
            raise ValueError(f"{name}.image_std is {self.image_std!r}; expected three numbers above 0.")
        require_choice(self, "interpolation", (None, *FILTERS))
        self._check_label_fields()

    def _check_label_fields(self) -> None:
        name = type(self).__name__
        check_label_maps({"id2label": self.id2label})
        self.thresholds = number_list(self, "thresholds", "a label")
        if self.thresholds is not None and len(self.thresholds) != self.num_labels:
            raise ValueError(
                f"{name}.thresholds has {len(self.thresholds)} numbers for {self.num_labels} labels; "
                "give one a label, in the order of id2label."
            )
        if not all(0.0 <= value <= 1.0 for value in self.thresholds or ()):
            raise ValueError(f"{name}.thresholds is {shown(self.thresholds)}; expected numbers in [0, 1].")
        if self.calibration is None:
            return
        pairs = self.calibration.tolist() if hasattr(self.calibration, "tolist") else self.calibration
        if not isinstance(pairs, (list, tuple)) or not all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 and all(map(is_number, pair)) and pair[0] > 0
            for pair in pairs
        ):
            raise ValueError(f"{name}.calibration is {shown(pairs)}; expected [scale, shift] a label, scale above 0.")
        if len(pairs) != self.num_labels:
            raise ValueError(
                f"{name}.calibration has {len(pairs)} pairs for {self.num_labels} labels; "
                "give one a label, in the order of id2label."
            )
        self.calibration = [[float(scale), float(shift)] for scale, shift in pairs]
