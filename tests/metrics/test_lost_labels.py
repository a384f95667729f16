"""The exact heads of benchmarks/lost_labels.py, beside heads fitted one by one."""

from __future__ import annotations

import torch

from benchmarks.lost_labels import fit_ridge, guesses, without_itself

DRAWN = torch.Generator().manual_seed(0)
INPUTS = torch.randn(60, 8, generator=DRAWN)
TARGETS = (torch.rand(60, 3, generator=DRAWN) < 0.3).float()
PENALTY = 0.1


def alone(inputs: torch.Tensor, targets: torch.Tensor, mean: torch.Tensor, images: int) -> torch.Tensor:
    """One label's weights by its own normal equations."""
    gram = inputs.T @ inputs + PENALTY * images * torch.eye(inputs.shape[1])
    return torch.linalg.solve(gram, inputs.T @ (targets - mean))


def test_a_label_leaves_its_own_images_out() -> None:
    left_out = (torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) < 0.2) & (TARGETS == 0)
    left_out[:, 2] = False
    ((weights, means),) = fit_ridge((INPUTS, TARGETS, left_out), [PENALTY])
    for label in range(3):
        kept = ~left_out[:, label]
        mean = TARGETS[kept, label].mean()
        torch.testing.assert_close(means[label], mean)
        expected = alone(INPUTS[kept], TARGETS[kept, label], mean, len(INPUTS))
        torch.testing.assert_close(weights[:, label], expected, rtol=1e-4, atol=1e-5)


def test_a_score_without_its_own_image_is_that_of_heads_without_it() -> None:
    found = without_itself(INPUTS, TARGETS, PENALTY)
    mean = TARGETS.mean(dim=0)
    for image in (0, 17):
        others = torch.arange(len(INPUTS)) != image
        expected = mean + INPUTS[image] @ alone(INPUTS[others], TARGETS[others], mean, len(INPUTS))
        torch.testing.assert_close(found[image], expected, rtol=1e-4, atol=1e-5)


def test_guesses_are_unlisted_and_the_surest_come_first() -> None:
    few, many = guesses(INPUTS, TARGETS, PENALTY, [5, 20])
    assert (int(few.sum()), int(many.sum())) == (5, 20)
    assert not (many & (TARGETS > 0)).any()
    assert not (few & ~many).any()
