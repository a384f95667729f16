"""Parameter groups, and the one optimizer of the papers that transformers does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mlic_hf.training.arguments import MultiLabelTrainingArguments


def learning_rate_scale(name: str, scales: Mapping[str, float]) -> float:
    """The factor of the longest prefix of a parameter's name in `scales`; 1 without one."""
    matching = [prefix for prefix in scales if name == prefix or name.startswith(prefix.rstrip(".") + ".")]
    return float(scales[max(matching, key=len)]) if matching else 1.0


def parameter_groups(named: Mapping[str, nn.Parameter], args: MultiLabelTrainingArguments) -> list[dict[str, Any]]:
    """The trainable parameters by weight decay and learning rate.

    Tensors of at most one dimension (biases, normalisation) get no weight decay unless `decay_all`.

    Args:
        named: the parameters of the model, and those of the objectives as `objectives.<name>...`.
        args: the settings.

    Raises:
        ValueError: for a prefix in `lr_scales` that matches no parameter.
    """
    trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    scales: Any = args.lr_scales or {}
    unused = [p for p in scales if not any(learning_rate_scale(name, {p: 2.0}) == 2.0 for name in trained)]
    if unused:
        raise ValueError(
            f"lr_scales names {unused}, but no parameter's name starts so; they start with "
            f"{sorted({'.'.join(name.split('.')[:2]) for name in trained})}."
        )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        decay = args.weight_decay if args.decay_all or parameter.ndim > 1 else 0.0
        scale = learning_rate_scale(name, scales) * (args.bias_lr_scale if name.endswith("bias") else 1.0)
        groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": args.learning_rate * scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]


def adam(args: MultiLabelTrainingArguments) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Adam with L2 decay in the gradient (PSD, L2D), and its options."""
    betas = (args.adam_beta1, args.adam_beta2)
    return torch.optim.Adam, {"lr": args.learning_rate, "betas": betas, "eps": args.adam_epsilon, "fused": True}
