"""How hard each loss pulls: the norm of its own gradient on the student."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def gradient_norms(terms: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, float]:
    """The Euclidean norm of every term's gradient with respect to all parameters together.

    The graph is kept, and no `.grad` is written: the step goes on as if nobody had looked.

    Args:
        terms: name -> weighted loss, a scalar.
        parameters: those without requires_grad are left out.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    norms = {}
    for name, term in terms.items():
        norms[name] = 0.0
        if term.requires_grad:
            found = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
            parts = [gradient.float().norm() for gradient in found if gradient is not None]
            norms[name] = torch.stack(parts).norm().item() if parts else 0.0
    return norms
