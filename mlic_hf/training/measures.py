"""What an evaluation while training tells of logits, and which score is better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import EvalPrediction

from mlic_hf.metrics import multilabel_metrics

#: `multilabel_metrics` has more
TOLD = ("mAP", "CF1", "OF1", "labels_without_positives")


def image_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy, the sum over known cells divided by the images that have any: the unit of training.

    Args:
        logits: (N, C).
        labels: (N, C) in {1, 0, -1}.
    """
    known = labels >= 0
    cells = F.binary_cross_entropy_with_logits(logits, labels.clamp_min(0).to(logits), reduction="none")
    return (cells * known).sum() / known.any(dim=1).sum().clamp_min(1)


def measure(logits: Any, prediction: EvalPrediction, own: Callable[[EvalPrediction], dict] | None) -> dict[str, float]:
    """The metrics of logits (N, C), or the user's own, and `loss`.

    The loss is that of all images at once: transformers' mean of batch means also counts what fills the last batch.
    """
    labels: Any = prediction.label_ids
    scores = torch.from_numpy(logits).double()  # in double precision, where confident logits keep their order
    loss = image_loss(scores, torch.from_numpy(labels)).item()
    if own is not None:
        given = EvalPrediction(logits, labels, inputs=prediction.inputs, losses=prediction.losses)
        return {"loss": loss} | own(given)
    metrics = multilabel_metrics(scores.sigmoid().numpy(), labels)
    return {"loss": loss} | {name: metrics[name] for name in TOLD}


def is_better(score: float, than: float, args: Any) -> bool:
    """Whether a score is better in the sense of `greater_is_better` (true where nothing is said)."""
    return score > than if args.greater_is_better in (None, True) else score < than
