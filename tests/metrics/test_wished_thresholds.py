"""Thresholds for a wished precision or recall against trying every cut, and decisions left open."""

from __future__ import annotations

import numpy as np
import pytest

from mlic_hf.metrics import (
    decide_or_abstain,
    thresholds_for_absence,
    thresholds_for_precision,
    thresholds_for_recall,
)
from tests.metrics import inputs


@pytest.mark.parametrize("name", inputs.NAMES)
@pytest.mark.parametrize("wish", [0.3, 0.8, 1.0])
def test_every_cut_was_tried(name: str, wish: float) -> None:
    scores, targets = inputs.make(name, images=40, labels=3)
    precise = thresholds_for_precision(scores, targets, wish, otherwise=np.inf)
    complete = thresholds_for_recall(scores, targets, wish, otherwise=np.inf)
    absent = thresholds_for_absence(scores, targets, wish, otherwise=-np.inf)
    for label in range(scores.shape[1]):
        known = targets[:, label] != -1
        column, truth = scores[known, label], targets[known, label] == 1
        cuts = [*np.unique(column)]
        good = [cut for cut in cuts if truth.any() and truth[column >= cut].mean() >= wish - 1e-9]
        # only a cut at a positive is named: a negative's would predict the same positives and more negatives
        assert precise[label] == min((c for c in good if truth[column == c].any()), default=np.inf)
        found = [cut for cut in cuts if truth.any() and truth[column >= cut].sum() >= wish * truth.sum() - 1e-9]
        assert complete[label] == max((c for c in found if truth[column == c].any()), default=np.inf)
        sure = [cut for cut in cuts if (~truth[column <= cut]).mean() >= wish - 1e-9 and (~truth[column == cut]).any()]
        assert (column < absent[label]).sum() == (column <= max(sure, default=-np.inf)).sum()


def test_what_no_cut_reaches_is_otherwise() -> None:
    scores, targets = [[0.9, 0.1], [0.8, 0.2]], [[0, 0], [1, 0]]
    assert thresholds_for_precision(scores, targets, 0.9).tolist() == [1.0, 1.0]
    assert thresholds_for_precision(scores, targets, 0.5).tolist() == [0.8, 1.0]
    assert thresholds_for_recall(scores, targets, 1.0, otherwise=0.7).tolist() == [0.8, 0.7]
    for function in (thresholds_for_precision, thresholds_for_recall, thresholds_for_absence):
        with pytest.raises(ValueError, match="is 0; expected a share"):
            function(scores, targets, 0)


def test_decisions_may_be_left_open() -> None:
    scores = np.array([[0.1, 0.5, 0.9], [0.3, 0.3, 0.3]])
    assert decide_or_abstain(scores, 0.3, 0.8).tolist() == [[0, -1, 1], [-1, -1, -1]]
    assert decide_or_abstain(scores, [0.3, 0.4, 0.4], [0.3, 0.6, 1.0]).tolist() == [[0, -1, -1], [1, 0, 0]]
    with pytest.raises(ValueError, match=r"thresholds have shape \(2,\)"):
        decide_or_abstain(scores, [0.1, 0.2], 0.8)


def test_the_open_ones_are_those_between_the_wishes() -> None:
    generator = np.random.default_rng(1)
    scores = generator.random((5000, 2))
    targets = (generator.random(scores.shape) < scores**2).astype(int)
    high, low = thresholds_for_precision(scores, targets, 0.8), thresholds_for_absence(scores, targets, 0.95)
    decided = decide_or_abstain(scores, low, high)
    for label in range(2):
        column, truth = decided[:, label], targets[:, label]
        assert truth[column == 1].mean() >= 0.8
        assert truth[column == 0].mean() <= 0.05
        assert 0.1 < (column == -1).mean() < 0.9
