"""How pixels are sized and normalised, and how one model's view of a batch becomes another's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf.modeling import MultiLabelModel


@dataclass(frozen=True)
class PixelSpec:
    """A square image size in pixels, the mean and standard deviation of each channel, for pixels in [0, 1], and the
    filter that evaluation resizes with.
    """

    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"

    @classmethod
    def of_model(cls, model: MultiLabelModel) -> PixelSpec:
        """The view a model was built for: its config's size, its backbone's normalisation and filter."""
        backbone = model.backbone
        return cls(model.config.image_size, tuple(backbone.mean), tuple(backbone.std), backbone.interpolation)


def convert_pixels(pixels: Tensor, source: PixelSpec, target: PixelSpec) -> Tensor:
    """Show a batch that was prepared for `source` as `target` wants it.

    Args:
        pixels: (B, 3, H, W), normalised as `source` says.
        source: the normalisation the pixels have.
        target: the view wanted; another size is reached by antialiased bilinear interpolation.

    Returns:
        (B, 3, H', W'); the same tensor when nothing differs.
    """
    if (source.mean, source.std) != (target.mean, target.std):
        scale = torch.tensor(source.std) / torch.tensor(target.std)
        shift = (torch.tensor(source.mean) - torch.tensor(target.mean)) / torch.tensor(target.std)
        pixels = pixels * scale.to(pixels).view(1, -1, 1, 1) + shift.to(pixels).view(1, -1, 1, 1)
    if source.image_size != target.image_size:
        size = (target.image_size, target.image_size)
        pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)
    return pixels
