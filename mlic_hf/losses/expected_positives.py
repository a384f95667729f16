"""Expected positive regularisation (EPR): only the number of positives an image has on average is known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import full_precision
from .reduction import reduce_cells
from .unlisted import split_cells


@full_precision
def expected_positives(
    logits: Tensor,
    targets: Tensor,
    expected: float,
    weight: float = 1.0,
    unlisted: int = 0,
    reduction: str = "mean",
) -> Tensor:
    """-log p of the positives (and -log(1 - p) of known negatives), mean over cells, + weight ((k - expected) / C)^2.

    k is the sum of the probabilities of an image, averaged over the images of the batch. Couples images: gather the
    inputs of all processes first.

    Args:
        logits: (B, C).
        targets: (B, C) in {0, 1, -1}.
        expected: positives an image is expected to have, listed or not.
        weight: lambda, of the regulariser.
        unlisted: which targets nobody listed, 0 or -1 (`split_cells`).
        reduction: "mean" (the paper's own) or "sum", the mean times the images with a known cell.

    Returns:
        A scalar; 0 with the graph attached when nothing is known.

    Raises:
        ValueError: for another reduction or `unlisted`, a number of positives the labels cannot have, unlike shapes
            or soft targets.

    Source:
        Multi-Label Learning from Single Positive Labels (Cole et al., CVPR 2021), the expected-positive
        regulariser; the first part is a mean over all cells, as its published code has it, without the 1e-5
        that it adds within the logarithms. ROLE, which adds a table of estimated labels, is not here.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction is "{reduction}"; expected "sum" or "mean".')
    if not 0 <= expected <= logits.shape[1]:
        raise ValueError(f"expected is {expected}; an image has 0 to {logits.shape[1]} of the labels.")
    cells = split_cells(targets, logits, unlisted)
    listed = torch.where(cells.positive, -F.logsigmoid(logits), torch.zeros_like(logits))
    listed = torch.where(cells.negative, -F.logsigmoid(-logits), listed)
    images = cells.known.any(dim=1).sum()
    found = torch.where(cells.known, torch.sigmoid(logits), torch.zeros_like(logits)).sum() / images.clamp(min=1)
    distance = ((found - expected) / logits.shape[1]) ** 2
    mean = reduce_cells(listed, cells.known, "mean") + weight * torch.where(images > 0, distance, 0.0 * distance)
    return mean if reduction == "mean" else mean * images
