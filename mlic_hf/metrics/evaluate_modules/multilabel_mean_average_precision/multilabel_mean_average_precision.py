"""An `evaluate` metric around mlic_hf.metrics: Mean average precision over labels."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from mlic_hf.metrics import mean_average_precision

_DESCRIPTION = (
    "Mean average precision over labels. "
    "Cells of -1 are left out; labels without positives are left out of means and counted."
)

_KWARGS_DESCRIPTION = """
Args:
    predictions: a list of scores for each image, one a label (kept as float32).
    references: a list of 1 (positive), 0 (negative) or -1 (left out) for each image, one a label.
    kind: average_precision (default), mean_precision, voc2012 or voc2007_11point.
Returns:
    mAP, and labels_without_positives (left out of it).
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class MultilabelMeanAveragePrecision(evaluate.Metric):
    """See mlic_hf.metrics.mean_average_precision for the definition."""

    def _info(self) -> evaluate.MetricInfo:
        vector = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": vector, "references": vector}),
        )

    def _compute(self, predictions: Any, references: Any, kind: Any = "average_precision") -> dict[str, float]:
        scores, targets = np.asarray(predictions, dtype=np.float32), np.asarray(references)
        value, without_positives = mean_average_precision(scores, targets, kind=kind)
        return {"mAP": value, "labels_without_positives": float(without_positives)}
