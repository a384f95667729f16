"""An `evaluate` metric around mlic_hf.metrics: All multi-label metrics of mlic_hf."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from mlic_hf.metrics import multilabel_metrics

_DESCRIPTION = (
    "All multi-label metrics of mlic_hf. "
    "Cells of -1 are left out; labels without positives are left out of means and counted."
)

_KWARGS_DESCRIPTION = """
Args:
    predictions: a list of scores for each image, one a label (kept as float32).
    references: a list of 1 (positive), 0 (negative) or -1 (left out) for each image, one a label.
    threshold: one number or one a label; default 0.5.
    topk: for the numbers named _top{k}; default 3, None for none.
    kind: average_precision (default), mean_precision, voc2012 or voc2007_11point.
Returns:
    a flat dict: mAP, CP, CR, CF1, OP, OR, OF1, the same with _top{k}, and more.
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class MultilabelMetrics(evaluate.Metric):
    """See mlic_hf.metrics.multilabel_metrics for the definition."""

    def _info(self) -> evaluate.MetricInfo:
        vector = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": vector, "references": vector}),
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        threshold: Any = 0.5,
        topk: int | None = 3,
        kind: Any = "average_precision",
    ) -> dict[str, float]:
        scores, targets = np.asarray(predictions, dtype=np.float32), np.asarray(references)
        return multilabel_metrics(scores, targets, threshold=threshold, topk=topk, kind=kind)
