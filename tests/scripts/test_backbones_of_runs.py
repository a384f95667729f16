"""Runs whose backbone is an encoder of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, ViTImageProcessor

from mlic_hf.modeling import TransformersBackbone
from mlic_hf.runs.models import build_model
from mlic_hf.runs.options import RunOptions
from tests.modeling.families import tiny_config
from tests.modeling.tiny_models import LABELS


@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_a_student_starts_from_a_folder_and_a_second_stage_from_the_student(family: str, tmp_path: Path) -> None:
    encoder = AutoModel.from_config(tiny_config(family))
    encoder.save_pretrained(tmp_path / "encoder")
    ViTImageProcessor().save_pretrained(tmp_path / "encoder")
    options = {"architecture": "linear", "backbone": str(tmp_path / "encoder"), "image_size": 64}
    model = build_model(RunOptions(**options), LABELS)
    assert isinstance(model.backbone, TransformersBackbone)
    assert model.config.image_size == 64
    for name, tensor in model.backbone.net.state_dict().items():
        assert torch.equal(tensor, encoder.state_dict()[name])
    with torch.no_grad():
        model.head.classifier.weight.fill_(0.5)
    model.save_pretrained(tmp_path / "first")
    second = build_model(RunOptions(**options, init_from=str(tmp_path / "first")), LABELS)
    for name, tensor in second.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
