"""Supervised contrastive loss over label-level embeddings (MulCon)."""

from __future__ import annotations

import torch
from torch import Tensor

from .positive_groups import take_rows
from .precision import full_precision
from .reduction import hard_cells, known_cells


@full_precision
def supervised_contrastive(
    features: Tensor, labels: Tensor, temperature: float = 0.2, reduction: str = "mean"
) -> Tensor:
    """Draw the rows of one label together, against all other rows.

    For an anchor a with positives P(a) (the other rows of its label):
    log sum over all rows k != a of exp(f_a.f_k / T), minus the mean over P(a) of f_a.f_p / T.

    Args:
        features: (N, d), L2-normalised by the caller.
        labels: (N,) integers; a negative label makes the row a denominator only.
        temperature: T.
        reduction: "mean" (MulCon's own: by the number of rows with a label) or "sum".

    Returns:
        A scalar; an anchor without positives adds 0, no anchor at all gives 0 with the graph attached.

    Raises:
        ValueError: for another reduction or a temperature that is not positive.

    Source:
        MulCon (Dao et al., 2021), equation of the contrastive loss, after Khosla et al. (NeurIPS 2020),
        L_out.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction is "{reduction}"; expected "sum" or "mean".')
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be positive.")
    if len(features) == 0:
        return features.sum()
    anchor = labels >= 0
    # rows of label l are added up once: the mean over P(a) then needs no N x N mask of equal labels
    group = _group_numbers(torch.where(anchor, labels, -1))
    sums = features.new_zeros(len(features), features.shape[1]).index_add(0, group, features)
    positives = torch.zeros_like(group).index_add(0, group, torch.ones_like(group))[group] - 1
    own = (features * (sums[group] - features)).sum(dim=1) / positives.clamp(min=1)
    similarity = features @ features.t() / temperature
    similarity = similarity.fill_diagonal_(torch.finfo(similarity.dtype).min)
    losses = similarity.logsumexp(dim=1) - own / temperature
    total = torch.where(anchor & (positives > 0), losses, torch.zeros_like(losses)).sum()
    return total if reduction == "sum" else total / anchor.sum().clamp(min=1)


@full_precision
def label_contrastive(
    projections: Tensor,
    targets: Tensor,
    logits: Tensor | None = None,
    temperature: float = 0.2,
    denominator_size: int = 0,
    reduction: str = "mean",
) -> Tensor:
    """`supervised_contrastive` over the projections of every positive (image, label) pair of the batch.

    Couples images: gather the inputs of all processes first. With two views, stack them along the batch.

    Args:
        projections: (B, C, p), L2-normalised.
        targets: (B, C) in {0, 1, -1}; only positives are anchors, a -1 never joins.
        logits: (B, C), needed with `denominator_size`.
        temperature: T.
        denominator_size: while there are fewer positive pairs than this, the highest-scored negative pairs
            join as denominators only.
        reduction: "mean" (MulCon's own: by the number of positive pairs) or "sum".

    Returns:
        A scalar.

    Raises:
        ValueError: when `denominator_size` is given without logits, or shapes do not fit.

    Source:
        MulCon (Dao et al., 2021); `denominator_size` as its published code has it.
    """
    if projections.dim() != 3 or projections.shape[:2] != targets.shape:
        raise ValueError(
            f"projections have shape {tuple(projections.shape)}; expected (images, labels, width) with the "
            f"targets' {tuple(targets.shape)} first."
        )
    hard_cells(targets, targets)
    positive = targets > 0
    joined = positive if denominator_size == 0 else positive | _hardest_negatives(logits, targets, denominator_size)
    # how many rows there are is the one thing that is waited for
    cells = joined.flatten().nonzero()[:, 0]
    labels = torch.where(positive.flatten()[cells], cells % targets.shape[1], -1)
    rows = take_rows(projections.flatten(0, 1), cells)
    return supervised_contrastive(rows, labels, temperature, reduction)


def _group_numbers(labels: Tensor) -> Tensor:
    """(N,) numbers below N, equal for equal labels: each label's first place in the sorted list."""
    return torch.searchsorted(labels.sort().values, labels)


def _hardest_negatives(logits: Tensor | None, targets: Tensor, size: int) -> Tensor:
    """(B, C) bool, the highest-scored negatives that fill the positives up to `size`."""
    if logits is None:
        raise ValueError("denominator_size needs the logits, which choose the negative pairs that join.")
    known_cells(targets, logits)
    scores = logits.detach().masked_fill(targets != 0, -torch.inf).flatten()
    highest = scores.topk(min(size, scores.numel()))
    wanted = torch.arange(len(highest.values), device=scores.device) < size - (targets > 0).sum()
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    return chosen.index_copy(0, highest.indices, wanted & (highest.values > -torch.inf)).view_as(targets)
