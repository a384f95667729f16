"""Any timm network as a source of feature maps: channels first, stages fine to coarse, any input size."""

from __future__ import annotations

import os
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone_mlic import Backbone, choose_stages
from .configuration_mlic import MultiLabelConfig
from .timm_network_mlic import classifier_names, create_network, fuse_branches, read_pretrained


def pixel_multiple(net: Any) -> int:
    """What a network demands height and width to be a multiple of; pictures are padded to it."""
    if type(net).__name__ == "TResNet":
        return 4  # its stem folds 4x4 pixels into channels
    embedding = getattr(net, "patch_embed", None)
    if embedding is None or getattr(embedding, "dynamic_img_pad", True):
        return 1
    return int(embedding.patch_size[0])


class TimmBackbone(Backbone):
    """A timm network without its classifier.

    Raises:
        ValueError: when timm does not know the name or the network cannot take an option.
        ImportError: when timm is not installed.
    """

    def __init__(self, config: MultiLabelConfig) -> None:
        net: Any = create_network(config)
        info = list(getattr(net, "feature_info", None) or [])
        positions = choose_stages(info) if hasattr(net, "forward_intermediates") else []
        super().__init__(config, net, net.num_features, [info[i]["num_chs"] for i in positions], net.pretrained_cfg)
        self.stage_positions = positions
        self._stage_modules: list[str] = [info[i]["module"] for i in positions]
        self.pixel_multiple = pixel_multiple(net)
        self.apply_freezing()

    def _switch_checkpointing(self, enable: bool) -> bool:
        able = hasattr(self.net, "set_grad_checkpointing")
        if able:
            self.net.set_grad_checkpointing(enable)
        return able

    def forward(self, pixel_values: Tensor, with_stages: bool = False) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        pixels = self._pad(pixel_values)
        if not with_stages:
            return self._as_map(self.net.forward_features(pixels), pixels), None
        if not self.stage_positions:
            raise ValueError(f"{self.name} gives no stage maps in timm; choose a backbone with forward_intermediates.")
        final, maps = self.net.forward_intermediates(pixels, indices=self.stage_positions, output_fmt="NCHW")
        return self._as_map(final, pixels), tuple(maps)

    def load_pretrained(self, config: MultiLabelConfig, pretrained: bool | str | os.PathLike) -> None:
        """Load timm's weights (True) or a local state dict of this network (a path); False does nothing."""
        if pretrained:
            self.net.load_state_dict(read_pretrained(config, pretrained))

    def set_image_size(self, config: MultiLabelConfig) -> None:
        # a network of fixed input size is built anew, with its weights; timm resamples the position codes
        if not self.net.pretrained_cfg.get("fixed_input_size"):
            return
        weights = self.net.state_dict()
        net = create_network(config, pretrained=True, pretrained_cfg_overlay={"state_dict": weights})
        some = next(self.net.parameters())
        self.net = net.to(device=some.device, dtype=some.dtype)
        self.gradient_checkpointing = self._checkpointing
        self.train(self.training)

    def reparameterize(self) -> None:
        fuse_branches(self.net, self.name)

    def _frozen_parameters(self) -> list[nn.Parameter]:
        if self.freeze_stages == 0:
            return []
        # timm registers modules in the order of the pass: what precedes the stage's end is upstream of it
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
