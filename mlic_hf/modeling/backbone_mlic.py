"""Any timm network as a source of feature maps: channels first, stages fine to coarse, any input size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_mlic import MultiLabelConfig
from .timm_network_mlic import classifier_names, create_network, fuse_branches, read_pretrained

SMALLEST_STAGE_REDUCTION = 4
STAGES = 4


def choose_stages(feature_info: list[dict]) -> list[int]:
    """Positions, among a network's intermediate maps, of its (at most four) stages from fine to coarse.

    Networks with a pyramid give one map a stage, the half-resolution stem left out; networks whose blocks all
    have one resolution (ViT) give four evenly spaced blocks.

    Args:
        feature_info: timm's list of {"num_chs", "reduction", "module"}.
    """
    positions = [i for i, info in enumerate(feature_info) if info["reduction"] >= SMALLEST_STAGE_REDUCTION]
    if len(positions) <= STAGES:
        return positions
    reductions = {feature_info[i]["reduction"] for i in positions}
    if len(reductions) == 1:
        return [positions[len(positions) * (stage + 1) // STAGES - 1] for stage in range(STAGES)]
    return positions[-STAGES:]


def pixel_multiple(net: Any) -> int:
    """What a network demands height and width to be a multiple of; pictures are padded to it."""
    if type(net).__name__ == "TResNet":
        return 4  # its stem folds 4x4 pixels into channels
    embedding = getattr(net, "patch_embed", None)
    if embedding is None or getattr(embedding, "dynamic_img_pad", True):
        return 1
    return int(embedding.patch_size[0])


class TimmBackbone(nn.Module):
    """A timm network without its classifier.

    Attributes:
        num_features: channels D of the feature map.
        stage_channels: channels of each stage map, fine to coarse.
        mean, std: pixel normalisation, three numbers each, for pixels in [0, 1].
        interpolation: how images are resized ("bilinear", "bicubic", ...).

    Raises:
        ValueError: when timm does not know the name or the network cannot take an option.
        ImportError: when timm is not installed.
    """

    net: Any

    def __init__(self, config: MultiLabelConfig) -> None:
        super().__init__()
        self.net = create_network(config)
        self.name = config.backbone
        self.num_features: int = self.net.num_features
        info = list(getattr(self.net, "feature_info", None) or [])
        self.stage_positions = choose_stages(info) if hasattr(self.net, "forward_intermediates") else []
        self.stage_channels: list[int] = [info[i]["num_chs"] for i in self.stage_positions]
        self._stage_modules: list[str] = [info[i]["module"] for i in self.stage_positions]
        data = self.net.pretrained_cfg
        self.mean: list[float] = list(config.image_mean or data.get("mean") or (0.485, 0.456, 0.406))
        self.std: list[float] = list(config.image_std or data.get("std") or (0.229, 0.224, 0.225))
        self.interpolation: str = config.interpolation or data.get("interpolation") or "bicubic"
        self.pixel_multiple = pixel_multiple(self.net)
        self.freeze_batch_norm = config.freeze_batch_norm
        self.freeze_batch_norm_affine = config.freeze_batch_norm_affine
        self.freeze_stages = config.freeze_stages
        if self.freeze_stages > len(self._stage_modules):
            raise ValueError(
                f"freeze_stages is {self.freeze_stages}; {self.name} has {len(self._stage_modules)} stages."
            )
        self._checkpointing = False
        self.apply_freezing()

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass; transformers sets it."""
        return self._checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, enable: bool) -> None:
        if enable and not hasattr(self.net, "set_grad_checkpointing"):
            raise ValueError(f"{self.name} has no gradient checkpointing in timm; switch gradient_checkpointing off.")
        if hasattr(self.net, "set_grad_checkpointing"):
            self.net.set_grad_checkpointing(enable)
        self._checkpointing = enable

    def forward(self, pixel_values: Tensor, with_stages: bool = False) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """The feature map, and on request the stage maps of the same pass.

        Args:
            pixel_values: (B, 3, H, W), normalised.
            with_stages: also return the stage maps.

        Returns:
            (B, D, h, w), and a tuple of (B, D_s, h_s, w_s) or None.
        """
        pixels = self._pad(pixel_values)
        if not with_stages:
            return self._as_map(self.net.forward_features(pixels), pixels), None
        if not self.stage_positions:
            raise ValueError(f"{self.name} gives no stage maps in timm; choose a backbone with forward_intermediates.")
        final, maps = self.net.forward_intermediates(pixels, indices=self.stage_positions, output_fmt="NCHW")
        return self._as_map(final, pixels), tuple(maps)

    def feature_map(self, pixel_values: Tensor) -> Tensor:
        """The last map (B, D, h, w), normalised as the network's own classifier would see it."""
        return self(pixel_values)[0]

    def stage_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """The stages' maps, fine to coarse, each (B, D_s, h_s, w_s)."""
        return list(self(pixel_values, with_stages=True)[1] or ())

    def load_pretrained(self, config: MultiLabelConfig, pretrained: bool | str | os.PathLike) -> None:
        """Load timm's weights (True) or a local state dict of this network (a path); False does nothing."""
        if pretrained:
            self.net.load_state_dict(read_pretrained(config, pretrained))

    def set_image_size(self, config: MultiLabelConfig) -> None:
        """Rebuild a network of fixed input size for the config's, with its weights and resampled position codes."""
        if not self.net.pretrained_cfg.get("fixed_input_size"):
            return
        weights = self.net.state_dict()
        net = create_network(config, pretrained=True, pretrained_cfg_overlay={"state_dict": weights})
        some = next(self.net.parameters())
        self.net = net.to(device=some.device, dtype=some.dtype)
        self.gradient_checkpointing = self._checkpointing
        self.train(self.training)

    def reparameterize(self) -> None:
        """Fuse parallel branches for inference. Raises ValueError if there are none."""
        fuse_branches(self.net, self.name)

    def train(self, mode: bool = True) -> TimmBackbone:
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

    def _frozen_parameters(self) -> list[nn.Parameter]:
        # timm registers modules in the order of the pass: what precedes the stage's end is upstream of it
        if self.freeze_stages == 0:
            return []
        named = list(self.net.named_parameters())
        prefix = self._stage_modules[self.freeze_stages - 1] + "."
        inside = [position for position, (name, _) in enumerate(named) if name.startswith(prefix)]
        return [parameter for _, parameter in named[: max(inside, default=-1) + 1]]

    def _pad(self, pixels: Tensor) -> Tensor:
        if self.pixel_multiple == 1:
            return pixels
        bottom, right = (-pixels.shape[-2] % self.pixel_multiple, -pixels.shape[-1] % self.pixel_multiple)
        return F.pad(pixels, (0, right, 0, bottom)) if bottom or right else pixels

    def _as_map(self, features: Tensor, pixels: Tensor) -> Tensor:
        """Bring a network's last features, whatever their layout, to (B, D, h, w) after the final norm."""
        net = self.net
        if features.ndim == 3:
            features = getattr(net, "fc_norm", nn.Identity())(features)
            tokens = features[:, getattr(net, "num_prefix_tokens", 0) :]
            height, width = net.patch_embed.dynamic_feat_size((pixels.shape[-2], pixels.shape[-1]))
            return tokens.transpose(1, 2).reshape(features.shape[0], -1, height, width)
        if getattr(net, "output_fmt", "NCHW") == "NHWC":
            features = features.permute(0, 3, 1, 2)
        if type(getattr(net, "head", None)).__name__ == "NormMlpClassifierHead":
            # Differs: timm's ConvNeXt pools first and normalises after; heads read the normalised map
            features = net.head.norm(features)
        return features

    def classifier_names(self) -> tuple[str, ...]:
        """Prefixes of the classifier's keys in a checkpoint of the whole timm network."""
        return classifier_names(self.net)


def start_anew(backbone: nn.Module, names: Sequence[str], config: MultiLabelConfig) -> None:
    """Give the named tensors of a backbone the values of one just built, with its library's own initialisation."""
    fresh, own = type(backbone)(config).state_dict(), backbone.state_dict()
    with torch.no_grad():
        for name in names:
            own[name].copy_(fresh[name])


def pooled(feature_map: Tensor) -> Tensor:
    """Spatial mean of a map: (B, D, h, w) -> (B, D)."""
    return torch.mean(feature_map, dim=(2, 3))
