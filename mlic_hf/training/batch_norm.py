"""What batch normalisation does while training: its own statistics, frozen ones, or those of all processes."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

logger = logging.getLogger(__name__)


def statistics(model: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The running statistics of the layers in training mode, each with a copy.

    Gradient checkpointing runs layers again in the backward pass, which would move them twice a batch.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase) and m.training]
    return [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers()]


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
