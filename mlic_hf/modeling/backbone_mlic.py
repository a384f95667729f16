"""What heads and trainers ask of a network without classifier, whichever library it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .configuration_mlic import MultiLabelConfig

SMALLEST_STAGE_REDUCTION = 4
STAGES = 4
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A network `net` that turns pixels into a map, and on request into the maps of its stages.

    A subclass builds the network and says how it is run (`forward`) and which parameters its first stages have
    (`_frozen_parameters`). The network's tensors are named `backbone.net.<its library's own name>`.

    Args:
        config: the model's config: name, freezing, pixel statistics.
        net: the network.
        num_features: channels D of the feature map.
        stage_channels: channels of each stage map, fine to coarse.
        pixels: the network's own "mean", "std" and "interpolation", which the config may replace.

    Attributes:
        num_features, stage_channels: as given.
        mean, std: pixel normalisation, three numbers each, for pixels in [0, 1].
        interpolation: how images are resized ("bilinear", "bicubic", ...).
        gradient_checkpointing: whether activations are recomputed in the backward pass; transformers sets it.
    """

    net: Any

    def __init__(
        self,
        config: MultiLabelConfig,
        net: nn.Module,
        num_features: int,
        stage_channels: Sequence[int],
        pixels: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.net = net
        self.name = config.backbone
        self.num_features = num_features
        self.stage_channels = list(stage_channels)
        self.mean: list[float] = list(config.image_mean or pixels.get("mean") or IMAGENET_MEAN)
        self.std: list[float] = list(config.image_std or pixels.get("std") or IMAGENET_STD)
        self.interpolation: str = config.interpolation or pixels.get("interpolation") or "bicubic"
        self.freeze_batch_norm = config.freeze_batch_norm
        self.freeze_batch_norm_affine = config.freeze_batch_norm_affine
        self.freeze_stages = config.freeze_stages
        if self.freeze_stages > len(self.stage_channels):
            raise ValueError(
                f"freeze_stages is {self.freeze_stages}; {self.name} has {len(self.stage_channels)} stages."
            )
        self._checkpointing = False

    def forward(self, pixel_values: Tensor, with_stages: bool = False) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """The feature map, and on request the stage maps of the same pass.

        Args:
            pixel_values: (B, 3, H, W), normalised.
            with_stages: also return the stage maps.

        Returns:
            (B, D, h, w), and a tuple of (B, D_s, h_s, w_s) or None.
        """
        raise NotImplementedError

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        return self._checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, enable: bool) -> None:
        if not self._switch_checkpointing(enable) and enable:
            raise ValueError(
                f"{self.name} has no gradient checkpointing in its library; switch gradient_checkpointing off."
            )
        self._checkpointing = enable

    def _switch_checkpointing(self, enable: bool) -> bool:
        """Tell the network; False when it cannot."""
        raise NotImplementedError

    def feature_map(self, pixel_values: Tensor) -> Tensor:
        """The last map (B, D, h, w), normalised as the network's own classifier would see it."""
        return self(pixel_values)[0]

    def stage_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """The stages' maps, fine to coarse, each (B, D_s, h_s, w_s)."""
        return list(self(pixel_values, with_stages=True)[1] or ())

    def set_image_size(self, config: MultiLabelConfig) -> None:
        """Make the network one for the config's input size: weights stay, position codes are resampled."""

    def reparameterize(self) -> None:
        """Fuse parallel branches for inference. Raises ValueError if there are none."""
        raise ValueError(f"{self.name} has no branches to fuse; reparameterize() is for RepVGG and its like.")

    def train(self, mode: bool = True) -> Backbone:
        """As `nn.Module.train`, but what is frozen stays frozen, however often it is called."""
        super().train(mode)
        self.apply_freezing()
        return self

    def apply_freezing(self) -> None:
        """Hold batch norm and the first stages still, as the config asks."""
        if self.freeze_batch_norm:
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
                    if self.freeze_batch_norm_affine:
                        module.requires_grad_(False)
        for parameter in self._frozen_parameters():
            parameter.requires_grad_(False)

    def _frozen_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters of the first `freeze_stages` stages and what lies before them."""
        raise NotImplementedError


def choose_stages(feature_info: Sequence[Mapping[str, Any]]) -> list[int]:
    """Positions, among a network's intermediate maps, of its (at most four) stages from fine to coarse.

    Networks with a pyramid give one map a stage, the half-resolution stem left out; networks whose blocks all
    have one resolution (ViT) give four evenly spaced blocks.

    Args:
        feature_info: for each map at least {"reduction"}, as in timm.
    """
    positions = [i for i, info in enumerate(feature_info) if info["reduction"] >= SMALLEST_STAGE_REDUCTION]
    if len(positions) <= STAGES:
        return positions
    reductions = {feature_info[i]["reduction"] for i in positions}
    if len(reductions) == 1:
        return [positions[len(positions) * (stage + 1) // STAGES - 1] for stage in range(STAGES)]
    return positions[-STAGES:]


def start_anew(backbone: Backbone, names: Sequence[str], config: MultiLabelConfig) -> None:
    """Give the named tensors of a backbone the values of one just built, with its library's own initialisation."""
    build: Any = type(backbone)
    fresh, own = build(config).state_dict(), backbone.state_dict()
    with torch.no_grad():
        for name in names:
            own[name].copy_(fresh[name])


def pooled(feature_map: Tensor) -> Tensor:
    """Spatial mean of a map: (B, D, h, w) -> (B, D)."""
    return torch.mean(feature_map, dim=(2, 3))
