"""From logits to labels: scores, calibrated on request, and the decision thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

TUNED = "tuned"


def label_thresholds(config: Any, thresholds: float | Sequence[float] | str | None) -> Tensor:
    """(C,) one threshold a label: those given, else (None or "tuned") the config's own, else 0.5.

    Raises:
        ValueError: if there are neither one nor C of them.
    """
    if isinstance(thresholds, str) and thresholds != TUNED:
        raise ValueError(f"thresholds is {thresholds!r}; expected a number, one a label, or {TUNED!r}.")
    chosen = config.thresholds if thresholds is None or isinstance(thresholds, str) else thresholds
    values = torch.as_tensor(0.5 if chosen is None else chosen, dtype=torch.float32)
    if values.dim() == 0:
        values = values.expand(config.num_labels)
    if values.shape != (config.num_labels,):
        raise ValueError(
            f"thresholds has {values.numel()} numbers for {config.num_labels} labels; give one, or one a label."
        )
    return values


def calibrated_scores(config: Any, logits: Tensor) -> Tensor:
    """sigmoid(scale * logit + shift) with the config's calibration (Platt, 1999).

    Args:
        config: has `calibration`, [scale, shift] a label.
        logits: (..., C).

    Returns:
        (..., C) float32 in [0, 1].

    Raises:
        ValueError: when the model was not calibrated.
    """
    if config.calibration is None:
        raise ValueError(
            "This model has no calibration (config.calibration is null): ask for plain scores, or fit one on images "
            "that it was not trained on."
        )
    scale, shift = torch.tensor(config.calibration, dtype=torch.float32, device=logits.device).unbind(1)
    return torch.sigmoid(scale * logits.float() + shift)


def predicted_labels(
    config: Any,
    logits: Tensor,
    thresholds: float | Sequence[float] | str | None = None,
    calibrated: bool = False,
) -> list[list[dict[str, Any]]]:
    """The labels of each image whose score reaches their threshold.

    The config's own thresholds decide on the plain scores sigmoid(logit), on which they were tuned; calibration then
    changes the scores that are shown, not the labels. Thresholds that are given decide on the scores shown.

    Args:
        config: names, thresholds and calibration of the labels.
        logits: (B, C).
        thresholds: one, or one a label; None or "tuned" for the config's own, else 0.5.
        calibrated: show calibrated probabilities.

    Returns:
        for each image a list of {"label": name, "score": in [0, 1]}, the highest score first.

    Raises:
        ValueError: for another number of thresholds than labels, or when there is no calibration to apply.
    """
    plain = logits.float().sigmoid()
    scores = calibrated_scores(config, logits) if calibrated else plain
    own = thresholds is None or isinstance(thresholds, str)
    chosen = (plain if own else scores) >= label_thresholds(config, thresholds).to(logits.device)
    found: list[list[dict[str, Any]]] = [[] for _ in range(len(logits))]
    images, labels = chosen.nonzero(as_tuple=True)
    for image, label, score in zip(images.tolist(), labels.tolist(), scores[chosen].tolist()):
        found[image].append({"label": config.id2label[label], "score": score})
    return [sorted(one_image, key=lambda entry: -entry["score"]) for one_image in found]
