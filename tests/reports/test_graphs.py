"""The co-occurrence a model predicts, its mean over a data set, and the pictures of both."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlic_hf.reports import graphs


class Echo(nn.Module):
    """Predicts for an image the matrix that its pixels spell."""

    def __init__(self, matrix: bool = True) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.matrix = matrix

    def forward(self, pixel_values: Tensor, output_label_embeddings: bool = False) -> Any:
        assert output_label_embeddings
        return SimpleNamespace(co_occurrence=pixel_values[:, 0] if self.matrix else None)


def batches() -> list[dict[str, Tensor]]:
    labels = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    pixels = torch.rand(4, 3, 3, 3)
    return [
        {"pixel_values": pixels[:3], "labels": labels[:3]},
        {"pixel_values": pixels[3:], "labels": labels[3:]},
    ]


def test_summary_holds_means_and_shares_of_known_cells() -> None:
    data = batches()
    summary = graphs.summarize_co_occurrence(Echo(), data)
    pixels = torch.cat([batch["pixel_values"] for batch in data])[:, 0].double().numpy()
    assert summary.images == 4
    np.testing.assert_array_equal(summary.positives, [3, 2, 0])
    np.testing.assert_allclose(summary.everywhere, pixels.mean(axis=0))
    np.testing.assert_allclose(summary.where_present[0], pixels[:3, 0].mean(axis=0))
    np.testing.assert_allclose(summary.where_present[1], pixels[[0, 3], 1].mean(axis=0))
    assert np.isnan(summary.where_present[2]).all()
    np.testing.assert_allclose(summary.truth[:2], [[1, 1 / 2, 0], [1 / 2, 1, 0]])
    assert np.isnan(summary.truth[2]).all()


def test_summary_does_not_depend_on_the_batches_and_leaves_the_mode() -> None:
    data = batches()
    whole = [{key: torch.cat([batch[key] for batch in data]) for key in data[0]}]
    model = Echo().train()
    first, second = (graphs.summarize_co_occurrence(model, found) for found in (data, whole))
    np.testing.assert_allclose(first.where_present, second.where_present)
    np.testing.assert_allclose(first.everywhere, second.everywhere)
    assert model.training


def test_summary_refuses_no_images_and_models_without_a_matrix() -> None:
    with pytest.raises(ValueError, match="no images"):
        graphs.summarize_co_occurrence(Echo(), [])
    with pytest.raises(ValueError, match="co_occurrence"):
        graphs.summarize_co_occurrence(Echo(matrix=False), batches())


def test_correlation_leaves_out_the_diagonal_and_unknown_cells() -> None:
    truth = np.array([[1.0, 0.2, 0.4], [0.1, 1.0, 0.3], [np.nan, np.nan, np.nan]])
    predicted = 0.5 * truth + 0.1
    predicted[np.diag_indices(3)] = -7
    assert graphs.correlate_off_diagonal(predicted, truth) == pytest.approx(1.0)
    assert np.isnan(graphs.correlate_off_diagonal(np.zeros((3, 3)), truth))


def test_pictures_are_written(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    names = ["cat", "dog", "owl"]
    summary = graphs.summarize_co_occurrence(Echo(), batches())
    drawn = graphs.draw_summary(summary, names, tmp_path / "deep" / "mean.png")
    assert drawn.stat().st_size > 5000
    image = graphs.draw_image(
        torch.rand(3, 3), torch.tensor([1.0, 0.0, -1.0]), names, tmp_path / "one.png", summary.truth
    )
    assert image.stat().st_size > 5000
    many = {"wide": np.zeros((50, 50))}
    assert graphs.draw_co_occurrence(many, [f"label {i}" for i in range(50)], tmp_path / "many.svg").exists()


def test_picture_refuses_a_matrix_of_other_labels(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="there are 2 labels"):
        graphs.draw_co_occurrence({"short": np.zeros((3, 3))}, ["cat", "dog"], tmp_path / "x.png")
