"""What batch normalisation does while training: its own statistics, frozen ones, or those of all processes."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

logger = logging.getLogger(__name__)


def prepare_batch_norm(modules: tuple[Any, nn.Module], mode: str) -> None:
    """Set the batch normalisation of a student and its method once, before they are wrapped.

    Args:
        modules: the student, and the method beside it.
        mode: "train" leaves each process its own statistics, "frozen" keeps the backbone's running ones (the
            layers stay in evaluation mode, weight and bias train on; a method's own adapters, which start from
            nothing, keep training theirs), "sync" shares all statistics between processes (GPU only).
    """
    if mode == "train" and hasattr(modules[0], "peft_config"):
        logger.warning("Batch norm is frozen: an adapter is saved without the statistics that would move under it.")
        mode = "frozen"
    if mode == "frozen":
        backbone = modules[0].backbone
        backbone.freeze_batch_norm = True
        backbone.apply_freezing()
    elif mode == "sync" and torch.distributed.is_available() and torch.distributed.is_initialized():
        for module in modules:
            nn.SyncBatchNorm.convert_sync_batchnorm(module)
