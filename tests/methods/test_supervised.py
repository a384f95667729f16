"""Each loss of the settings trains, is the sum of its function, and adds up over micro-batches as it should."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlic_hf import losses
from mlic_hf.methods.base import Method, MethodBatch, Weighted
from mlic_hf.methods.supervised import SupervisedConfig, supervised_objectives
from mlic_hf.methods.supervised.method import LOSSES
from mlic_hf.methods.views import PixelSpec

PIXELS = PixelSpec(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
COUNTS, IMAGES = torch.tensor([3, 9, 1, 5]), 12
SETTINGS: dict[str, dict[str, Any]] = {"epr": {"settings": {"expected": 1.5}}}
ALL = sorted(LOSSES)
COUPLED = {"two_way", "epr", "ll_r", "ll_ct", "ll_cp"}
Z = 2 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([[1.0, 0, 0, -1], [0, 1, 1, 0], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 1, 0, 0], [0, 0, 0, 1]])


IDS = [f"image {number}" for number in range(6)]


def batch(rows: slice = slice(None), progress: float = 1.0) -> MethodBatch:
    student = SimpleNamespace(logits=Z[rows])
    return MethodBatch(Z[rows], Y[rows], student, None, progress=progress, image_id=IDS[rows])


def made(config: SupervisedConfig) -> Weighted:
    (weighted,) = supervised_objectives(config, None)
    weighted.objective.count_labels(COUNTS, IMAGES)
    return weighted


def value(config: SupervisedConfig, progress: float = 1.0) -> Tensor:
    return made(config).objective(batch(progress=progress))


@pytest.mark.parametrize("loss", ALL)
def test_every_loss_has_its_key_as_name_and_a_gradient(loss: str) -> None:
    weighted = made(SupervisedConfig(loss=loss, **SETTINGS.get(loss, {})))
    assert weighted.objective.name == loss
    leaf = Z.clone().requires_grad_()
    some = MethodBatch(leaf, Y, SimpleNamespace(logits=leaf), None, progress=1.0, image_id=IDS)
    weighted.objective(some).backward()
    assert leaf.grad.abs().sum() > 0
    assert (leaf.grad[3] == 0).all()
    remembered = ["memory.keys", "memory.corrected"] if loss == "ll_cp" else []
    assert list(weighted.objective.state_dict()) == remembered


@pytest.mark.parametrize("loss", sorted(set(ALL) - COUPLED))
def test_sums_and_counts_add_up_over_micro_batches(loss: str) -> None:
    weighted = made(SupervisedConfig(loss=loss, **SETTINGS.get(loss, {})))
    objective = weighted.objective
    assert not objective.couples_images
    whole, parts = objective(batch()), [objective(batch(rows)) for rows in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize("loss", sorted(COUPLED))
def test_the_others_say_that_they_compare_images(loss: str) -> None:
    weighted = made(SupervisedConfig(loss=loss, **SETTINGS.get(loss, {})))
    assert weighted.objective.couples_images


def test_the_share_of_large_losses_rises_with_the_run() -> None:
    config = SupervisedConfig(loss="ll_r", settings={"largest_share": 0.4})
    for progress in (0.0, 0.5, 1.0):
        expected = losses.large_loss_rejection(Z, Y, 0.4 * progress, reduction="sum")
        torch.testing.assert_close(value(config, progress), expected)


def test_self_paced_correction_waits() -> None:
    config = SupervisedConfig(loss="splc", settings={"start": 0.3, "threshold": 0.5})
    torch.testing.assert_close(value(config, 0.2), losses.self_paced_correction(Z, Y, 1.0))
    torch.testing.assert_close(value(config, 0.3), losses.self_paced_correction(Z, Y, 0.5))
    assert value(config, 0.2) != value(config, 0.3)


def test_class_weights_reach_the_cross_entropy() -> None:
    balanced = value(SupervisedConfig(class_weights="balanced"))
    torch.testing.assert_close(balanced, losses.binary_cross_entropy(Z, Y, pos_weight=(12 - COUNTS) / COUNTS))
    inverse = value(SupervisedConfig(class_weights="inverse_frequency"))
    weight = 1 / COUNTS / (1 / COUNTS).mean()
    torch.testing.assert_close(inverse, losses.binary_cross_entropy(Z, Y, weight=weight))


def test_a_loss_takes_its_own_settings_and_no_others() -> None:
    unknown = Y.masked_fill(Y == 0, -1)
    config = SupervisedConfig(loss="em", settings={"alpha": 0.3, "unlisted": -1})
    objective = supervised_objectives(config, None)[0].objective
    some = MethodBatch(pixel_values=Z, labels=unknown, student=SimpleNamespace(logits=Z), model=None)
    expected = losses.entropy_maximization(Z, unknown, 0.3, unlisted=-1, reduction="sum")
    torch.testing.assert_close(objective(some), expected)
    with pytest.raises(ValueError, match="settings has beta; the settings of em are: alpha, unlisted"):
        supervised_objectives(SupervisedConfig(loss="em", settings={"beta": 1}), None)
    with pytest.raises(ValueError, match="settings of bce are: none"):
        supervised_objectives(SupervisedConfig(settings={"alpha": 1}), None)
    with pytest.raises(ValueError, match="settings of splc are: gamma, margin, start, threshold, unlisted"):
        supervised_objectives(SupervisedConfig(loss="splc", settings={"tau": 1}), None)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"class_weights": "inverse"}, "class_weights is 'inverse'"),
        ({"loss": "asl", "class_weights": "balanced"}, "belong to the loss bce, not to asl"),
        ({"loss": "epr"}, 'needs supervised.settings {"expected"'),
    ],
)
def test_what_is_missing_is_said(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as told:
        supervised_objectives(SupervisedConfig(**settings), None)
    assert words in str(told.value)


@pytest.mark.parametrize("settings", [{"loss": "db"}, {"loss": "ll_cp"}, {"class_weights": "balanced"}])
def test_what_follows_the_labels_of_training_waits_for_them(settings: dict[str, Any]) -> None:
    (weighted,) = supervised_objectives(SupervisedConfig(**settings), None)
    method = Method([weighted], PIXELS)
    assert method.counts_labels
    with pytest.raises(ValueError, match=r"follow.* the labels of the training set: call count_labels first"):
        weighted.objective(batch())
    method.count_labels(Y.repeat(2, 1))
    counted = supervised_objectives(SupervisedConfig(**settings), None)[0].objective
    known = 2 * int((Y >= 0).any(dim=1).sum())  # an image of which nothing is known is none of them
    counted.count_labels(torch.tensor([4, 4, 2, 2]), known)
    assert torch.equal(weighted.objective(batch()), counted(batch()))
    assert not Method([made(SupervisedConfig(loss="asl"))], PIXELS).counts_labels


def test_what_was_corrected_stays_so_and_survives_a_restart() -> None:
    """LL-Cp by a plain loop over its paper: each step the largest losses that are left, never taken back."""
    config = SupervisedConfig(loss="ll_cp", settings={"largest_share": 0.1, "start": 0.5})
    objective = made(config).objective
    torch.testing.assert_close(objective(batch(progress=0.4)), losses.binary_cross_entropy(Z, Y, reduction="sum"))
    targets = Y.clone()
    for step in range(3):
        wanted = math.ceil(0.1 * int((Y >= 0).sum()))
        left = sorted(((float(Z[i, j]), i, j) for i, j in (targets == 0).nonzero().tolist()), reverse=True)
        for _, image, label in left[:wanted]:
            targets[image, label] = 1
        torch.testing.assert_close(objective(batch()), losses.binary_cross_entropy(Z, targets, reduction="sum"))
        again = made(config).objective
        again.load_state_dict(objective.state_dict())
        objective = again if step == 1 else objective
    turned = torch.arange(5, -1, -1)  # another order of the images changes nothing
    other = MethodBatch(Z, Y[turned], SimpleNamespace(logits=Z[turned]), None, image_id=[IDS[i] for i in turned])
    torch.testing.assert_close(objective(other), losses.binary_cross_entropy(Z, targets, reduction="sum"))


def test_corrections_need_ids_and_known_images() -> None:
    objective = made(SupervisedConfig(loss="ll_cp")).objective
    with pytest.raises(ValueError, match="every example needs an `image_id`"):
        objective(MethodBatch(Z, Y, SimpleNamespace(logits=Z), None))
    objective.count_labels(COUNTS, 5)
    with pytest.raises(ValueError, match="more images than the 5"):
        objective(batch())
