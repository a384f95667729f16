from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import multilabel_average_precision

from mlic_hf.metrics import average_precision, mean_average_precision, precision_recall_curves
from tests.metrics import inputs

KINDS = ["average_precision", "mean_precision", "voc2012", "voc2007_11point"]


def by_the_book(scores: np.ndarray, targets: np.ndarray, kind: str) -> float:
    """One label, in plain Python: walk the stable order and take precision and recall after every image."""
    known = targets != -1
    scores, targets = scores[known], targets[known]
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    precision, recall, at_positive, hits = [], [], [], 0
    for place, image in enumerate(order, start=1):
        hits += int(targets[image] == 1)
        precision.append(hits / place)
        recall.append((hits, int((targets == 1).sum())))
        if targets[image] == 1:
            at_positive.append(hits / place)
    if kind == "mean_precision":
        return sum(at_positive) / len(at_positive)
    if kind == "voc2007_11point":
        points = [max(p for p, (i, n) in zip(precision, recall) if 10 * i >= k * n) for k in range(11)]
        return sum(points) / 11
    area, before = 0.0, 0.0
    for place, (i, n) in enumerate(recall):
        area += (i / n - before) * max(precision[place:])
        before = i / n
    return area


@pytest.mark.parametrize("name", inputs.NAMES)
def test_default_is_scikit_learns(name: str) -> None:
    scores, targets = inputs.make(name)
    got = average_precision(scores, targets)
    for label in range(scores.shape[1]):
        known = targets[:, label] != -1
        expected = average_precision_score(targets[known, label], scores[known, label])
        assert got[label] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", inputs.NAMES)
def test_default_is_torchmetrics(name: str) -> None:
    scores, targets = inputs.make(name)
    if scores.shape[1] == 1:
        pytest.skip("torchmetrics wants two labels")
    got = average_precision(scores, targets)
    expected = multilabel_average_precision(
        torch.from_numpy(scores), torch.from_numpy(targets).long(), scores.shape[1], None, None, -1
    )
    np.testing.assert_allclose(got, expected.numpy(), atol=2e-6)  # torchmetrics sums in float32


@pytest.mark.parametrize("name", inputs.NAMES)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_other_kinds_by_the_book(name: str, kind: str) -> None:
    scores, targets = inputs.make(name, images=60, labels=4)
    expected = [by_the_book(scores[:, c], targets[:, c], kind) for c in range(scores.shape[1])]
    np.testing.assert_allclose(average_precision(scores, targets, kind), expected, atol=1e-12)


def test_eleven_points_by_hand() -> None:
    # order + - + - : precision 1, 1/2, 2/3, 1/2; recall reaches .5 at the first, 1 at the third
    scores, targets = [[4.0], [3.0], [2.0], [1.0]], [[1], [0], [1], [0]]
    assert average_precision(scores, targets, "voc2007_11point")[0] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert average_precision(scores, targets, "voc2012")[0] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_recall_of_three_tenths_is_reached_exactly() -> None:
    # 0.1 * 3 is above 0.3 in floats; in whole numbers the third of ten positives counts at k = 3
    scores = np.arange(20, 0, -1.0)[:, None]
    targets = np.array([1, 1, 1] + [0] * 10 + [1] * 7)[:, None]
    envelope_after = max(i / (i + 10) for i in range(4, 11))
    assert average_precision(scores, targets, "voc2007_11point")[0] == pytest.approx((4 + 7 * envelope_after) / 11)


def test_ties_are_one_threshold_or_a_stable_order() -> None:
    scores, first, last = [[0.5]] * 4, [[1], [0], [0], [0]], [[0], [0], [0], [1]]
    for targets in (first, last):
        assert average_precision(scores, targets)[0] == 0.25
    for kind in KINDS[1:]:
        assert average_precision(scores, first, kind)[0] == 1.0
        assert average_precision(scores, last, kind)[0] == 0.25


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["plain", "left_out", "dense"])
def test_order_of_images_does_not_matter_without_ties(kind: str, name: str) -> None:
    scores, targets = inputs.make(name)
    order = np.random.default_rng(3).permutation(len(scores))
    before, after = (
        average_precision(scores, targets, kind),
        average_precision(scores[order], targets[order], kind),
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", inputs.NAMES)
def test_order_of_images_never_matters_to_the_default(name: str) -> None:
    scores, targets = inputs.make(name)
    order = np.random.default_rng(3).permutation(len(scores))
    np.testing.assert_array_equal(average_precision(scores, targets), average_precision(scores[order], targets[order]))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, (9, 3), elements=st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0])),
    hnp.arrays(np.int64, (9, 3), elements=st.sampled_from([-1, 0, 1])),
)
def test_any_small_input(scores: np.ndarray, targets: np.ndarray) -> None:
    got = average_precision(scores, targets)
    for label in range(3):
        known, positive = targets[:, label] != -1, targets[:, label] == 1
        if not positive.any():
            assert np.isnan(got[label])
            continue
        expected = average_precision_score(targets[known, label], scores[known, label])
        assert got[label] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_monotone_change_of_scores_changes_nothing(kind: str) -> None:
    scores, targets = inputs.make("plain")
    np.testing.assert_array_equal(
        average_precision(scores, targets, kind),
        average_precision(scores.astype(np.float64) * 6 - 3, targets, kind),
    )


def test_labels_without_positives_are_left_out_and_counted() -> None:
    scores, targets = inputs.make("plain")
    whole = average_precision(scores, targets)
    targets[:, 2] = 0
    targets[:, 5] = -1
    got = average_precision(scores, targets)
    assert np.flatnonzero(np.isnan(got)).tolist() == [2, 5]
    mean, without_positives = mean_average_precision(scores, targets)
    assert without_positives == 2
    assert mean == pytest.approx(np.delete(whole, [2, 5]).mean())
    with pytest.raises(ValueError, match="no label has a positive image"):
        mean_average_precision(scores, np.zeros_like(targets))


def test_only_known_cells_count() -> None:
    scores, targets = inputs.make("left_out")
    label = 4
    known = targets[:, label] != -1
    alone = average_precision(scores[known, label][:, None], targets[known, label][:, None])
    assert average_precision(scores, targets)[label] == alone[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_container_and_number_type(kind: str) -> None:
    scores, targets = inputs.make("tied_left_out")  # eighths: exact in every type
    expected = average_precision(scores, targets, kind)
    for given_scores in (
        scores.astype(np.float64),
        scores.astype(np.float16),
        (scores * 8).astype(np.int64),
        np.asfortranarray(scores),
        scores.tolist(),
        torch.from_numpy(scores).requires_grad_(),
        torch.from_numpy(scores).bfloat16(),
    ):
        np.testing.assert_array_equal(average_precision(given_scores, targets, kind), expected)
    for given_targets in (targets.astype(np.int8), torch.from_numpy(targets).long(), targets.tolist()):
        np.testing.assert_array_equal(average_precision(scores, given_targets, kind), expected)
    positive_only = np.where(targets == -1, 0, targets)
    np.testing.assert_array_equal(
        average_precision(scores, positive_only.astype(bool), kind),
        average_precision(scores, positive_only, kind),
    )


def test_inputs_are_left_as_they_were() -> None:
    scores, targets = inputs.make("left_out")
    before = scores.copy(), targets.copy()
    average_precision(scores, targets)
    mean_average_precision(scores, targets, "voc2012")
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(targets, before[1])


@pytest.mark.parametrize(
    "scores, targets, message",
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), r"shape \(3, 2\) and targets \(3, 3\)"),
        (np.zeros(3), np.zeros(3), r"must be \(images, labels\)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "no image or no label"),
        ([[0.1, np.nan], [0.1, 0.2]], [[1, 0], [0, 1]], "image 0, label 1 is nan"),
        ([[0.1, 0.2], [np.inf, 0.2]], [[1, 0], [0, 1]], "image 1, label 0 is inf"),
        ([[0.1, 0.2], [0.3, 0.2]], [[1, 0], [0, 2]], "image 1, label 1 is 2; expected"),
        ([[0.1, 0.2], [0.3, 0.2]], [[1, 0.5], [0, 1]], "image 0, label 1 is 0.5; expected"),
        ([["a", "b"]], [[1, 0]], "expected numbers"),
        ([[0.1, 0.2], [0.3]], [[1, 0], [0, 1]], "rectangular"),
    ],
)
def test_bad_input_is_named(scores: object, targets: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_precision(scores, targets)


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="unknown kind of average precision 'voc2010'; expected one of"):
        average_precision([[0.1]], [[1]], "voc2010")  # type: ignore[arg-type]


def test_curve_encloses_the_average_precision() -> None:
    scores, targets = inputs.make("tied_left_out")
    targets[:, 3] = 0
    curves = precision_recall_curves(scores, targets)
    assert 3 not in curves
    expected = average_precision(scores, targets)
    for label, (recall, precision) in curves.items():
        assert (np.diff(recall) > 0).all()
        assert recall[-1] == 1
        steps = np.diff(recall, prepend=0)
        assert float((steps * precision).sum()) == pytest.approx(expected[label])
