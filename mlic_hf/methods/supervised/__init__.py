"""Training on the labels alone: the losses of the five papers, and those for missing and for rare labels."""

from __future__ import annotations

from mlic_hf.methods.registry import MethodSpec
from mlic_hf.methods.supervised.config import SupervisedConfig
from mlic_hf.methods.supervised.method import supervised_objectives
from mlic_hf.methods.supervised.objectives import AsymmetricLoss, BinaryCrossEntropy, FocalLoss, SoftMargin

__all__ = [
    "METHOD",
    "AsymmetricLoss",
    "BinaryCrossEntropy",
    "FocalLoss",
    "SoftMargin",
    "SupervisedConfig",
    "supervised_objectives",
]

METHOD = MethodSpec(
    key="supervised",
    title="Supervised training",
    config=SupervisedConfig,
    objectives=supervised_objectives,
)
