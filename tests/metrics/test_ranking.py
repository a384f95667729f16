from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    coverage_error,
    label_ranking_average_precision_score,
    label_ranking_loss,
    roc_auc_score,
)
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multilabel_auroc,
    multilabel_coverage_error,
    multilabel_ranking_average_precision,
    multilabel_ranking_loss,
)

from mlic_hf.metrics import calibration_error, ranking_metrics, roc_auc
from tests.metrics import inputs

FULL = [name for name in inputs.NAMES if not name.endswith("left_out") and name != "one_label"]


@pytest.mark.parametrize("name", FULL)
def test_ranking_against_scikit_learn_and_torchmetrics(name: str) -> None:
    scores, targets = inputs.make(name)
    got = ranking_metrics(scores, targets)
    assert got["coverage_error"] == pytest.approx(coverage_error(targets, scores))
    assert got["ranking_loss"] == pytest.approx(label_ranking_loss(targets, scores))
    assert got["LRAP"] == pytest.approx(label_ranking_average_precision_score(targets, scores))
    arguments = (torch.from_numpy(scores), torch.from_numpy(targets).long(), scores.shape[1])
    if name == "plain":  # torchmetrics counts ties another way
        has_true = (targets == 1).any(axis=1)
        with_true = tuple(value[has_true] for value in arguments[:2]) + arguments[2:]
        true_only = ranking_metrics(scores[has_true], targets[has_true])
        assert true_only["coverage_error"] == pytest.approx(float(multilabel_coverage_error(*with_true)))
        assert got["ranking_loss"] == pytest.approx(float(multilabel_ranking_loss(*arguments)), abs=1e-6)
        assert got["LRAP"] == pytest.approx(float(multilabel_ranking_average_precision(*arguments)), abs=1e-6)


def test_ranking_looks_at_an_images_known_labels_only() -> None:
    scores, targets = inputs.make("tied_left_out")
    targets[7] = -1
    expected = []
    for row, target in zip(scores, targets):
        known = target != -1
        if known.sum() > 1:
            pair = target[known][None], row[known][None]
            expected.append([coverage_error(*pair), label_ranking_loss(*pair)])
    got = ranking_metrics(scores, targets)
    assert [got["coverage_error"], got["ranking_loss"]] == pytest.approx(np.mean(expected, axis=0).tolist())


def test_one_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.9, 0.1, 0.2], [0.9, 0.8, 0.1]])
    targets = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0], [-1, 1, 0]])
    assert ranking_metrics(scores, targets)["one_error"] == pytest.approx((0 + 1 + 0.5 + 0) / 4)


def test_ranking_needs_a_known_cell() -> None:
    with pytest.raises(ValueError, match="every cell is left out"):
        ranking_metrics([[0.1, 0.2]], [[-1, -1]])


def test_ranking_does_not_depend_on_the_order_of_images_or_labels() -> None:
    scores, targets = inputs.make("tied_left_out")
    rng = np.random.default_rng(0)
    images, labels = rng.permutation(scores.shape[0]), rng.permutation(scores.shape[1])
    mixed = ranking_metrics(scores[images][:, labels], targets[images][:, labels])
    assert mixed == pytest.approx(ranking_metrics(scores, targets), abs=1e-14)


@pytest.mark.parametrize("name", inputs.NAMES)
def test_auc_against_scikit_learn_and_torchmetrics(name: str) -> None:
    scores, targets = inputs.make(name)
    got = roc_auc(scores, targets)
    for label in range(scores.shape[1]):
        known = targets[:, label] != -1
        if len(np.unique(targets[known, label])) < 2:
            assert np.isnan(got[label])
            continue
        assert got[label] == pytest.approx(roc_auc_score(targets[known, label], scores[known, label]))
    if scores.shape[1] > 1 and not np.isnan(got).any():
        expected = multilabel_auroc(
            torch.from_numpy(scores), torch.from_numpy(targets).long(), scores.shape[1], None, None, -1
        )
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-6)


def test_auc_without_positives_or_negatives_is_undefined() -> None:
    got = roc_auc([[0.1, 0.2, 0.3], [0.3, 0.2, 0.4]], [[0, 1, 0], [0, 1, 1]])
    assert np.isnan(got[:2]).all()
    assert got[2] == 1.0


@pytest.mark.parametrize("name", ["plain", "left_out", "dense"])
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_against_torchmetrics(name: str, bins: int) -> None:
    scores, targets = inputs.make(name)
    known = targets != -1
    expected = binary_calibration_error(
        torch.from_numpy(scores[known]).double(), torch.from_numpy(targets[known]).long(), bins
    )
    assert calibration_error(scores, targets, bins) == pytest.approx(float(expected), abs=1e-6)


def test_calibration_by_hand_and_its_errors() -> None:
    assert calibration_error([[0.0, 1.0]], [[0, 1]]) == 0.0
    assert calibration_error([[0.0, 1.0]], [[1, 0]]) == 1.0
    assert calibration_error([[0.9, 0.9, 0.1, 0.1]], [[1, 0, 0, -1]], 2) == pytest.approx((0.8 + 0.1) / 3)
    with pytest.raises(ValueError, match="apply a sigmoid"):
        calibration_error([[2.0]], [[1]])
    with pytest.raises(ValueError, match="every cell is left out"):
        calibration_error([[0.5]], [[-1]])
    with pytest.raises(ValueError, match="bins is 0"):
        calibration_error([[0.5]], [[1]], 0)
