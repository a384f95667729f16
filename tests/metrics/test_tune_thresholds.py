from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mlic_hf.metrics import per_label_metrics, tune_thresholds
from tests.metrics import inputs


@pytest.mark.parametrize("name", inputs.NAMES)
def test_no_cut_is_better(name: str) -> None:
    scores, targets = inputs.make(name, images=40, labels=3)
    tuned = tune_thresholds(scores, targets)
    for label in range(scores.shape[1]):
        known = targets[:, label] != -1
        column, truth = scores[known, label], targets[known, label]
        f1 = {cut: f1_score(truth, column >= cut) for cut in np.unique(column)}
        best = max(f1.values())
        assert tuned[label] == max(cut for cut, value in f1.items() if value == pytest.approx(best, abs=1e-12))


def test_of_equal_cuts_the_highest_is_taken() -> None:
    # cut at 0.9: F1 = 2*1/(1+2); cut at 0.4: F1 = 2*2/(4+2): equal
    scores, targets = [[0.9], [0.8], [0.7], [0.4]], [[1], [0], [0], [1]]
    assert tune_thresholds(scores, targets)[0] == 0.9


def test_a_label_without_positives_keeps_the_default() -> None:
    scores, targets = inputs.make("plain")
    targets[:, 1], targets[:, 2] = 0, -1
    tuned = tune_thresholds(scores, targets, default=0.4)
    assert tuned[[1, 2]].tolist() == [0.4, 0.4]


def test_thresholds_survive_a_config_file() -> None:
    scores, targets = inputs.make("plain")
    tuned = tune_thresholds(scores, targets)
    read = json.loads(json.dumps(tuned.tolist()))
    wanted = per_label_metrics(scores, targets, tuned)["F1"]
    for stored in (read, np.float32(read)):
        np.testing.assert_array_equal(per_label_metrics(scores, targets, stored)["F1"], wanted)
    assert (wanted >= per_label_metrics(scores, targets, 0.5)["F1"]).all()


def test_order_of_images_does_not_matter() -> None:
    scores, targets = inputs.make("tied_left_out")
    order = np.random.default_rng(1).permutation(len(scores))
    np.testing.assert_array_equal(tune_thresholds(scores, targets), tune_thresholds(scores[order], targets[order]))
