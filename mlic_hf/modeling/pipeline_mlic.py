"""A pipeline that answers with the labels of a picture, by the model's own thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import ImageClassificationPipeline

from .predictions_mlic import predicted_labels

TASK = "multi-label-image-classification"


class MultiLabelPipeline(ImageClassificationPipeline):
    """`pipeline("image-classification")`, but for what it answers: every label that reaches its threshold.

    Args (of the pipeline and of each call):
        threshold: one, or one a label; "tuned" (the default) for those of the config, 0.5 where it has none.
        calibrated: calibrated probabilities in place of scores, where the config has a calibration.
        top_k: at most so many labels.
        timeout: seconds for a picture from the web.
    """

    def _sanitize_parameters(
        self,
        threshold: float | Sequence[float] | str | None = None,
        calibrated: bool | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        given = {"threshold": threshold, "calibrated": calibrated, "top_k": top_k}
        reading = {} if timeout is None else {"timeout": timeout}
        return reading, {}, {name: value for name, value in given.items() if value is not None}

    def postprocess(
        self,
        model_outputs: Any,
        threshold: float | Sequence[float] | str = "tuned",
        calibrated: bool = False,
        top_k: int | None = None,
    ) -> list[dict[str, Any]]:
        """The labels of one picture, as `predicted_labels` gives them."""
        return predicted_labels(self.model.config, model_outputs["logits"], threshold, calibrated)[0][:top_k]
