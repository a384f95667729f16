"""Mixup: convex combinations of the images of a batch, and of their labels."""

from __future__ import annotations

import torch
from torch import Tensor

from mlic_hf.data.stateless_random import stateless_generator


def mixup(pixel_values: Tensor, labels: Tensor, alpha: float, *key: int | str) -> tuple[Tensor, Tensor]:
    """Every image mixed with another of the batch: lambda x_i + (1 - lambda) x_j, and its labels the same way.

    One lambda a batch, at least one half, so that every image stays the larger part of its mixture.

    Args:
        pixel_values: (B, 3, H, W).
        labels: (B, C) in [0, 1] or -1; a cell is unknown where either image's is.
        alpha: lambda is drawn from Beta(alpha, alpha); 0 mixes nothing.
        *key: what the draw is for, for example seed, epoch and the number of the batch: it is a function of these
            and of the number of images alone.

    Returns:
        The mixed pixels, and float labels (B, C) in [0, 1] or -1.

    Raises:
        ValueError: for a negative alpha, or pixels and labels of different numbers of images.

    Source:
        mixup: Beyond Empirical Risk Minimization (Zhang et al., ICLR 2018), equation 1.
    """
    if alpha < 0:
        raise ValueError(f"alpha is {alpha}, but mixup wants 0 (nothing is mixed) or more.")
    if len(pixel_values) != len(labels):
        raise ValueError(f"There are {len(pixel_values)} images but {len(labels)} rows of labels.")
    labels = labels if labels.is_floating_point() else labels.float()
    if alpha == 0 or len(labels) < 2:
        return pixel_values, labels
    generator = stateless_generator("mixup", len(labels), *key)
    share = float(generator.beta(alpha, alpha))
    share = max(share, 1 - share)
    partner = torch.from_numpy(generator.permutation(len(labels))).to(pixel_values.device)
    mixed = share * labels + (1 - share) * labels[partner]
    unknown = (labels < 0) | (labels[partner] < 0)
    return share * pixel_values + (1 - share) * pixel_values[partner], mixed.masked_fill(unknown, -1.0)
