"""Any vision encoder of transformers as a source of feature maps."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig

from .backbone_mlic import Backbone
from .configuration_mlic import MultiLabelConfig
from .vision_encoder_mlic import create_encoder, measure_encoder, run_encoder

TIMM_OPTIONS = ("output_stride", "dilation", "reparameterized")


class TransformersBackbone(Backbone):
    """A vision encoder of transformers, built from `config.backbone_config`.

    Its map is the encoder's own `last_hidden_state`, its stages' maps are hidden states; class and register
    tokens are left out of them. Parameters that the map does not depend on stay untrained.

    Raises:
        ValueError: when transformers has no such encoder, or it lacks an option that the config asks for.
    """

    def __init__(self, config: MultiLabelConfig) -> None:
        encoder_config = with_options(config)
        measured = measure_encoder(encoder_config, config.freeze_stages)
        channels = [layout.channels for _, layout in measured.stages]
        super().__init__(config, create_encoder(encoder_config), measured.last.channels, channels, {})
        self.measured = measured
        self.apply_freezing()

    def _switch_checkpointing(self, enable: bool) -> bool:
        # transformers switches the network's own layers, which it finds as it has found this module
        return bool(self.net.supports_gradient_checkpointing)

    def forward(self, pixel_values: Tensor, with_stages: bool = False) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        last, states = run_encoder(self.net, self.measured.taken, pixel_values, with_stages)
        feature_map = self.measured.last.as_map(last, pixel_values)
        if not with_stages:
            return feature_map, None
        chosen = ((states[position], layout) for position, layout in self.measured.stages)
        return feature_map, tuple(layout.as_map(state, pixel_values) for state, layout in chosen)

    def _frozen_parameters(self) -> list[nn.Parameter]:
        frozen = self.measured.unused | self.measured.frozen
        return [parameter for name, parameter in self.net.named_parameters() if name in frozen]


def with_options(config: MultiLabelConfig) -> PretrainedConfig:
    """The encoder's config, with the stochastic depth that ours asks for.

    Raises:
        ValueError: for an option that only timm's networks have, or this encoder has not.
    """
    unknown = [name for name in TIMM_OPTIONS if getattr(config, name)]
    encoder_config: Any = copy.deepcopy(config.backbone_config)
    if config.drop_path_rate:
        if not hasattr(encoder_config, "drop_path_rate"):
            unknown.append("drop_path_rate")
        encoder_config.drop_path_rate = config.drop_path_rate
    if unknown:
        raise ValueError(
            f"{config.backbone} is a {encoder_config.model_type} of transformers, which has no {', '.join(unknown)}; "
            "leave it out or choose a timm backbone."
        )
    return encoder_config
