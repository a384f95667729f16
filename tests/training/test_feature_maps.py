"""A head on stored feature maps learns what it learns behind the frozen backbone itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mlic_hf.data import compute_feature_maps
from mlic_hf.methods.base import Method, Objective, Weighted
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.methods.views import PixelSpec
from tests.methods.tiny import tiny_linear
from tests.methods.together import Together
from tests.training.tiny import dataset, make_trainer


def student() -> Any:
    torch.manual_seed(0)
    model = tiny_linear(freeze_batch_norm=True)
    model.backbone.requires_grad_(False)
    return model


def trained(folder: Path, stored: bool, views: int, **changes: Any) -> Any:
    model = student()
    train, evaluated = dataset(24, kind="train"), dataset(13, seed=1)

    def extract(pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.eval().backbone.feature_map(pixels)

    both = Together(model, [Weighted(BinaryCrossEntropy(), 1.0)])
    trainer = make_trainer(folder, both, train=train, **changes)
    if stored:
        trainer.train_dataset = compute_feature_maps(train, extract, folder / "train", views)
        trainer.eval_dataset = compute_feature_maps(evaluated, extract, folder / "eval")
    trainer.train()
    return trainer


def test_stored_maps_train_as_the_backbone_does(tmp_path: Path) -> None:
    pixels, stored = (trained(tmp_path / str(kind), kind, views=2) for kind in (False, True))
    before = dict(student().state_dict())
    for name, weight in stored.model.state_dict().items():
        torch.testing.assert_close(weight, pixels.model.state_dict()[name], rtol=1e-2, atol=1e-3)  # of float16
        if name.startswith("backbone."):
            assert torch.equal(weight, before[name])
    assert not torch.equal(stored.model.state_dict()["head.classifier.weight"], before["head.classifier.weight"])
    scores = [trainer.evaluate()["eval_mAP"] for trainer in (pixels, stored)]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


def test_one_view_is_another_training(tmp_path: Path) -> None:
    one, two = (trained(tmp_path / str(views), True, views) for views in (1, 2))
    assert any(
        not torch.equal(weight, two.model.state_dict()[name]) for name, weight in one.model.state_dict().items()
    )


def test_maps_are_mixed_as_pixels_are(tmp_path: Path) -> None:
    mixed, plain = (trained(tmp_path / str(alpha), True, 1, mixup_alpha=alpha) for alpha in (0.4, 0.0))
    losses = [[line["loss"] for line in one.state.log_history if "loss" in line] for one in (mixed, plain)]
    assert len(losses[0]) == len(losses[1]) == 2
    assert losses[0] != losses[1]


class Looking(Objective):
    name = "looking"
    needs_pixels = True


def test_a_loss_that_needs_pixels_refuses_maps() -> None:
    model = tiny_linear()
    method = Method([Weighted(Looking(), 1.0)], PixelSpec.of_model(model))
    with pytest.raises(ValueError, match="no pixel_values, which looking needs"):
        method.look(model, None, torch.zeros(2, 5), feature_map=torch.zeros(2, 8, 1, 1))
    with pytest.raises(ValueError, match=r"The batch has no pixel_values\."):
        Method([Weighted(BinaryCrossEntropy(), 1.0)], PixelSpec.of_model(model)).look(model, None, torch.zeros(2, 5))
