"""An `evaluate` metric around mlic_hf.metrics: CP, CR, CF1, OP, OR and OF1."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from mlic_hf.metrics import precision_recall_f1

_DESCRIPTION = (
    "CP, CR, CF1, OP, OR and OF1 at a threshold or among the highest scores. "
    "Cells of -1 are left out; labels without positives are left out of means and counted."
)

_KWARGS_DESCRIPTION = """
Args:
    predictions: a list of scores for each image, one a label (kept as float32).
    references: a list of 1 (positive), 0 (negative) or -1 (left out) for each image, one a label.
    threshold: one number or one a label; default 0.5.
    topk: how many labels an image may predict; default None, any number.
Returns:
    CP, CR, CF1, OP, OR, OF1.
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class MultilabelF1(evaluate.Metric):
    """See mlic_hf.metrics.precision_recall_f1 for the definition."""

    def _info(self) -> evaluate.MetricInfo:
        vector = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": vector, "references": vector}),
        )

    def _compute(
        self, predictions: Any, references: Any, threshold: Any = 0.5, topk: int | None = None
    ) -> dict[str, float]:
        scores, targets = np.asarray(predictions, dtype=np.float32), np.asarray(references)
        return precision_recall_f1(scores, targets, threshold=threshold, topk=topk)
