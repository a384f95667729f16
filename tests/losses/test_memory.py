"""With 500 labels and 128 images no loss builds a tensor of the size of all pairs times the width."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.losses.cases import BY_NAME

IMAGES, LABELS, WIDTH, POSITIVES = 128, 500, 32, 1800


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest result of any operation."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.numel())
        return result


@pytest.mark.parametrize(
    "name", ["class_aware", "instance_aware", "label_embedding", "co_occurrence", "label_contrastive"]
)
def test_memory_is_linear_in_the_positive_pairs(name: str) -> None:
    frequency = (1 / torch.arange(1, LABELS + 1).float()).sqrt()
    cells = torch.multinomial(frequency.repeat(IMAGES), POSITIVES)
    targets = torch.zeros(IMAGES * LABELS).index_fill_(0, cells, 1.0).view(IMAGES, LABELS)
    leaf = torch.randn(IMAGES, LABELS, WIDTH, requires_grad=True)
    fixed = torch.randn(IMAGES, LABELS, WIDTH)
    if name == "label_contrastive":  # its call normalises the whole input, which is not the loss's doing
        allowed = max(leaf.numel(), POSITIVES**2)
    else:
        allowed = leaf.numel()  # the gradient itself; every block is smaller
    with LargestTensor() as largest:
        torch.autograd.grad(BY_NAME[name].call(leaf, fixed, targets), leaf)
    assert largest.elements <= allowed
