"""What batch normalisation does while training: its own statistics, frozen ones, or those of all processes."""

from __future__ import annotations

import torch
from torch import nn

from mlic_hf.methods.base import Method


def prepare_batch_norm(method: Method, mode: str) -> None:
    """Set a method's batch normalisation once, before it is wrapped.

    Args:
        method: what will be trained.
        mode: "train" leaves each process its own statistics, "frozen" keeps the backbone's running ones (the
            layers stay in evaluation mode, weight and bias train on; a method's own adapters, which start from
            nothing, keep training theirs), "sync" shares all statistics between processes (GPU only).
    """
    if mode == "frozen":
        method.student.backbone.freeze_batch_norm = True
        method.student.backbone.apply_freezing()
    elif mode == "sync" and torch.distributed.is_available() and torch.distributed.is_initialized():
        method.student = nn.SyncBatchNorm.convert_sync_batchnorm(method.student)
        method.objectives = nn.SyncBatchNorm.convert_sync_batchnorm(method.objectives)
