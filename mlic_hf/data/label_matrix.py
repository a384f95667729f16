"""All labels of a data set at once, for what is counted before the first step."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def label_matrix(examples: Any) -> Tensor:
    """The labels of every example, in order.

    Args:
        examples: a `MultiLabelDataset`, `FeatureMaps` or another data set whose `labels` are that matrix, of which no
            picture is read; or any with a length whose items hold `labels` (C,), which is read once in full.

    Returns:
        (images, C) in {1, 0, -1}.

    Raises:
        ValueError: the data has no length, such as a stream, or no examples.
    """
    try:
        count = len(examples)
    except TypeError:
        raise ValueError(
            f"The labels of a {type(examples).__name__} cannot be counted before the training, for it is a stream; "
            "data with a length was expected."
        ) from None
    if not count:
        raise ValueError("The data set has no examples, so its labels cannot be counted.")
    labels = getattr(examples, "labels", None)
    if isinstance(labels, Tensor) and labels.ndim == 2:
        return labels
    logger.warning("All %d examples of a %s are read once for their labels.", count, type(examples).__name__)
    return torch.stack([torch.as_tensor(examples[index]["labels"]) for index in range(count)])
