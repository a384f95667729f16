"""Parameter groups and the papers' optimizers."""

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


def parameter_groups(model: nn.Module, args: MultiLabelTrainingArguments) -> list[dict[str, Any]]:
    """The trainable parameters by weight decay and learning rate.

    Tensors of at most one dimension (biases, normalisation) get no weight decay unless `decay_all`.

    Raises:
        ValueError: for a prefix in `lr_scales` that matches no parameter.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    unused = [
        prefix for prefix in args.lr_scales if not any(learning_rate_scale(n, {prefix: 2.0}) == 2.0 for n in names)
    ]
    if unused:
        raise ValueError(
            f"lr_scales names {unused}, but no parameter's name starts so; they start with "
            f"{sorted({'.'.join(n.split('.')[:2]) for n in names})}."
        )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = args.weight_decay if args.decay_all or parameter.ndim > 1 else 0.0
            scale = learning_rate_scale(name, args.lr_scales)
            scale *= args.bias_lr_scale if name.endswith("bias") else 1.0
            groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": args.learning_rate * scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]


def build_optimizer(model: nn.Module, args: MultiLabelTrainingArguments) -> torch.optim.Optimizer:
    """Adam with L2 decay (PSD, L2D), AdamW (CoCo, MulCon stage one) or SGD (MulCon stage two, OASS)."""
    groups = parameter_groups(model, args)
    if args.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=args.learning_rate, momentum=args.momentum, nesterov=args.nesterov)
    kind = torch.optim.Adam if args.optimizer == "adam" else torch.optim.AdamW
    betas = (args.adam_beta1, args.adam_beta2)
    return kind(groups, lr=args.learning_rate, betas=betas, eps=args.adam_epsilon)
