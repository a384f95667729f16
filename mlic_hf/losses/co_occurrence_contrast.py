"""CoCo's contrast between graph embeddings under true and under false co-occurrence edges."""

from __future__ import annotations

import torch
from torch import Tensor

from .positive_groups import Block, positive_cells, positive_groups, take_cells
from .precision import full_precision
from .reduction import reduce_images


def true_label_edges(edges: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted co-occurrence split in edges between two true labels and all other edges.

    Differs: an edge that touches an unknown (-1) label is in neither; the paper has no such labels.

    Args:
        edges: (B, C, C), the predicted matrix W.
        targets: (B, C) in {0, 1, -1}.

    Returns:
        (W_pos, W_neg), (B, C, C) each; the diagonal of true labels is in W_pos.
    """
    positive, known = targets > 0, targets >= 0
    true = positive[:, :, None] & positive[:, None, :]
    false = known[:, :, None] & known[:, None, :] & ~true
    return edges * true, edges * false


@full_precision
def co_occurrence_contrast(
    anchors: Tensor,
    positive_view: Tensor,
    negative_view: Tensor,
    targets: Tensor,
    temperature: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Pull a true label's embedding to its positive view, away from its negative view and the others.

    For a true label: cross-entropy of [G.G_pos, G.G_neg, G.G of the image's other true labels] / T with the
    first as target; mean over an image's true labels.

    Args:
        anchors: (B, C, D), G.
        positive_view: (B, C, D), G under the edges between true labels; a fixed input, no gradient flows.
        negative_view: (B, C, D), G under all other edges; a fixed input, no gradient flows.
        targets: (B, C) in {0, 1, -1}.
        temperature: T.
        reduction: "mean" (CoCo's own: over the images with a known label) or "sum" of the per-image means.

    Returns:
        A scalar. An image with one true label has rows of two entries.
        Differs: one with none adds 0 and stays in the mean's denominator; the original fails there.

    Raises:
        ValueError: for another reduction, unlike shapes or a temperature that is not positive.

    Source:
        Contrastive co-occurrence learning (CoCo), the contrastive loss.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be positive.")
    if anchors.shape[:2] != targets.shape:
        raise ValueError(
            f"graph embeddings {tuple(anchors.shape)} must begin with the targets' shape {tuple(targets.shape)}."
        )
    groups = positive_groups(positive_cells(targets), "image", smallest=1, device=anchors.device)
    rows = take_cells(anchors, groups.cells)
    views = [take_cells(view.detach(), groups.cells) for view in (positive_view, negative_view)]
    own = torch.stack([(rows * view).sum(dim=1) for view in views], dim=1) / temperature
    images = [rows.sum().view(1) * 0.0]
    for block in groups.blocks:
        cut = slice(block.start, block.stop)
        images.append(_image_means(block, rows[cut], own[cut], temperature))
    total = torch.cat(images).sum()
    known = (targets >= 0).any(dim=1)
    if reduction == "sum":
        return total
    # the images without a true label add nothing, but count
    return reduce_images(total.expand(1), known.any().view(1), reduction) / known.sum().clamp(min=1)


def _image_means(block: Block, rows: Tensor, own: Tensor, temperature: float) -> Tensor:
    """(groups,) mean cross-entropy over the true labels of each image of a block."""
    padded = block.pad(rows)
    valid = block.valid()
    others = padded @ padded.transpose(1, 2) / temperature
    same = torch.eye(block.width, dtype=torch.bool, device=rows.device)
    others = others.masked_fill(same | ~valid[:, None, :], torch.finfo(rows.dtype).min)
    views = block.pad(own)
    losses = torch.cat([views, others], dim=2).logsumexp(dim=2) - views[:, :, 0]
    return torch.where(valid, losses, torch.zeros_like(losses)).sum(dim=1) / block.sizes
