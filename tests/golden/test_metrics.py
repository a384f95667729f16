"""The metrics give the published implementations' own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from mlic_hf import metrics
from tests.golden import cases

SIX = ("CP", "CR", "CF1", "OP", "OR", "OF1")


@pytest.mark.parametrize("name", cases.params("metric_voc"))
@pytest.mark.parametrize("ignored", [False, True])
def test_voc_average_precision(name: str, ignored: bool) -> None:
    tensors, _ = cases.load(name)
    suffix = "_ignore" if ignored else ""
    targets = tensors["targets"].where(tensors["ignore"] == 0, -1) if ignored else tensors["targets"]
    for kind, key in (("mean_precision", "2007"), ("voc2012", "2012")):
        got = metrics.average_precision(tensors["scores"], targets, kind)
        np.testing.assert_allclose(got, tensors[f"ap{key}{suffix}"].numpy(), rtol=0, atol=1e-9)
        mean, _ = metrics.mean_average_precision(tensors["scores"], targets, kind)
        assert mean == pytest.approx(float(tensors[f"mAP{key}{suffix}"]), abs=1e-9)


@pytest.mark.parametrize("name", cases.params("metric_voc"))
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("topk", [None, 3])
def test_voc_precision_recall_f1(name: str, ignored: bool, topk: int | None) -> None:
    tensors, parameters = cases.load(name)
    targets = tensors["targets"].where(tensors["ignore"] == 0, -1) if ignored else tensors["targets"]
    key = ("thr" if topk is None else f"top{parameters['topk']}") + ("_ignore" if ignored else "")
    got = metrics.precision_recall_f1(tensors["scores"], targets, parameters["threshold"], topk)
    np.testing.assert_allclose([got[name] for name in SIX], tensors[key].numpy(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", cases.params("metric_l2d"))
def test_l2d(name: str) -> None:
    tensors, _ = cases.load(name)
    scores, targets = tensors["scores"], tensors["targets"]
    got = metrics.count_based_f1(scores, targets)
    assert got["CF1"] == pytest.approx(float(tensors["CF1"]), abs=1e-7)
    assert got["OF1"] == pytest.approx(float(tensors["OF1"]), abs=1e-7)
    np.testing.assert_allclose(metrics.average_precision(scores, targets), tensors["ap"].numpy(), atol=1e-7)
    mean, _ = metrics.mean_average_precision(scores, targets)
    assert mean == pytest.approx(float(tensors["mAP"]), abs=1e-7)
