"""Students taught by somebody else's classifier, end to end: from the shell and in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageClassification, ViTImageProcessor

from mlic_hf.methods.l2d import L2DConfig
from mlic_hf.methods.teachers import Classifier
from mlic_hf.methods.views import PixelSpec
from mlic_hf.training import MultiLabelTrainer
from tests.methods.tiny import NAMES, tiny_linear
from tests.modeling.families import tiny_config
from tests.scripts.folder import start
from tests.training.tiny import arguments, rows

LOGITS = {"weight_class_aware": 0.0, "weight_instance_aware": 0.0}
FLAGS = [flag for name in LOGITS for flag in (f"--l2d.{name}", "0")]


@pytest.fixture(scope="module")
def somebodys(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ViT of transformers, trained to name one of four things."""
    place = tmp_path_factory.mktemp("hub") / "vit"
    config = tiny_config("vit")
    config.id2label = dict(enumerate(["ant, emmet", "tabby", "persian", "dog"]))
    config.label2id = {name: number for number, name in config.id2label.items()}
    torch.manual_seed(0)
    AutoModelForImageClassification.from_config(config).save_pretrained(place)
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(place)
    return str(place)


def test_a_classifier_of_transformers_teaches_from_the_shell(folder: Path, somebodys: str, tmp_path: Path) -> None:
    flags = ["--teacher", somebodys, *FLAGS, "--teacher_labels", json.dumps({"tabby": "cat", "persian": "cat"})]
    with pytest.raises(ValueError, match=r"lacks 2 of the student's 5: bee, eel"):
        start("l2d", folder, tmp_path / "run", *flags)
    with pytest.raises(ValueError, match="teacher_options has the unknown key 'part'; its keys are activation"):
        start("l2d", folder, tmp_path / "run", *flags, "--teacher_options", '{"part": true}')
    flags += ["--teacher_options", '{"partial": true}']
    told = start("l2d", folder, tmp_path / "run", *flags)["student"]
    assert told["settings"]["teacher_labels"] == {"tabby": "cat", "persian": "cat"}
    assert told["settings"]["teacher_options"] == {"partial": True}
    parts = [row["loss_mld"] for row in told["log"] if "loss_mld" in row]
    assert parts
    assert all(part > 0 for part in parts)
    assert 0 < told["metrics"]["eval_mAP"] <= 1
    assert told["unanswered"] == ["bee", "eel"]
    written = json.loads((tmp_path / "run" / "student" / "run.json").read_text())
    assert written["unanswered"] == ["bee", "eel"]
    assert start("l2d", folder, tmp_path / "run", *flags)["student"]["log"] == told["log"]  # read, not repeated


def named(count: int, seed: int) -> list[dict[str, Any]]:
    return [{**row, "labels": [NAMES[label] for label in row["labels"]]} for row in rows(count, seed)]


def looks_at_the_bands(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] to logits: a label's band of six rows is bright in its colour."""
    bands = [pixels[:, label % 3, label * 6 : label * 6 + 6].mean(dim=(1, 2)) for label in range(len(NAMES))]
    return 40 * (torch.stack(bands, dim=1) - 0.45)


def test_a_function_teaches_all_that_a_student_learns(tmp_path: Path) -> None:
    teacher = Classifier(looks_at_the_bands, NAMES, PixelSpec(32, (0.0,) * 3, (1.0,) * 3))
    settings: dict[str, Any] = {"num_train_epochs": 8, "ema_decay": 0.9}
    trainer = MultiLabelTrainer(
        tiny_linear(),
        arguments(tmp_path, **settings),
        train_dataset=named(64, seed=0),
        eval_dataset=named(40, seed=1),
        transform="eval",
        method=L2DConfig(weight_hard=0.0, weight_mld=1.0, logit_reduction="sum", **LOGITS),
        teacher=teacher,
    )
    before = trainer.evaluate()["eval_mAP"]
    trainer.train()
    after = trainer.evaluate()["eval_mAP"]
    assert before < 0.7
    assert after > 0.9
