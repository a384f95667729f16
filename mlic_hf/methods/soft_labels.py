"""Which objectives take labels between 0 and 1, as mixed images have them."""

from __future__ import annotations

from collections.abc import Iterable

from mlic_hf.methods.base import Objective


def refuse_soft_labels(objectives: Iterable[Objective]) -> None:
    """Say which objectives cannot be trained on mixed images; `takes_soft_labels` of an objective says that it can.

    Raises:
        ValueError: naming the objectives that tell positives from negatives and know nothing between.
    """
    hard = [objective.name for objective in objectives if not getattr(objective, "takes_soft_labels", False)]
    if hard:
        raise ValueError(
            f"Mixup makes labels between 0 and 1, but {', '.join(hard)} only "
            f"{'tells' if len(hard) == 1 else 'tell'} positives from negatives. Leave mixup off, or take out the "
            "losses that compare positive labels; cross-entropies, focal losses and distilled logits can stay."
        )
