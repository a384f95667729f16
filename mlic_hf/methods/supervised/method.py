"""Which objective a loss of the settings is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mlic_hf import losses
from mlic_hf.methods.base import Objective, Weighted
from mlic_hf.methods.supervised.config import SupervisedConfig
from mlic_hf.methods.supervised.imperfect import (
    DistributionBalanced,
    LargeLoss,
    MeanOfBatch,
    SelfPacedCorrection,
    SumOfCells,
)
from mlic_hf.methods.supervised.objectives import AsymmetricLoss, BinaryCrossEntropy, FocalLoss, SoftMargin
from mlic_hf.methods.supervised.permanent_correction import PermanentCorrection
from mlic_hf.modeling import MultiLabelModel

# key -> (what builds the objective, the loss whose settings it takes, whether the paper's total is a batch sum)
BUILDERS: dict[str, tuple[Callable[..., Objective], Callable[..., Any], bool]] = {
    "focal": (FocalLoss, losses.focal, True),
    "zlpr": (partial(SumOfCells, "zlpr", losses.zlpr), losses.zlpr, True),
    "two_way": (partial(MeanOfBatch, "two_way", losses.two_way), losses.two_way, False),
    "em": (partial(SumOfCells, "em", losses.entropy_maximization), losses.entropy_maximization, True),
    "wan": (partial(SumOfCells, "wan", losses.weak_negatives), losses.weak_negatives, True),
    "epr": (partial(MeanOfBatch, "epr", losses.expected_positives), losses.expected_positives, False),
    "hill": (partial(SumOfCells, "hill", losses.hill), losses.hill, True),
    "splc": (SelfPacedCorrection, losses.self_paced_correction, True),
    "ll_r": (partial(LargeLoss, "ll_r", losses.large_loss_rejection), losses.large_loss_rejection, True),
    "ll_ct": (partial(LargeLoss, "ll_ct", losses.large_loss_correction), losses.large_loss_correction, True),
    "ll_cp": (PermanentCorrection, losses.large_loss_correction, True),
}
LOSSES = ("bce", "asl", "soft_margin", "db", *BUILDERS)
GIVEN = {"logits", "targets", "reduction", "counts", "num_images", "share", "name", "loss"}


def supervised_objectives(
    config: SupervisedConfig, student: MultiLabelModel, teacher: Any = None
) -> Sequence[Weighted]:
    """One classification loss; sums over the batch are divided by its images.

    Raises:
        ValueError: for an unknown loss, or settings that the loss does not have.
    """
    if config.loss not in LOSSES:
        raise ValueError(f"supervised.loss is {config.loss!r}; it is one of {', '.join(LOSSES)}.")
    if config.loss == "bce":
        check_settings(config, set())
        return [Weighted(BinaryCrossEntropy(config.class_weights or None), 1.0)]
    if config.loss == "asl":
        check_settings(config, set())
        return [Weighted(AsymmetricLoss(config.gamma_neg, config.gamma_pos, config.clip), 1.0)]
    if config.loss == "soft_margin":
        check_settings(config, set())
        return [Weighted(SoftMargin(), 1.0, per_image=False)]
    if config.loss == "db":
        check_settings(config, settings_of(losses.distribution_balanced))
        return [Weighted(DistributionBalanced(**config.settings), 1.0)]
    build, loss, per_image = BUILDERS[config.loss]
    check_settings(config, settings_of(loss) | settings_of(build))
    if config.loss == "epr" and "expected" not in config.settings:
        raise ValueError(
            'supervised.loss epr needs supervised.settings {"expected": positives an image has on average}.'
        )
    return [Weighted(build(**config.settings), 1.0, per_image)]


def settings_of(function: Callable[..., Any]) -> set[str]:
    """The names of a loss's settings."""
    named = inspect.signature(function).parameters.values()
    return {p.name for p in named if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - GIVEN


def check_settings(config: SupervisedConfig, known: set[str]) -> None:
    """Refuse settings that the loss does not have."""
    unknown = sorted(set(config.settings) - known)
    if unknown:
        has = ", ".join(sorted(known)) or "none"
        raise ValueError(f"supervised.settings has {', '.join(unknown)}; the settings of {config.loss} are: {has}.")
