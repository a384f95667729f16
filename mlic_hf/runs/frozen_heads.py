"""Linear heads on the pooled features of a frozen backbone: out-of-fold scores without a network to train."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mlic_hf.data import collate, stratified_split

logger = logging.getLogger(__name__)
STRENGTHS = (0.01, 0.1, 1.0)
STEPS = 60  # of L-BFGS; more change no score in its third digit


@torch.inference_mode()
def pooled_features(model: Any, images: Any, batch_size: int = 64, num_workers: int = 0) -> Tensor:
    """What a model's backbone makes of every image, averaged over the picture.

    Args:
        model: in evaluation mode; runs where it lies.
        images: a `MultiLabelDataset` with the model's own pixels.
        batch_size: images at once.
        num_workers: processes that load images.

    Returns:
        (images, channels) float32.
    """
    loader = DataLoader(images, batch_size, collate_fn=collate, num_workers=num_workers)
    maps = (model.backbone.feature_map(batch["pixel_values"].to(model.device)) for batch in loader)
    return torch.cat([one.float().mean(dim=(2, 3)).cpu() for one in maps])


def fit_heads(features: Tensor, labels: Tensor, strength: float) -> Callable[[Tensor], Tensor]:
    """Logistic regression of every label on standardised features.

    Minimises the mean cross-entropy of the label's known images plus strength / 2 times the squared weights.

    Args:
        features: (images, D).
        labels: (images, C) in {1, 0, -1}.
        strength: of the penalty.

    Returns:
        (n, D) features to (n, C) logits.
    """
    mean, std = features.mean(dim=0), features.std(dim=0, correction=0).clamp_min(1e-6)
    inputs = (features - mean) / std
    known = (labels >= 0).float()
    targets, images = labels.clamp_min(0).float(), known.sum(dim=0).clamp_min(1)
    share = ((targets * known).sum(dim=0) + 0.5) / (known.sum(dim=0) + 1)
    weight = torch.zeros(labels.shape[1], features.shape[1], requires_grad=True)
    bias = torch.logit(share).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        cells = F.binary_cross_entropy_with_logits(inputs @ weight.T + bias, targets, known, reduction="none")
        loss = (cells / images).sum() + strength / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda other: ((other - mean) / std @ weight.T + bias).detach()


def out_of_fold_scores(
    features: Tensor, labels: Tensor, folds: int = 5, strengths: Sequence[float] = STRENGTHS, seed: int = 0
) -> np.ndarray:
    """Each image's scores by heads that were fitted on the other folds.

    Of the strengths the one whose scores explain all labels best (cross-entropy, out of fold) is taken.

    Args:
        features: (images, D).
        labels: (images, C) in {1, 0, -1}.
        folds: how many parts the images are cut in, each with its share of every label.
        strengths: of the penalty, those that are tried.
        seed: of the cut.

    Returns:
        (images, C) float64 probabilities.

    Raises:
        ValueError: fewer than two folds, or more than images.
    """
    if not 2 <= folds <= len(labels):
        raise ValueError(f"folds is {folds}; between 2 and the {len(labels)} images was expected.")
    parts = stratified_split(labels, labels.shape[1], [1 / folds] * folds, seed)
    known = labels >= 0
    best = (np.inf, torch.empty(0), 0.0)
    for strength in strengths:
        logits = torch.empty(labels.shape)
        for part in parts:
            rest = np.setdiff1d(np.arange(len(labels)), part)
            logits[part] = fit_heads(features[rest], labels[rest], strength)(features[part])
        loss = float(F.binary_cross_entropy_with_logits(logits[known], labels[known].float()))
        logger.info("Heads of strength %g: cross-entropy %.5f out of fold.", strength, loss)
        best = min(best, (loss, logits, strength), key=lambda found: found[0])
    return best[1].double().sigmoid().numpy()
