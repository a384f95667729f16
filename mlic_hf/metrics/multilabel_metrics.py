"""Every metric of this room at once, as one flat dict; and the table of the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlic_hf.metrics.average_precision import AveragePrecisionKind, average_precision, mean_over_labels
from mlic_hf.metrics.calibration import calibration_error
from mlic_hf.metrics.cells import as_arrays
from mlic_hf.metrics.count_based_f1 import count_based_f1
from mlic_hf.metrics.decisions import count_decisions, hamming_loss, subset_accuracy, summarise
from mlic_hf.metrics.ranking import ranking_metrics
from mlic_hf.metrics.roc_auc import roc_auc


def multilabel_metrics(
    scores: Any,
    targets: Any,
    threshold: Any = 0.5,
    topk: int | None = 3,
    kind: AveragePrecisionKind = "average_precision",
    bins: int = 15,
) -> dict[str, float]:
    """All metrics of a multi-label classifier; docs/metrics.md holds their definitions.

    Args:
        scores: (images, labels) probabilities in [0, 1].
        targets: (images, labels) of 1, 0 and -1 (left out).
        threshold: one number, or (labels,) tuned ones (`tune_thresholds`).
        topk: how many labels an image may predict in the `*_top{k}` numbers; None leaves those out.
        kind: of average precision.
        bins: of the calibration error.

    Returns:
        `mAP`, `CP CR CF1 OP OR OF1`, the same with `_top{k}`, `count_OF1 count_CF1` (L2D's), `hamming_loss`,
        `subset_accuracy`, `coverage_error ranking_loss LRAP one_error`, `AUC`, `calibration_error`, and the
        counts `images`, `labels_without_positives` (left out of every mean over labels) and
        `labels_without_negatives` (left out of AUC as well; where no label has both, there is no `AUC`).

    Raises:
        ValueError: no label has a positive image; scores outside [0, 1]; bad shapes, targets or thresholds.
    """
    scores, targets = as_arrays(scores, targets)
    calibration = calibration_error(scores, targets, bins)
    mean_ap, without_positives = mean_over_labels(average_precision(scores, targets, kind))
    counts = count_decisions(scores, targets, threshold)
    result = {"mAP": mean_ap, **summarise(counts)}
    if topk is not None:
        best = summarise(count_decisions(scores, targets, threshold, topk))
        result |= {f"{name}_top{topk}": value for name, value in best.items()}
    result |= {f"count_{name}": value for name, value in count_based_f1(scores, targets).items()}
    result |= {"hamming_loss": hamming_loss(counts), "subset_accuracy": subset_accuracy(counts)}
    result |= ranking_metrics(scores, targets)
    area = roc_auc(scores, targets)
    if not np.isnan(area).all():
        result["AUC"] = float(np.nanmean(area))
    return result | {
        "calibration_error": calibration,
        "images": float(len(scores)),
        "labels_without_positives": float(without_positives),
        "labels_without_negatives": float(np.count_nonzero(~(targets == 0).any(axis=0))),
    }


def per_label_metrics(
    scores: Any, targets: Any, threshold: Any = 0.5, kind: AveragePrecisionKind = "average_precision"
) -> dict[str, np.ndarray]:
    """One row a label: how often it occurs and how well it is found.

    Args:
        scores: (images, labels).
        targets: (images, labels) of 1, 0 and -1 (left out).
        threshold: one number or (labels,).
        kind: of average precision.

    Returns:
        `positives`, `predicted`, `left_out` (labels,) counts; `AP`, `AUC`, `precision`, `recall`, `F1`
        (labels,) float64, NaN where a label has no positive (all five), no negative (AUC). A label that is
        never predicted has precision 0.

    Raises:
        ValueError: bad shapes, scores, targets or thresholds.
    """
    scores, targets = as_arrays(scores, targets)
    counts = count_decisions(scores, targets, threshold)
    absent = np.where(counts.positives > 0, 0.0, np.nan)
    return {
        "positives": counts.positives,
        "predicted": counts.predicted,
        "left_out": np.count_nonzero(targets == -1, axis=0),
        "AP": average_precision(scores, targets, kind),
        "AUC": roc_auc(scores, targets),
        "precision": absent + counts.hits / np.maximum(counts.predicted, 1),
        "recall": absent + counts.hits / np.maximum(counts.positives, 1),
        "F1": absent + 2 * counts.hits / np.maximum(counts.predicted + counts.positives, 1),
    }
