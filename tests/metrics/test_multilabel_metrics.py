from __future__ import annotations

import numpy as np
import pytest

from mlic_hf import metrics
from tests.metrics import inputs

NAMES = [
    *("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1"),
    *("CP_top3", "CR_top3", "CF1_top3", "OP_top3", "OR_top3", "OF1_top3"),
    *("count_OF1", "count_CF1", "hamming_loss", "subset_accuracy"),
    *("coverage_error", "ranking_loss", "LRAP", "one_error", "AUC", "calibration_error"),
    *("images", "labels_without_positives", "labels_without_negatives"),
]


@pytest.mark.parametrize("name", inputs.NAMES)
def test_a_flat_dict_of_finite_numbers(name: str) -> None:
    scores, targets = inputs.make(name)
    got = metrics.multilabel_metrics(scores, targets)
    assert list(got) == NAMES
    assert all(type(value) is float and np.isfinite(value) for value in got.values())
    assert got["mAP"] == metrics.mean_average_precision(scores, targets)[0]
    assert got["OF1_top3"] == metrics.precision_recall_f1(scores, targets, topk=3)["OF1"]
    assert got["count_CF1"] == metrics.count_based_f1(scores, targets)["CF1"]
    assert got["images"] == len(scores)


@pytest.mark.parametrize("name", inputs.NAMES)
def test_the_order_of_images_does_not_matter(name: str) -> None:
    scores, targets = inputs.make(name)
    order = np.random.default_rng(5).permutation(len(scores))
    mixed = metrics.multilabel_metrics(scores[order], targets[order])
    assert mixed == pytest.approx(metrics.multilabel_metrics(scores, targets), abs=1e-14)


def test_options_reach_their_metric() -> None:
    scores, targets = inputs.make("tied")
    got = metrics.multilabel_metrics(scores, targets, threshold=0.25, topk=None, kind="voc2012")
    assert not any(name.endswith("_top3") for name in got)
    assert got["mAP"] == metrics.mean_average_precision(scores, targets, "voc2012")[0]
    assert got["CF1"] == metrics.precision_recall_f1(scores, targets, 0.25)["CF1"]
    assert "OF1_top1" in metrics.multilabel_metrics(scores, targets, topk=1)


def test_what_is_left_out_is_counted() -> None:
    scores, targets = inputs.make("plain")
    targets[:, 0], targets[:, 1], targets[:, 2] = 0, 1, -1
    got = metrics.multilabel_metrics(scores, targets)
    assert got["labels_without_positives"] == 2
    assert got["labels_without_negatives"] == 2
    assert got["AUC"] == pytest.approx(np.nanmean(metrics.roc_auc(scores, targets)))
    only_positive = metrics.multilabel_metrics(scores, np.ones_like(targets))
    assert "AUC" not in only_positive
    assert only_positive["labels_without_negatives"] == scores.shape[1]


def test_logits_are_refused() -> None:
    scores, targets = inputs.make("plain")
    with pytest.raises(ValueError, match="apply a sigmoid to logits"):
        metrics.multilabel_metrics(scores * 8 - 4, targets)


def test_a_large_set_is_walked_in_blocks() -> None:
    scores, targets = inputs.make("tied_left_out", images=9000, labels=40)  # more than one block of cells
    got = metrics.multilabel_metrics(scores, targets, threshold=0.3)
    known = targets != -1
    decided, positive = (scores >= 0.3) & known, targets == 1
    assert got["OP"] == pytest.approx((decided & positive).sum() / decided.sum())
    assert got["hamming_loss"] == pytest.approx((decided != positive)[known].mean())


def test_per_label_rows() -> None:
    scores, targets = inputs.make("left_out")
    targets[:, 3] = 0
    table = metrics.per_label_metrics(scores, targets, 0.3)
    assert all(column.shape == (scores.shape[1],) for column in table.values())
    for name in ("AP", "AUC", "precision", "recall", "F1"):
        assert np.isnan(table[name][3])
    assert table["left_out"].tolist() == (targets == -1).sum(axis=0).tolist()
    summary = metrics.precision_recall_f1(scores, targets, 0.3)
    assert np.nanmean(table["precision"]) == pytest.approx(summary["CP"])
    assert np.nanmean(table["recall"]) == pytest.approx(summary["CR"])
