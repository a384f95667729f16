"""What a CoOccurrence model believes about which labels go together, beside what the data say.

The model's matrix W holds in row i and column j the confidence in label j that the embedding of label i
proposes. Its true counterpart is the share of the images with label i that also have label j.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class CoOccurrenceSummary:
    """Predicted and true co-occurrence of a data set, each (C, C); rows without images are nan.

    Attributes:
        everywhere: mean of the predicted matrices of all images.
        where_present: row i is the mean of row i over the images that have label i; comparable with `truth`.
        truth: share of the images with label i (row) that have label j (column); 1 on the diagonal.
        images: the images seen.
        positives: (C,) the images that have each label.
    """

    everywhere: np.ndarray
    where_present: np.ndarray
    truth: np.ndarray
    images: int
    positives: np.ndarray


@torch.no_grad()
def predicted_co_occurrence(model: nn.Module, pixel_values: Tensor) -> Tensor:
    """The co-occurrence matrices a model predicts for images.

    Args:
        model: a CoOccurrence model; it is run as it is, so put it in evaluation mode.
        pixel_values: (B, 3, H, W).

    Returns:
        (B, C, C) confidences in [0, 1].

    Raises:
        ValueError: if the model predicts no such matrix.
    """
    outputs = model(pixel_values, output_label_embeddings=True)
    matrices = getattr(outputs, "co_occurrence", None)
    if matrices is None:
        raise ValueError(f"{type(model).__name__} predicts no co-occurrence matrix; use a mlic_co_occurrence model.")
    return matrices


def summarize_co_occurrence(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> CoOccurrenceSummary:
    """Mean predicted co-occurrence over a data set, and the true one of its labels.

    Args:
        model: a CoOccurrence model.
        batches: mappings with `pixel_values` (B, 3, H, W) and `labels` (B, C) in {1, 0, -1}; a cell of -1
            counts neither as an occurrence nor in the share's denominator.

    Returns:
        The summary; accumulated in float64, one batch in memory at a time.

    Raises:
        ValueError: if there is no batch, or the model predicts no matrix.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    sums: dict[str, Tensor] = {}
    images = 0
    try:
        for batch in batches:
            labels = batch["labels"].to("cpu", torch.float64)
            matrices = predicted_co_occurrence(model, batch["pixel_values"].to(device)).to("cpu", torch.float64)
            present, known = (labels > 0).double(), (labels >= 0).double()
            found = {
                "everywhere": matrices.sum(dim=0),
                "where_present": torch.einsum("bi,bij->ij", present, matrices),
                "both": present.T @ present,
                "known": present.T @ known,
                "positives": present.sum(dim=0),
            }
            sums = {key: value + sums.get(key, 0) for key, value in found.items()}
            images += len(labels)
    finally:
        model.train(training)
    if not images:
        raise ValueError("There are no images to summarize: the data set is empty.")
    arrays = {key: value.numpy() for key, value in sums.items()}
    return CoOccurrenceSummary(
        everywhere=arrays["everywhere"] / images,
        where_present=_share(arrays["where_present"], arrays["positives"][:, None]),
        truth=_share(arrays["both"], arrays["known"]),
        images=images,
        positives=arrays["positives"],
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=np.broadcast_to(whole, part.shape) > 0)


def correlate_off_diagonal(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Pearson correlation of two (C, C) matrices over their off-diagonal cells that are known in both.

    Returns:
        A number in [-1, 1]; nan where fewer than two cells are known or one matrix is constant on them.
    """
    kept = ~np.eye(len(truth), dtype=bool) & np.isfinite(predicted) & np.isfinite(truth)
    first, second = predicted[kept], truth[kept]
    if len(first) < 2 or first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def draw_co_occurrence(
    matrices: Mapping[str, np.ndarray], names: Sequence[str], path: str | Path, shown: int = 40
) -> Path:
    """Draw co-occurrence matrices side by side on one colour scale from 0 to 1.

    Args:
        matrices: title -> (C, C); unknown cells are nan and stay grey.
        names: the C label names.
        path: the picture to write; its suffix says the format.
        shown: the most labels that are drawn; with more, the first are, and the titles say so.

    Returns:
        The path written.

    Raises:
        ValueError: if a matrix does not fit the names.
        ImportError: without matplotlib.
    """
    for title, matrix in matrices.items():
        if matrix.shape != (len(names), len(names)):
            raise ValueError(f"The matrix {title!r} has shape {matrix.shape}, but there are {len(names)} labels.")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Drawing wants matplotlib: pip install 'mlic_hf[reports]'.") from error
    count = min(len(names), shown)
    side = max(3.0, 0.22 * count)
    figure = Figure(figsize=(side * len(matrices) + 2.0, side + 1.2), layout="constrained")
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axis, (title, matrix) in zip(axes, matrices.items()):
        image = axis.imshow(np.ma.masked_invalid(matrix[:count, :count]), vmin=0, vmax=1, cmap="viridis")
        axis.set_facecolor("lightgrey")
        axis.set_title(title if count == len(names) else f"{title}\n(first {count} of {len(names)} labels)")
        axis.set_xticks(range(count), names[:count], rotation=90, fontsize=7)
        axis.set_yticks(range(count), names[:count], fontsize=7)
    figure.colorbar(image, ax=list(axes), shrink=0.8)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target)
    return target


def draw_summary(summary: CoOccurrenceSummary, names: Sequence[str], path: str | Path) -> Path:
    """Draw a data set's mean predicted co-occurrence beside the true one; see `draw_co_occurrence`."""
    agreement = correlate_off_diagonal(summary.where_present, summary.truth)
    panels = {
        "predicted, all images": summary.everywhere,
        f"predicted where the row's label is true\n(correlation {agreement:.2f})": summary.where_present,
        "true: share of row's images with column": summary.truth,
    }
    return draw_co_occurrence(panels, names, path)


def draw_image(
    matrix: Tensor, labels: Tensor, names: Sequence[str], path: str | Path, truth: np.ndarray | None = None
) -> Path:
    """Draw the matrix predicted for one image beside its true edges and, if given, the data set's.

    Args:
        matrix: (C, C) of `predicted_co_occurrence`.
        labels: (C,) in {1, 0, -1}; edges of unknown labels stay grey.
        names: the C label names.
        path: the picture to write.
        truth: (C, C) true co-occurrence of a data set.
    """
    target = labels.detach().cpu().numpy().astype(float)
    edges = np.outer(target > 0, target > 0).astype(float)
    edges[target < 0, :] = np.nan
    edges[:, target < 0] = np.nan
    panels = {"predicted for this image": matrix.detach().float().cpu().numpy(), "its true labels": edges}
    if truth is not None:
        panels["share in the data set"] = truth
    return draw_co_occurrence(panels, names, path)
