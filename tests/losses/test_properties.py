"""What holds for every loss: order does not matter, the unknown adds nothing, the degenerate stays finite."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mlic_hf import losses
from tests.losses.cases import CASES, LossCase, random_inputs

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
sizes = {"images": st.integers(1, 8), "labels": st.integers(1, 9), "seed": st.integers(0, 10**6)}


def value_and_gradient(case: LossCase, leaf: Tensor, fixed: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    leaf = leaf.detach().requires_grad_()
    value = case.call(leaf, fixed, targets)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


@every_case
@settings(max_examples=15, deadline=None, derandomize=True)
@given(**sizes)
def test_order_does_not_matter(case: LossCase, images: int, labels: int, seed: int) -> None:
    leaf, fixed, targets = random_inputs(case, images, labels, seed)
    value, gradient = value_and_gradient(case, leaf, fixed, targets)
    order = torch.randperm(images)
    label_order = torch.arange(labels) if case.by_label else torch.randperm(labels)

    def permuted(x: Tensor) -> Tensor:
        return x[order] if case.shape == "pooled" else x[order][:, label_order]

    moved, moved_gradient = value_and_gradient(case, permuted(leaf), permuted(fixed), targets[order][:, label_order])
    torch.testing.assert_close(moved, value, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(moved_gradient, permuted(gradient), rtol=1e-5, atol=1e-7)


@every_case
@settings(max_examples=15, deadline=None, derandomize=True)
@given(**sizes)
def test_an_unknown_image_adds_nothing(case: LossCase, images: int, labels: int, seed: int) -> None:
    leaf, fixed, targets = random_inputs(case, images, labels, seed)
    value, gradient = value_and_gradient(case, leaf, fixed, targets)
    extra_leaf, extra_fixed, _ = random_inputs(case, 1, labels, seed + 1)
    more, more_gradient = value_and_gradient(
        case,
        torch.cat([leaf, 1e4 * extra_leaf]),
        torch.cat([fixed, extra_fixed]),
        torch.cat([targets, -torch.ones(1, labels)]),
    )
    torch.testing.assert_close(more, value, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(more_gradient[:-1], gradient, rtol=1e-6, atol=1e-8)
    assert (more_gradient[-1] == 0).all()


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["random", "huge", "identical", "same_rows", "zeros"])
@pytest.mark.parametrize("images, labels", [(1, 1), (1, 5), (6, 1), (5, 6)])
def test_degenerate_inputs_stay_finite(
    case: LossCase, dtype: torch.dtype, kind: str, images: int, labels: int
) -> None:
    leaf, fixed, targets = random_inputs(case, images, labels, dtype=torch.float32)
    if kind == "huge":
        leaf, fixed = 1e4 * leaf.sign(), -1e4 * fixed.sign()
    elif kind == "identical":
        leaf = torch.ones_like(leaf)
    elif kind == "same_rows":
        leaf = leaf[:1].expand_as(leaf).clone()
    elif kind == "zeros":
        leaf, fixed = torch.zeros_like(leaf), torch.zeros_like(fixed)
    for chosen in (targets, torch.zeros_like(targets), torch.ones_like(targets), -torch.ones_like(targets)):
        value, gradient = value_and_gradient(case, leaf.to(dtype), fixed.to(dtype), chosen)
        assert torch.isfinite(value), chosen
        assert torch.isfinite(gradient).all(), chosen
        assert value > -1e-2 or case.below_zero
        assert value.dtype == torch.float32
        assert gradient.dtype == dtype


@every_case
def test_nothing_known_is_zero_with_a_graph(case: LossCase) -> None:
    leaf, fixed, targets = random_inputs(case, 4, 5)
    value, gradient = value_and_gradient(case, leaf, fixed, -torch.ones_like(targets))
    assert value == 0
    assert (gradient == 0).all()


@every_case
def test_autocast_changes_nothing(case: LossCase) -> None:
    leaf, fixed, targets = random_inputs(case, 6, 5, dtype=torch.float32)
    plain, _ = value_and_gradient(case, leaf, fixed, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, _ = value_and_gradient(case, leaf, fixed, targets)
    assert value == plain


@every_case
def test_gradcheck(case: LossCase) -> None:
    leaf, fixed, targets = random_inputs(case, 5, 4, seed=7)
    call = case.call
    if case.name == "asymmetric":  # the numeric slope sees the focus factor, so let its gradient flow

        def call(z: Tensor, _: Tensor, y: Tensor) -> Tensor:
            return losses.asymmetric_loss(z, y, gamma_pos=1, disable_grad_focal=False)

    assert torch.autograd.gradcheck(lambda x: call(x, fixed, targets), (leaf.requires_grad_(),))


def test_gradcheck_of_the_others() -> None:
    double = torch.float64
    maps = [torch.randn(2, 3, 5, 5, dtype=double), torch.randn(2, 4, dtype=double)]
    teacher = [torch.randn_like(m) for m in maps]
    leaves = tuple(m.requires_grad_() for m in maps)
    assert torch.autograd.gradcheck(lambda *m: losses.review_distillation(m, teacher), leaves)
    merged = torch.randn(2, 3, 4, 4, dtype=double, requires_grad=True)
    images, labels = torch.tensor([0, 1]), torch.tensor([2, 0])
    assert torch.autograd.gradcheck(lambda m: losses.partial_class_loss(m, labels), (merged,))
    class_maps = torch.randn(2, 3, 4, 4, dtype=double)
    assert torch.autograd.gradcheck(lambda m: losses.reconstruction_loss(class_maps, m, images, labels), (merged,))
    rows = torch.randn(5, 3, dtype=double, requires_grad=True)
    assert torch.autograd.gradcheck(losses.pairwise_distances, (rows,))
    groups = torch.tensor([0, 1, 0, -1, 1])
    assert torch.autograd.gradcheck(lambda x: losses.supervised_contrastive(x, groups), (rows,))
