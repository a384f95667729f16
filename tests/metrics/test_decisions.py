from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, hamming_loss, precision_score, recall_score
from torchmetrics.functional.classification import multilabel_f1_score, multilabel_precision

from mlic_hf import metrics
from mlic_hf.metrics.decisions import highest_scores
from tests.metrics import inputs


@pytest.mark.parametrize("name", inputs.NAMES)
@pytest.mark.parametrize("threshold", [0.25, 0.5])
def test_against_scikit_learn(name: str, threshold: float) -> None:
    scores, targets = inputs.make(name)
    got = metrics.precision_recall_f1(scores, targets, threshold)
    known = targets != -1
    decided = scores >= threshold
    columns = [(targets[k, c], decided[k, c]) for c, k in enumerate(known.T)]
    precision = np.mean([precision_score(t, d, zero_division=0) for t, d in columns])
    recall = np.mean([recall_score(t, d, zero_division=0) for t, d in columns])
    assert got["CP"] == pytest.approx(precision)
    assert got["CR"] == pytest.approx(recall)
    assert got["CF1"] == pytest.approx(2 * precision * recall / max(precision + recall, 1e-300))
    assert got["OP"] == pytest.approx(precision_score(targets[known], decided[known], zero_division=0))
    assert got["OR"] == pytest.approx(recall_score(targets[known], decided[known]))
    assert got["OF1"] == pytest.approx(f1_score(targets[known], decided[known]))


@pytest.mark.parametrize("name", ["plain", "left_out", "dense"])
def test_against_torchmetrics(name: str) -> None:
    scores, targets = inputs.make(name)
    got = metrics.precision_recall_f1(scores, targets, 0.3)
    arguments = (torch.from_numpy(scores), torch.from_numpy(targets).long(), scores.shape[1], 0.3)
    assert got["OF1"] == pytest.approx(float(multilabel_f1_score(*arguments, average="micro", ignore_index=-1)))
    assert got["CP"] == pytest.approx(
        float(multilabel_precision(*arguments, average="macro", ignore_index=-1)), abs=1e-6
    )


@pytest.mark.parametrize("name", ["plain", "tied", "constant", "left_out", "saturated"])
@pytest.mark.parametrize("topk", [1, 3, 20])
def test_topk_by_the_book(name: str, topk: int) -> None:
    scores, targets = inputs.make(name, images=40, labels=7)
    decided = np.zeros(scores.shape, dtype=bool)
    for image, row in enumerate(scores):
        for label in sorted(range(7), key=lambda c: (-row[c], c))[:topk]:
            decided[image, label] = row[label] >= 0.25 and targets[image, label] != -1
    counts = metrics.count_decisions(scores, targets, 0.25, topk)
    np.testing.assert_array_equal(counts.predicted, decided.sum(axis=0))
    np.testing.assert_array_equal(counts.hits, (decided & (targets == 1)).sum(axis=0))


def test_left_out_cells_compete_for_the_k_places() -> None:
    scores, targets = [[0.9, 0.8, 0.7, 0.6]], [[-1, 1, 0, 1]]
    counts = metrics.count_decisions(scores, targets, 0.5, topk=2)
    assert counts.predicted.tolist() == [0, 1, 0, 0]
    assert metrics.count_decisions(scores, targets, -np.inf, topk=3).predicted.tolist() == [0, 1, 1, 0]


def test_highest_scores_break_ties_to_the_lower_label() -> None:
    rows = np.array([[0.5, 0.9, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]])
    assert highest_scores(rows, 2).tolist() == [[True, True, False, False]] * 2


def test_thresholds_a_label() -> None:
    scores, targets = inputs.make("left_out")
    each = np.linspace(0.1, 0.9, scores.shape[1])
    counts = metrics.count_decisions(scores, targets, each)
    for label, threshold in enumerate(each):
        alone = metrics.count_decisions(scores, targets, threshold)
        assert counts.predicted[label] == alone.predicted[label]
    with pytest.raises(ValueError, match=r"thresholds have shape \(2,\)"):
        metrics.count_decisions(scores, targets, [0.1, 0.2])
    with pytest.raises(ValueError, match="threshold is NaN"):
        metrics.count_decisions(scores, targets, np.nan)
    with pytest.raises(ValueError, match="topk is 0"):
        metrics.count_decisions(scores, targets, topk=0)


def test_a_score_equal_to_the_threshold_is_positive_in_its_own_precision() -> None:
    scores = np.full((2, 1), 0.7, dtype=np.float32)
    assert metrics.count_decisions(scores, [[1], [0]], 0.7).predicted.tolist() == [2]
    assert metrics.count_decisions(scores, [[1], [0]], [0.7]).predicted.tolist() == [2]


def test_labels_without_positives_leave_the_means_but_not_the_totals() -> None:
    scores, targets = inputs.make("plain")
    targets[:, 0] = 0
    kept = metrics.precision_recall_f1(scores[:, 1:], targets[:, 1:], 0.3)
    whole = metrics.precision_recall_f1(scores, targets, 0.3)
    assert [whole[name] for name in ("CP", "CR", "CF1", "OR")] == [kept[name] for name in ("CP", "CR", "CF1", "OR")]
    assert whole["OP"] < kept["OP"]
    with pytest.raises(ValueError, match="no label has a positive"):
        metrics.precision_recall_f1(scores, np.zeros_like(targets))


def test_nothing_predicted_is_zero_not_nan() -> None:
    scores, targets = inputs.make("plain")
    assert set(metrics.precision_recall_f1(scores, targets, 2.0).values()) == {0.0}


def test_hamming_loss_and_subset_accuracy() -> None:
    scores, targets = inputs.make("left_out")
    targets[5] = -1
    counts = metrics.count_decisions(scores, targets, 0.3)
    known = targets != -1
    assert metrics.hamming_loss(counts) == pytest.approx(hamming_loss(targets[known], scores[known] >= 0.3))
    right = [((s >= 0.3) == (t == 1))[t != -1].all() for s, t in zip(scores, targets) if (t != -1).any()]
    assert metrics.subset_accuracy(counts) == np.mean(right)
    nothing = metrics.count_decisions(scores, np.full_like(targets, -1))
    with pytest.raises(ValueError, match="every cell is left out"):
        metrics.hamming_loss(nothing)
    with pytest.raises(ValueError, match="every cell is left out"):
        metrics.subset_accuracy(nothing)


def test_count_based_f1_predicts_as_many_as_are_true() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4], [0.1, 0.5, 0.5], [0.3, 0.2, 0.1], [0.6, 0.7, 0.2]])
    targets = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])
    # predicted: 0 1 / 2 / none, the two highest are tied / none, nothing is true / all three
    got = metrics.count_based_f1(scores, targets)
    assert got["OF1"] == pytest.approx(2 * 5 / (6 + 7))
    assert got["CF1"] == pytest.approx(np.mean([1.0, 2 / 4, 4 / 5]))


def test_count_based_f1_leaves_cells_and_labels_out() -> None:
    scores = np.array([[0.9, 0.8, 0.1, 0.7], [0.2, 0.3, 0.4, 0.1]])
    targets = np.array([[-1, 1, 0, 0], [0, 0, 1, 0]])
    assert metrics.count_based_f1(scores, targets) == {"OF1": 1.0, "CF1": 1.0}
    wrong = metrics.count_based_f1(scores[:, ::-1].copy(), targets)
    assert wrong["CF1"] == 0.0
    with pytest.raises(ValueError, match="F1 is undefined"):
        metrics.count_based_f1(scores, np.zeros_like(targets))
